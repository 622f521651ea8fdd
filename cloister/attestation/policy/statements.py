"""What a policy demands about an image beyond its measurements: statements of builders, and of a publisher."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from cloister.attestation.errors import PolicyError
from cloister.protocol import canonical, signingkey
from cloister.protocol.canonical import FormatError

_BUILDERS, _PUBLISHER = "The policy's section builders", "The policy's section publisher"


@dataclass(frozen=True)
class BuildersPolicy:
    """At least ``required`` of these builders must have made the image: name -> key (SubjectPublicKeyInfo)."""

    required: int
    keys: Mapping[str, bytes]

    def __post_init__(self) -> None:
        """Each builder counts once. Raises PolicyError."""
        object.__setattr__(self, "keys", MappingProxyType(dict(sorted(self.keys.items()))))
        if not 1 <= self.required <= len(self.keys):
            raise PolicyError(
                f"{_BUILDERS} demands {self.required} of {len(self.keys)} builders.",
                hint="Set required to a number from 1 to that of the keys.",
            )
        seen: dict[bytes, str] = {}
        for name, key in self.keys.items():
            _require_key(key, f"{_BUILDERS}: the key of {name}")
            if (other := seen.setdefault(key, name)) != name:
                raise PolicyError(f"{_BUILDERS} has the same key for {other} and {name}, so it would count twice.")

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Self:
        """From the section, which has passed the schema. Raises FormatError or PolicyError."""
        keys = {name: _key(text, f"{_BUILDERS}: the key of {name}") for name, text in value["keys"].items()}
        return cls(value["required"], keys)

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "required": self.required,
            "keys": {name: canonical.to_base64(key) for name, key in self.keys.items()},
        }


@dataclass(frozen=True)
class PublisherPolicy:
    """A statement of this publisher must list the image as current.

    name: for people.
    key: SubjectPublicKeyInfo.
    maximum_age_days: how old the Debian index may be that the image's lock was made from; None for any age.
    """

    name: str
    key: bytes
    maximum_age_days: int | None = None

    def __post_init__(self) -> None:
        """Raises PolicyError for a key that cannot sign."""
        _require_key(self.key, f"{_PUBLISHER}: its key")

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Self:
        """From the section, which has passed the schema. Raises FormatError or PolicyError."""
        return cls(value["name"], _key(value["key"], f"{_PUBLISHER}: its key"), value.get("maximum_age_days"))

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        age = {"maximum_age_days": self.maximum_age_days} if self.maximum_age_days is not None else {}
        return {"name": self.name, "key": canonical.to_base64(self.key), **age}


def _key(text: str, what: str) -> bytes:
    return canonical.from_base64(text, what=what)


def _require_key(key: bytes, what: str) -> None:
    try:
        signingkey.load_public_key(key)
    except FormatError as error:
        raise PolicyError(
            f"{what} cannot be used: {error.message}", hint="A key is the base64url form of its SubjectPublicKeyInfo."
        ) from error
