"""Uniform resource names, as the Pulumi engine writes them: ``urn:pulumi:STACK::PROJECT::TYPE$...$TYPE::NAME``.

Only the name may contain ``::`` itself. The chain holds the types of the parents, the resource's own type last.
"""

from dataclasses import dataclass
from typing import Self, TypeAlias

Key: TypeAlias = tuple[str, str]
"""Type and logical name of a resource."""


@dataclass(frozen=True)
class Urn:
    """``type`` is the resource's own, without those of its parents."""

    stack: str
    type: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for a text that is not a URN."""
        stack, _, chain, name = text.removeprefix("urn:pulumi:").split("::", 3)
        return cls(stack, chain.rpartition("$")[2], name)

    @property
    def key(self) -> Key:
        return self.type, self.name


def key_of(text: str) -> Key:
    """Type and name from the URN ``text``; of any other text no type, and the text as the name."""
    try:
        return Urn.parse(text).key
    except ValueError:
        return "", text
