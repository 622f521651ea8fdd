"""The verb ``collateral``."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import COLLATERAL, JSON
from cloister.cli.shell.settings import Settings, party_verb
from cloister.errors import InputError
from cloister.protocol import names, text
from cloister.units import local_time

if TYPE_CHECKING:
    from cloister.client.collateral.keeping import KeptCollateral
    from cloister.client.evidence.collateral_folder import FilledFolder

_ACTIONS = ("fetch", "pack", "list")


@party_verb(
    several="action",
    options=[COLLATERAL, JSON],
    help={
        "action": "`fetch` asks the vendors for what is the same for every machine, and for what the evidence in the "
        "files after it needs; `pack` copies what earlier commands fetched, and files of collateral; `list` shows what "
        "the folder has and until when",
    },
    example="collateral fetch report.bin --collateral vendors",
)
def collateral(settings: Settings, action: list[str]) -> None:
    """Keep a folder of the vendors' certificates and lists, for machines without internet."""
    chosen, files = action[0], [Path(word) for word in action[1:]]
    if chosen not in _ACTIONS:
        raise InputError(f"{chosen!r} is not an action; it must be one of {', '.join(_ACTIONS)}.")
    folder = settings.path("collateral")
    if folder is None:
        raise InputError("No folder is set.", hint="Pass --collateral DIR, or set CLOISTER_COLLATERAL.")
    if chosen == "list":
        if files:
            raise InputError(
                f"`collateral list` takes no files, but {files[0]}.", hint="Name the folder: --collateral."
            )
        _show(settings, client.list_collateral(folder))
        return
    filled = client.fetch_collateral(folder, files) if chosen == "fetch" else client.pack_collateral(folder, files)
    _report(settings, folder, filled)
    filled.require_complete()


def _report(settings: Settings, folder: Path, filled: "FilledFolder") -> None:
    for problem in filled.problems:
        show.note(problem)
    _show(settings, filled.written)
    if not settings.json:
        print(f"{len(filled.written)} new in {folder}.")
        print(f"Use it: {program()} attest --collateral {names.quoted(str(folder))}")
        print(f"or:     {program()} verify-evidence FILE... --collateral {names.quoted(str(folder))}")


def _show(settings: Settings, kept: Sequence["KeptCollateral"]) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if settings.json:
        show.facts({"version": 1, "items": [one.value(now) for one in kept]})
        return
    for one in kept:
        until = f"until {local_time(one.until)}" if one.until is not None else "does not expire"
        print(f"{'EXPIRED ' if one.expired_at(now) else ''}{text.printable(one.name)}, {until}")
        print(f"  {text.printable(str(one.path))}")
