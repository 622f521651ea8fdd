"""The verbs that look: status, events, log."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from cloister.cli import settings, show
from cloister.cli.verb import verb
from cloister.errors import CloisterError, InputError

if TYPE_CHECKING:
    from cloister.client.timeline import Follower
    from cloister.protocol.events import State


def show_timeline(
    follower: "Follower",
    known: dict[str, str],
    *,
    follow: bool,
    json: bool = False,
    until: "frozenset[State] | None" = None,
    log: Path | None = None,
) -> None:
    """Print events as they come. ``log`` gets the lines as they are, complete or not at all.

    Raises CloisterError when the computation has failed.
    """
    from cloister.client import timeline
    from cloister.protocol.events import State

    lines = []
    for record in follower.records(follow=follow, until=until or timeline.ENDED):
        lines.append(record.encode() + b"\n")
        if json:
            print(record.encode().decode(), flush=True)
        else:
            print(timeline.line(record.event, follower.started, known).text(), flush=True)
    if log is not None:
        show.write_file(log, b"".join(lines))
    if follow and follower.state is State.FAILED:
        raise CloisterError(
            "The computation failed.", hint="`logs` shows what the algorithm printed, to those who may."
        )


@verb(help={**settings.PARTY, "json": settings.JSON_HELP})
def status(
    c: Context,
    key: str | None = None,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
    json: bool = False,
) -> None:
    """Where the computation stands: what has arrived, what is missing, who has fetched."""
    from cloister.client import status as states

    with settings.connection(c, key=key, cvm=cvm, workspace=workspace, policy=policy) as connection:
        found = connection.call(lambda session: session.status())
        if json:
            show.facts(states.value(found))
            return
        for line in states.lines(found):
            print(line)


@verb(
    interrupted="The computation goes on.",
    help={
        **settings.PARTY,
        "follow": "stay and show events as they happen, until the computation ends",
        "until": "with --follow: until it reaches this state, such as ConsumingResults",
        "save": "write the log to a file, and its evidence beside it, for `audit`",
        "manifest": "your copy of the manifest, to show names instead of key ids (default: $CLOISTER_MANIFEST)",
        "json": "print the signed events as they are, one a line",
    },
)
def events(
    c: Context,
    key: str | None = None,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
    follow: bool = False,
    until: str | None = None,
    save: str | None = None,
    manifest: str | None = None,
    json: bool = False,
) -> None:
    """The timeline: who did what, and when, each event signed by the machine."""
    from cloister.client import audit, timeline
    from cloister.protocol.events import State

    ends = timeline.ENDED
    if until:
        try:
            ends = ends | {State(until)}
        except ValueError as error:
            raise InputError(f"{until!r} is not a state.", hint=f"The states are: {', '.join(State)}.") from error
    known = settings.member_names(c, workspace)
    if settings.setting(c, "manifest", manifest):
        known = timeline.names(settings.manifest(c, manifest).parties, known)
    with settings.connection(c, key=key, cvm=cvm, workspace=workspace, policy=policy) as connection:
        log = Path(save) if save else None
        show_timeline(timeline.Follower(connection), known, follow=follow, json=json, until=ends, log=log)
        if log is not None:
            connection.close()
            show.write_file(audit.evidence_path(log), connection.evidence().encode_json())
            show.note(f"Written: {log} and {audit.evidence_path(log)}")


@verb(help={**settings.PARTY, "output": "write it to a file instead of the terminal"})
def logs(
    c: Context,
    key: str | None = None,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
    output: str | None = None,
) -> None:
    """What the algorithm printed, as far as the manifest lets you read it."""
    with settings.connection(c, key=key, cvm=cvm, workspace=workspace, policy=policy) as connection:
        chunks = connection.call(lambda session: list(session.logs()))
    content = b"".join(chunk.data for chunk in chunks)
    if output:
        show.write_file(Path(output), content)
        show.note(f"Written: {output}")
    else:
        # An algorithm is not trusted with the reader's terminal: nothing that moves the cursor passes.
        text = content.decode("utf-8", "replace")
        sys.stdout.write("".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text))
    if any(chunk.truncated for chunk in chunks):
        show.note("The log is cut off where the manifest's limit was reached.")
