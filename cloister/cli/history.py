"""The verb ``history``."""

from typing import TYPE_CHECKING

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import canonical
from cloister.units import local_time

if TYPE_CHECKING:
    from cloister.client.history.reading import WorkspaceHistory

_HOW = {
    "first": "the first",
    "confirmed": "confirmed by you",
    "rule": "by your standing rule",
    "known": "decides nothing new",
}


@party_verb(
    options=[JSON],
    help={"accept": "accept the change of this name, which an earlier command reported and refused"},
    example="history --accept 3f2a9c0011d4be57",
)
def history(settings: Settings, accept: str = "") -> None:
    """Show every image, policy, manifest, key and statement that you accepted, and what waits for your yes."""
    if accept:
        client.accept_change(accept)
        show.note("Accepted. Run the command again that was refused.")
    found, publishers = client.read_history(), client.read_publishers()
    if settings.json:
        listed = {"workspaces": found, "publishers": publishers}
        show.facts({"version": 1, **{name: [one.value() for one in those] for name, those in listed.items()}})
        return
    if not found and not publishers:
        print("You have not accepted anything yet.")
    for one in found:
        _print(one)
    for publisher in publishers:
        print(f"Publisher with the key {publisher.key}")
        for entry in publisher.entries:
            when = local_time(canonical.from_time(entry.time, what="The time of a line"))
            print(f"  {when}  {entry.accepted.subject}: statement {entry.accepted.label}, {entry.accepted.digest}")


def _print(one: "WorkspaceHistory") -> None:
    print(f"Workspace {one.workspace}, with your key {one.key}")
    for entry in one.entries:
        found = entry.accepted
        when = local_time(canonical.from_time(entry.time, what="The time of a line"))
        label = f" ({found.label})" if found.kind.value == "image" else ""
        before = f", before: {entry.replaces}" if entry.replaces else ""
        print(f"  {when}  {found.kind.value:<8}  {found.subject or '-'}{label}")
        print(f"  {'':<{len(when)}}  {'':<8}  {found.digest}, {_HOW[entry.how.value]}{before}")
    for change in one.waiting:
        for line in change.lines:
            print(f"  ! {line}")
    if one.token:
        print(f"  This waits for your yes: {program()} history --accept {one.token}")
