"""The findings of an audit: each vulnerability in each component once, whatever databases and names it has."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

from cloister.errors import InputError
from image.audit import accepted
from image.audit.accepted import Acceptance
from image.audit.advisory import Advisory, FixState
from image.audit.components import Component, Ecosystem
from image.audit.ranges import Order, debian_order, python_order

_WORST = list(FixState)


class FailOn(Enum):
    """Which findings an audit fails on; each threshold includes those before it."""

    NEVER = "never"
    FIXABLE = "fixable"
    OPEN = "open"
    ALL = "all"

    @classmethod
    def named(cls, word: str) -> Self:
        """The threshold that a user names. Raises InputError."""
        try:
            return cls(word)
        except ValueError as error:
            raise InputError(
                f"--fail-on must be one of {', '.join(one.value for one in FailOn)}, not {word!r}.",
                hint="docs/audit.md says what each counts.",
            ) from error


@dataclass(frozen=True)
class Finding:
    """A vulnerability in a component.

    id, names: the chosen identifier, and the others.
    state, fixed: the worst of what the databases say, and the version that fixes it in all of them.
    said: what they say besides.
    accepted: the team's decision about it, if it has not ended.
    """

    component: Component
    id: str
    names: tuple[str, ...]
    state: FixState
    fixed: str
    databases: tuple[str, ...]
    summary: str
    said: Mapping[str, str]
    accepted: Acceptance | None = field(default=None)

    @property
    def present(self) -> bool | None:
        """Whether a file of the package is in the image; None when the image is not there."""
        return None if self.component.files is None else bool(self.component.files)

    @property
    def minor(self) -> bool:
        """Whether Debian says that it does not matter, or that it is not worth an advisory."""
        return self.said.get("urgency") == "unimportant" or "no_dsa" in self.said

    def counts(self, fail_on: FailOn) -> bool:
        """Whether an audit fails on it. One that is accepted, or in no file of the image, never counts."""
        if fail_on is FailOn.NEVER or self.accepted is not None or self.present is False:
            return False
        if fail_on is FailOn.ALL or self.state is FixState.FIXABLE:
            return True
        return fail_on is FailOn.OPEN and not self.minor


def collect(components: Iterable[Component], ask: Sequence[Callable[[Component], list[Advisory]]]) -> list[Finding]:
    """What the databases say of the components, in the order of component and identifier."""
    found = []
    for component in components:
        groups: list[list[Advisory]] = []
        of_name: dict[str, list[Advisory]] = {}
        for advisory in (one for database in ask for one in database(component)):
            group = next((of_name[name] for name in (advisory.id, *advisory.names) if name in of_name), None)
            if group is None:
                groups.append(group := [])
            group.append(advisory)
            of_name |= dict.fromkeys((advisory.id, *advisory.names), group)
        found += [_merged(component, one) for one in groups]
    return sorted(found, key=_place)


def _merged(component: Component, same: list[Advisory]) -> Finding:
    state = max((one.state for one in same), key=_WORST.index)
    order: Callable[[str], Order] = debian_order if component.ecosystem is Ecosystem.DEBIAN else python_order
    fixes = [one.fixed for one in same if one.state is FixState.FIXABLE]
    said: dict[str, str] = {}
    for one in reversed(same):
        said |= one.said
    chosen = min((one.id for one in same if one.id.startswith("CVE-")), default=same[0].id)
    return Finding(
        component,
        chosen,
        tuple(sorted({name for one in same for name in (one.id, *one.names)} - {chosen})),
        state,
        max(fixes, key=order, default=""),
        tuple(dict.fromkeys(one.database for one in same)),
        next((one.summary for one in same if one.summary), ""),
        said,
    )


def _place(finding: Finding) -> tuple[str, str, tuple[tuple[int, str], ...]]:
    # CVE-2026-999 before CVE-2026-1000.
    parts = finding.id[:100].split("-")
    numbered = tuple((int(part), "") if part.isdecimal() else (0, part) for part in parts)
    return finding.component.name, finding.component.package, numbered


def decide(
    findings: Iterable[Finding], decisions: Sequence[Acceptance], today: datetime.date
) -> tuple[list[Finding], list[str]]:
    """The findings with the team's decisions, and a sentence for each decision that has ended or fits no finding."""
    decided, used = list[Finding](), set[Acceptance]()
    for finding in findings:
        one = accepted.find(decisions, (finding.id, *finding.names), finding.component.name)
        if one is not None:
            used.add(one)
        decided.append(finding if one is None or one.ended(today) else replace(finding, accepted=one))
    notes = []
    for one in decisions:
        if one.ended(today):
            notes.append(f"The acceptance of {one.id} in {one.package} ended on {one.until}.")
        elif one not in used:
            notes.append(f"The acceptance of {one.id} in {one.package} fits no finding: remove it.")
    return decided, notes
