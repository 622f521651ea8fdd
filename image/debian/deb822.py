"""Parse deb822 files: the format of Debian's control files, indexes and sources.

Source: deb822(5).
"""

import re
from collections.abc import Iterator

from image.errors import ImageError


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield each paragraph as field name -> value, continuation lines joined by newlines. Raises ImageError."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t":
                if not key:
                    raise ImageError(f"Invalid deb822 file: a paragraph begins with the continuation line {line!r}.")
                fields[key] += "\n" + line.strip()
                continue
            key, colon, value = line.partition(":")
            if not colon:
                raise ImageError(f"Invalid deb822 file: expected 'Field: value', found {line!r}.")
            fields[key] = value.strip()
        if fields:
            yield fields
