"""A publisher's statement: which of its images are current, and which it has withdrawn.

Each statement replaces the one before: it lists every image, has a higher counter, and expires, so that someone who
keeps a newer one from a party is noticed (as in The Update Framework 1.0, section 5.3: rollback and freeze attacks).
Source: in-toto Attestation Framework, Statement v1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from cloister.protocol import canonical, dsse, schema

PREDICATE_TYPE = "urn:cloister:image-lifecycle:v1"
_WHAT = "The life cycle"


class ImageStatus(StrEnum):
    """What a publisher says of an image."""

    CURRENT = "current"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class ListedImage:
    """One image.

    flavor: the name of its recipe.
    status: whether it may be used.
    indexed: the date of the oldest index of Debian that its lock was made from: the age of an image counts from there,
        and not from a build, which can be repeated at any time.
    """

    flavor: str
    status: ImageStatus
    indexed: datetime


@dataclass(frozen=True)
class LifeCycle:
    """What a publisher states. ``images`` are by the digest of their manifest, hex."""

    counter: int
    issued: datetime
    expires: datetime
    images: Mapping[str, ListedImage]

    def payload(self) -> bytes:
        """The in-toto statement, canonical JSON. Raises FormatError for what no reader would accept."""
        value = {
            "_type": dsse.STATEMENT_TYPE,
            "subject": [
                {"name": f"cloister-{image.flavor}", "digest": {"sha256": digest}}
                for digest, image in sorted(self.images.items())
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "version": 1,
                "counter": self.counter,
                "issued": canonical.to_time(self.issued),
                "expires": canonical.to_time(self.expires),
                "images": {
                    digest: {
                        "flavor": image.flavor,
                        "status": image.status.value,
                        "indexed": canonical.to_time(image.indexed),
                    }
                    for digest, image in self.images.items()
                },
            },
        }
        self.from_value(value)
        return canonical.encode(value)

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From a statement's JSON value. Raises FormatError."""
        schema.validate("image/image-lifecycle", value, what=_WHAT)
        stated = value["predicate"]
        images = {
            digest: ListedImage(one["flavor"], ImageStatus(one["status"]), _time(one["indexed"], "indexed"))
            for digest, one in stated["images"].items()
        }
        found = cls(stated["counter"], _time(stated["issued"], "issued"), _time(stated["expires"], "expires"), images)
        if sorted(one["digest"]["sha256"] for one in value["subject"]) != sorted(images):
            raise canonical.FormatError(f"{_WHAT} has other subjects than images.")
        if found.expires <= found.issued:
            raise canonical.FormatError(f"{_WHAT} expires before it is issued.")
        if any(image.indexed > found.issued for image in images.values()):
            raise canonical.FormatError(f"{_WHAT} has an image that is newer than itself.")
        return found


def _time(text: str, member: str) -> datetime:
    return canonical.from_time(text, what=f"{_WHAT}: {member}")
