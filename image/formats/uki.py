"""Write the unified kernel image: systemd-stub with kernel, initrd, command line and os-release as PE sections.

UAPI Group Specification 5, "Unified Kernel Image"; systemd-stub(7), version 257.
"""

import hashlib
from dataclasses import dataclass

from image.formats import pe

# The order in which systemd-stub 257 measures existing sections (unified_section_measure and UnifiedSection in
# src/fundamental/uki.h); .pcrsig is never measured.
MEASURED_SECTIONS = (
    ".linux",
    ".osrel",
    ".cmdline",
    ".initrd",
    ".ucode",
    ".splash",
    ".dtb",
    ".uname",
    ".sbat",
    ".pcrpkey",
)


@dataclass(frozen=True)
class UkiParts:
    """The parts of a UKI; ``command_line`` has no trailing NUL or newline."""

    stub: bytes
    linux: bytes
    initrd: bytes
    command_line: str
    os_release: bytes


def build(parts: UkiParts) -> bytes:
    """The unsigned UKI. Its .sbat section is the stub's own."""
    return pe.append_sections(
        parts.stub,
        [
            (".osrel", parts.os_release),
            (".cmdline", parts.command_line.encode("ascii")),
            (".initrd", parts.initrd),
            (".linux", parts.linux),
        ],
    )


def listing(image: bytes) -> dict[str, dict[str, str]]:
    """Section -> SHA-256 of its contents (hex), for ``files.json``."""
    return {name: {"sha256": hashlib.sha256(contents).hexdigest()} for name, contents in pe.sections(image).items()}
