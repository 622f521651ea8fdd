"""What a checkup has found."""

from cloister.client.html.fragment import fragment
from cloister.client.html.parts import TextTable, one_line
from cloister.machinecheck import MachineCheck


class Checkup(tuple[MachineCheck, ...]):
    """The checks of what a party needs, in the order in which to fix it."""

    __slots__ = ()

    @property
    def wrong(self) -> tuple[MachineCheck, ...]:
        """The checks that failed."""
        return tuple(check for check in self if not check.good)

    def _line(self) -> str:
        return f"{len(self)} checks, {', '.join(one.name for one in self.wrong) or 'none'} failed"

    def __repr__(self) -> str:
        return one_line(f"Checkup: {self._line()}")

    def _repr_html_(self) -> str:
        columns = (("Outcome", "outcome"), ("Check", "name"), ("Found", "text"), ("What to do", "text"))
        rows = [
            ("failed" if not one.good else "passed" if one.checked else "not-checked", one.name, one.found, one.remedy)
            for one in self
        ]
        return fragment(self._line(), TextTable.of(columns, rows), accepted=not self.wrong)
