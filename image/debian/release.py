"""Verify Debian's signed ``InRelease`` and the package index that it names.

An index is read only after its signature has been verified, and only its signed text is.
Source: Debian repository format (wiki.debian.org/DebianRepository/Format) and apt-secure(8).
"""

import hashlib
import lzma
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self

from pysequoia import Cert, verify

from cloister.protocol.text import required_decimal
from image.debian.deb822 import stanzas
from image.debian.packages import Package
from image.errors import ImageError

INDEX = "main/binary-amd64/Packages.xz"


class ReleaseError(ImageError):
    """The archive's index has no valid signature, another digest, or is too old."""

    remedy = "Run the command again later, or choose another mirror with CLOISTER_DEBIAN_MIRROR."


@dataclass(frozen=True)
class DebianRelease:
    """A verified ``InRelease``.

    ``files`` maps a file name to (SHA-256, size in bytes); ``valid_until`` is None if the field is missing.
    """

    codename: str
    date: datetime
    valid_until: datetime | None
    files: dict[str, tuple[str, int]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``text``, which is what the signature covers. Raises ReleaseError for a missing or invalid field."""
        fields = next(stanzas(text), {})
        files: dict[str, tuple[str, int]] = {}
        try:
            for line in fields["SHA256"].splitlines():
                if line.strip():
                    digest, size, name = line.split()
                    files[name] = (digest, required_decimal(size))
            until = fields.get("Valid-Until")
            return cls(fields["Codename"], _time(fields["Date"]), _time(until) if until else None, files)
        except (KeyError, ValueError) as error:
            raise ReleaseError(f"The archive's InRelease has a missing or invalid field: {error}.") from error


def _time(text: str) -> datetime:
    # Debian writes "UTC", which RFC 5322 readers take for an unknown zone.
    return parsedate_to_datetime(text.replace("UTC", "+0000")).astimezone(UTC)


def verify_release(content: bytes, keyring: bytes, *, codename: str, now: datetime) -> DebianRelease:
    """Check that an ``InRelease`` is signed, for the suite ``codename``, and valid at ``now``.

    ``keyring`` holds OpenPGP certificates. Raises ReleaseError when no unexpired key of the keyring signed it, when it
    is for another suite, or when it is out of date.
    """
    certificates = Cert.split_bytes(keyring)
    try:
        verified = verify(content, lambda _: certificates)
    except (RuntimeError, ValueError, OSError) as error:
        raise ReleaseError(
            f"The signature of the archive's InRelease for {codename} does not verify with Debian's archive keys.",
            hint="It was changed on the way from Debian, or the keys in image/debian/keys/ are out of date.",
        ) from error
    expiry = {certificate.fingerprint: certificate.expiration for certificate in certificates}
    signers = [signature.certificate for signature in verified.valid_sigs]
    if not any(signer in expiry and not _is_past(expiry[signer], now) for signer in signers):
        raise ReleaseError(f"Every key that signed the archive's InRelease for {codename} has expired.")
    if verified.bytes is None:
        raise ReleaseError(f"The archive's InRelease for {codename} has no signed text.")
    release = DebianRelease.parse(verified.bytes.decode())
    if release.codename != codename:
        raise ReleaseError(f"The mirror served an InRelease for {release.codename}, not for {codename}.")
    if _is_past(release.valid_until, now):
        raise ReleaseError(
            f"The archive's index for {codename} was valid until {release.valid_until:%Y-%m-%d %H:%M} UTC; "
            f"now it is {now:%Y-%m-%d %H:%M} UTC.",
            hint="Set CLOISTER_DEBIAN_MIRROR to another mirror if this one is stale, or correct this machine's clock.",
        )
    return release


def _is_past(limit: datetime | None, now: datetime) -> bool:
    return limit is not None and limit <= now


def refuse_older(release: DebianRelease, known: datetime) -> None:
    """Raise ReleaseError when ``release`` is older than ``known``, the date of the index that a lock was made from."""
    if release.date < known:
        raise ReleaseError(
            f"The mirror's index for {release.codename} ({release.date:%Y-%m-%d %H:%M} UTC) is older than the lock's "
            f"index ({known:%Y-%m-%d %H:%M} UTC).",
            hint="An old index may hide updates. Set CLOISTER_DEBIAN_MIRROR to another mirror.",
        )


def read_index(release: DebianRelease, compressed: bytes) -> list[Package]:
    """Check ``main/binary-amd64/Packages.xz`` against the release and return its packages. Raises ReleaseError."""
    digest, size = release.files.get(INDEX, ("", -1))
    found = hashlib.sha256(compressed).hexdigest()
    if (found, len(compressed)) != (digest, size):
        raise ReleaseError(
            f"The index {INDEX} of {release.codename}: SHA-256 differs (InRelease: {digest}, file: {found}).",
            hint="The mirror may be updating. Try again in a few minutes.",
        )
    return [Package.parse(fields) for fields in stanzas(lzma.decompress(compressed).decode())]
