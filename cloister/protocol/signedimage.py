"""The statement about an image that its publisher signed for Secure Boot: keys, signed files, and what they measure.

The image's manifest stays the same, because it holds nothing that depends on a key: anyone can rebuild what was signed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from cryptography import x509

from cloister.protocol import canonical, schema
from cloister.protocol.imagemanifest import ImageEvent, ImageManifest, ImageOutput, event_values, parse_events

MAX_SIZE = 256 * 1024

FILE = "signed.json"
"""The name of the statement in the folder of a signed image."""

PROGRAMS, SECURE_BOOT = 4, 7
"""The registers that Secure Boot changes: the programs that firmware started, and its keys."""

DB = "db"
"""The name of the variable with the key that signs images."""

_WHAT = "The statement about a signed image"


@dataclass(frozen=True)
class SignedImage:
    """``manifest`` is the digest of the image's manifest (hex); ``outputs`` are the signed files and those of the keys.

    ``certificates`` are those of the keys PK, KEK and db (X.509, DER) by name. ``pcrs`` are PCR 4 and 7 with Secure
    Boot on, by index (hex, sha256 bank), and ``events`` what leads to them. PCR 7 is that of a firmware that has these
    keys and no others.
    """

    manifest: str
    certificates: Mapping[str, bytes]
    outputs: Mapping[str, ImageOutput]
    pcrs: Mapping[int, str]
    events: Mapping[int, tuple[ImageEvent, ...]]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From JSON of at most 256 KiB. Raises FormatError, also for events that do not lead to a register's value."""
        value = canonical.parse(data, what=_WHAT, limit=MAX_SIZE)
        schema.validate("image/signed-image", value, what=_WHAT)
        measured = value["measurements"]
        return cls(
            manifest=value["manifest"],
            certificates={
                name: _certificate(text, f"{_WHAT}: the certificate of {name}")
                for name, text in value["certificates"].items()
            },
            outputs={name: ImageOutput(one["sha256"], one["size"]) for name, one in value["outputs"].items()},
            pcrs={int(index): digest for index, digest in measured["pcrs"].items()},
            events=parse_events(measured, _WHAT),
        )

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(
            {
                "version": 1,
                "manifest": self.manifest,
                "certificates": {name: canonical.to_base64(der) for name, der in self.certificates.items()},
                "outputs": {name: {"sha256": one.sha256, "size": one.size} for name, one in self.outputs.items()},
                "measurements": {
                    "pcrs": {str(index): digest for index, digest in self.pcrs.items()},
                    "events": event_values(self.events),
                },
            }
        )

    def digest(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes: the name of the signed image where it is published."""
        return hashlib.sha256(self.encode()).digest()

    def check(self, image: ImageManifest) -> None:
        """Raises FormatError if the statement is not about ``image``, or PCR 4 does not follow from its manifest."""
        digest = image.digest().hex()
        if self.manifest != digest:
            raise canonical.FormatError(
                f"{_WHAT} is about another image (manifest: {digest}, statement: {self.manifest}).",
                hint="Ask its publisher for the statement about this image, or use the manifest of that one.",
            )
        started = image.events.get(PROGRAMS)
        if not started or self.events[PROGRAMS] != programs(started):
            raise canonical.FormatError(
                f"{_WHAT}: PCR 4 does not follow from the events in the image's manifest.",
                hint="Do not use it: it would accept a machine that started another program.",
            )


def _certificate(text: str, what: str) -> bytes:
    der = canonical.from_base64(text, what=what)
    try:
        x509.load_der_x509_certificate(der)
    except Exception as error:  # the library raises several unrelated exceptions for hostile input
        raise canonical.FormatError(f"{what} is not a certificate (X.509, DER).") from error
    return der


def programs(events: Sequence[ImageEvent]) -> tuple[ImageEvent, ...]:
    """The events of PCR 4 with Secure Boot on, from those with Secure Boot off: firmware starts the UKI alone.

    Its stub then starts the kernel past the firmware's check, which would not know the kernel's signature, and so past
    its measurement (systemd-stub 257, src/boot/linux.c). The kernel is a section of the UKI, whose digest covers it.
    """
    return tuple(events)[:-1]
