"""The licences in a package's copyright file, as far as it names them for machines.

Source: Debian's machine-readable copyright format 1.0 (DEP-5). The names are Debian's short names, such as ``GPL-2+``;
they are not translated, because the same name does not always stand for the same text as an identifier of SPDX.
"""

import re
from dataclasses import dataclass

from image.debian.deb822 import stanzas
from image.errors import ImageError

_FORMAT = re.compile(r"https?://(www\.)?debian\.org/doc/packaging-manuals/copyright-format/1\.0/?")


@dataclass(frozen=True)
class CopyrightFile:
    """``licences`` are the short names, sorted, each once. ``gap`` says what the file does not name; often empty."""

    licences: tuple[str, ...]
    gap: str

    @classmethod
    def parse(cls, content: bytes) -> "CopyrightFile":
        """From the file's bytes. A file that is not in the format has no licences, and a gap that says so."""
        try:
            paragraphs = [
                {name.lower(): value for name, value in fields.items()}
                for fields in stanzas(content.decode("utf-8", "replace"))
            ]
        except ImageError:
            return _FREE_TEXT
        if not paragraphs or not _FORMAT.fullmatch(paragraphs[0].get("format", "")):
            return _FREE_TEXT
        covering = [one for index, one in enumerate(paragraphs) if "files" in one or (index == 0 and "license" in one)]
        named = [" ".join(one.get("license", "").partition("\n")[0].split()) for one in covering]
        missing = named.count("")
        gap = f"{missing} of the {len(named)} paragraphs of its copyright file name no licence" if missing else ""
        return cls(tuple(sorted(set(named) - {""})), gap or ("" if named else "its copyright file names no licence"))


_FREE_TEXT = CopyrightFile((), "its copyright file is text for people, which names no licence for machines")
