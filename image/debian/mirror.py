"""The mirror from which Debian's files are fetched: that of the environment, or of this host's apt.

``CLOISTER_DEBIAN_MIRROR`` is an address with ``debian/`` and ``debian-security/`` below it.
``CLOISTER_DEBIAN_SNAPSHOT`` is the address of an archive that keeps superseded packages, with
``archive/debian/<time>/`` below it; it is used only when it is set and the mirror no longer has a file.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from image.debian.deb822 import stanzas
from image.errors import ImageError

ARCHIVES = ("debian", "debian-security")
APT = Path("/etc/apt")
ADVICE = (
    "Set CLOISTER_DEBIAN_MIRROR=http://HOST, a mirror with debian/ and debian-security/ below it. "
    "If the mirror no longer has a locked package, also set CLOISTER_DEBIAN_SNAPSHOT=http://HOST, an archive of "
    "superseded packages with archive/debian/ below it."
)
_ONE_LINE = re.compile(r"deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>https?://\S+)\s")


class MirrorError(ImageError):
    """No Debian mirror is configured on this machine."""


@dataclass(frozen=True)
class Mirror:
    """Base address of each archive, without a final slash, and of a snapshot archive (empty if not set)."""

    bases: Mapping[str, str]
    snapshot: str = ""

    @classmethod
    def of_host(cls, environment: Mapping[str, str] = os.environ, apt: Path = APT) -> Self:
        """The mirror that the environment names, else apt's. Raises MirrorError if neither is usable."""
        snapshot = environment.get("CLOISTER_DEBIAN_SNAPSHOT", "").rstrip("/")
        named = environment.get("CLOISTER_DEBIAN_MIRROR", "").rstrip("/")
        for variable, address in (("CLOISTER_DEBIAN_SNAPSHOT", snapshot), ("CLOISTER_DEBIAN_MIRROR", named)):
            if address and not address.startswith(("http://", "https://")):
                raise MirrorError(
                    f"{variable} is {address!r}, expected an address.", hint="Set it to http://HOST, or unset it."
                )
        if named:
            return cls({archive: f"{named}/{archive}" for archive in ARCHIVES}, snapshot)
        bases: dict[str, str] = {}
        for address in _apt_addresses(apt):
            bases.setdefault(address.rpartition("/")[2], address)
        if "debian" not in bases:
            raise MirrorError(
                "No Debian mirror: CLOISTER_DEBIAN_MIRROR is not set, and this host's apt has none.",
                hint=ADVICE,
            )
        bases.setdefault("debian-security", f"{bases['debian']}-security")
        return cls(bases, snapshot)

    def address(self, archive: str, path: str) -> str:
        return f"{self.bases[archive]}/{path}"

    def snapshot_address(self, archive: str, path: str, index: datetime) -> str:
        """The address of ``path`` in the snapshot of one day after the index: by then it has been copied there."""
        return f"{self.snapshot}/archive/{archive}/{index + timedelta(days=1):%Y%m%dT%H%M%SZ}/{path}"


def _apt_addresses(apt: Path) -> Iterator[str]:
    """The addresses of Debian's archives in sources.list and *.sources, see sources.list(5)."""
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for address in _deb822(text) if path.suffix == ".sources" else _one_line(text):
            if address.rpartition("/")[2] in ARCHIVES:
                yield address


def _one_line(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if found := _ONE_LINE.match(line.strip()):
            yield found["uri"].rstrip("/")


def _deb822(text: str) -> Iterator[str]:
    for fields in stanzas(text):
        if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes").lower() not in ("no", "false"):
            yield from (uri.rstrip("/") for uri in fields.get("URIs", "").split() if re.match(r"https?://", uri))
