"""The output of ``doctor``."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloister.cli.shell import show
from cloister.errors import CloisterError

if TYPE_CHECKING:
    from cloister.machinecheck import MachineCheck


def report(found: "Sequence[MachineCheck]", *, as_json: bool) -> None:
    """Print the checks. Raises CloisterError when one failed, for the exit code."""
    if as_json:
        show.facts([dataclasses.asdict(check) for check in found])
    else:
        for check in found:
            mark = "FIX " if not check.good else "ok  " if check.checked else "-   "
            print(f"{mark} {check.name}: {check.found}")
            if not check.good:
                print(f"       {check.remedy}")
    wrong = [check.name for check in found if not check.good]
    if wrong:
        raise CloisterError(f"Checks failed: {', '.join(wrong)}.", hint="Each failed check above says how to fix it.")
