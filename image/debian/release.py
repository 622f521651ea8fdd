"""What Debian's archive says about itself: the signed ``InRelease`` and the index that it names.

Nothing of an index is read before its signature is checked, and only what the signature covers is read.
Source: Debian repository format (wiki.debian.org/DebianRepository/Format) and apt-secure(8).
"""

import hashlib
import lzma
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self

from pysequoia import Cert, verify

from image.debian.deb822 import stanzas
from image.debian.packages import Package
from image.errors import ImageError

INDEX = "main/binary-amd64/Packages.xz"


class ArchiveError(ImageError):
    """The archive's index is not what Debian signed, or is too old."""

    remedy = "Run the command again later, or choose another mirror with CLOISTER_DEBIAN_MIRROR."


@dataclass(frozen=True)
class Release:
    """A verified ``InRelease``: which suite, when it was made, until when it holds, and its files' digests."""

    codename: str
    date: datetime
    valid_until: datetime | None
    files: dict[str, tuple[str, int]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """``text`` is what the signature covers. ``files`` maps a name to (SHA-256, size in bytes)."""
        fields = next(stanzas(text), {})
        files: dict[str, tuple[str, int]] = {}
        try:
            for line in fields["SHA256"].splitlines():
                if line.strip():
                    digest, size, name = line.split()
                    files[name] = (digest, int(size))
            until = fields.get("Valid-Until")
            return cls(fields["Codename"], _time(fields["Date"]), _time(until) if until else None, files)
        except (KeyError, ValueError) as error:
            raise ArchiveError(f"The archive's InRelease lacks a usable field: {error}.") from error


def _time(text: str) -> datetime:
    # Debian writes "UTC", which RFC 5322 readers take for an unknown zone.
    return parsedate_to_datetime(text.replace("UTC", "+0000")).astimezone(UTC)


def verify_release(content: bytes, keyring: bytes, *, codename: str, now: datetime) -> Release:
    """Check the signature over an ``InRelease`` and that it holds for ``codename`` at ``now``.

    ``keyring`` holds OpenPGP certificates. Raises ArchiveError when no key of the keyring that is in force
    signed it, when it names another suite, or when it is out of date.
    """
    certificates = Cert.split_bytes(keyring)
    try:
        verified = verify(content, lambda _: certificates)
    except (RuntimeError, ValueError, OSError) as error:
        raise ArchiveError(
            f"The signature of the archive's InRelease for {codename} does not verify with Debian's archive keys.",
            hint="Something between Debian and this machine changed it, or the keys in image/keys/ are too old.",
        ) from error
    expiry = {certificate.fingerprint: certificate.expiration for certificate in certificates}
    signers = [signature.certificate for signature in verified.valid_sigs]
    if not any(signer in expiry and not _passed(expiry[signer], now) for signer in signers):
        raise ArchiveError(f"Every key that signed the archive's InRelease for {codename} has expired.")
    if verified.bytes is None:
        raise ArchiveError(f"The archive's InRelease for {codename} carries no text under its signature.")
    release = Release.parse(verified.bytes.decode())
    if release.codename != codename:
        raise ArchiveError(f"The archive answered with an InRelease for {release.codename}, not for {codename}.")
    if _passed(release.valid_until, now):
        raise ArchiveError(
            f"The archive's index for {codename} was valid until {release.valid_until:%Y-%m-%d %H:%M} UTC, "
            f"and it is {now:%Y-%m-%d %H:%M} UTC.",
            hint="The mirror is stale (choose another with CLOISTER_DEBIAN_MIRROR), or this machine's clock is wrong.",
        )
    return release


def _passed(limit: datetime | None, now: datetime) -> bool:
    return limit is not None and limit <= now


def refuse_older(release: Release, known: datetime) -> None:
    """Raise ArchiveError when ``release`` is older than the one that a lock was made from (``known``)."""
    if release.date < known:
        raise ArchiveError(
            f"The mirror's index for {release.codename} is of {release.date:%Y-%m-%d %H:%M} UTC, older than the lock's "
            f"of {known:%Y-%m-%d %H:%M} UTC.",
            hint="A mirror that goes back in time may be hiding updates; choose another with CLOISTER_DEBIAN_MIRROR.",
        )


def read_index(release: Release, compressed: bytes) -> list[Package]:
    """The packages of ``main/binary-amd64/Packages.xz``, after comparing it with what the release says."""
    digest, size = release.files.get(INDEX, ("", -1))
    found = hashlib.sha256(compressed).hexdigest()
    if (found, len(compressed)) != (digest, size):
        raise ArchiveError(
            f"The index {INDEX} of {release.codename} has the SHA-256 {found}, and its InRelease says {digest}.",
            hint="The mirror may be in the middle of an update; try again in some minutes.",
        )
    return [Package.parse(fields) for fields in stanzas(lzma.decompress(compressed).decode())]
