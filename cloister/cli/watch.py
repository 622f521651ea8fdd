"""The verbs that look: status, events, log."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from cloister.cli.shell import settings, show
from cloister.cli.shell.verb import verb
from cloister.errors import CloisterError, InputError
from cloister.protocol import text

if TYPE_CHECKING:
    from cloister.client.computation.timeline import Follower
    from cloister.client.connection.connection import Connection
    from cloister.protocol.events import State


def show_timeline(
    follower: "Follower",
    known: dict[str, str],
    *,
    follow: bool,
    json: bool = False,
    until: "frozenset[State] | None" = None,
    lines: list[bytes] | None = None,
) -> None:
    """Print events as they come, and add them to ``lines`` as they are. Raises CloisterError for a failed run."""
    from cloister.client.computation import timeline
    from cloister.protocol.events import State

    with show.waiting("waiting for the next event") if follow and not json else contextlib.nullcontext():
        for record in follower.records(follow=follow, until=until or timeline.ENDED):
            if lines is not None:
                lines.append(record.encode() + b"\n")
            if json:
                print(record.encode().decode(), flush=True)
            else:
                print(timeline.line(record.event, follower.started, known).text(), flush=True)
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
    from cloister.client.computation import status as states

    with settings.connection(c, key=key, cvm=cvm, workspace=workspace, policy=policy) as connection:
        found = connection.call(lambda session: session.status())
        if json:
            show.facts(states.value(found))
            return
        for line in states.lines(found):
            print(line)


@verb(
    interrupted="The machine goes on.",
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
    from cloister.client.computation import timeline
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
        lines: list[bytes] = []
        try:
            show_timeline(timeline.Follower(connection), known, follow=follow, json=json, until=ends, lines=lines)
        finally:
            # Also after Ctrl-C: the beginning of a chain is a chain.
            if save and lines:
                _save(connection, Path(save), lines)


def _save(connection: "Connection", log: Path, lines: list[bytes]) -> None:
    """Write the log, and beside it evidence that is at least as new."""
    from cloister.client.result import audit

    connection.close()
    show.write_file(log, b"".join(lines))
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
        sys.stdout.write(text.printable(content.decode("utf-8", "replace"), keep="\n\t"))
    if any(chunk.truncated for chunk in chunks):
        show.note("The log is cut off where the manifest's limit was reached.")
