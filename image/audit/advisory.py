"""What a database says of one component: the vulnerability, and whether the locked version has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class FixState(Enum):
    """Whether a version has a vulnerability, and whether there is another without it. The worst comes last."""

    UNDETERMINED = "undetermined"
    OPEN = "open"
    FIXABLE = "fixable"


@dataclass(frozen=True)
class Advisory:
    """A vulnerability that a component has, or may have, as one database says.

    id: a CVE's where there is one, else the database's own.
    names: other identifiers of the same vulnerability.
    fixed: the first version without it; empty without one.
    said: what else the database says and a reader needs, such as urgency, no_dsa or severity; verbatim.
    """

    database: str
    id: str
    state: FixState
    fixed: str = ""
    names: tuple[str, ...] = ()
    summary: str = ""
    said: Mapping[str, str] = field(default_factory=dict)
