"""The checks of ``doctor``, of a party's machine and of the platform team's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cloister.errors import CloisterError


@dataclass(frozen=True)
class MachineCheck:
    """The result of one check. ``remedy`` is empty when ``good``; a check that was not made is good, too."""

    name: str
    good: bool
    found: str
    remedy: str = ""
    checked: bool = True


class NotChecked(Exception):
    """A check that needs something that is not set, or that an earlier check has already found wrong."""


def run_checks(checks: Mapping[str, Callable[[], str]]) -> list[MachineCheck]:
    """The results in order.

    Each check returns what it found, or raises CloisterError, which has the remedy, or NotChecked.
    """
    made = []
    for name, check in checks.items():
        try:
            made.append(MachineCheck(name, True, check()))
        except NotChecked as error:
            made.append(MachineCheck(name, True, f"not checked: {error}", checked=False))
        except CloisterError as error:
            made.append(MachineCheck(name, False, error.message, error.hint or error.remedy))
    return made
