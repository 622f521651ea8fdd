"""Parse deb822 files: the format of Debian's control files, indexes and sources.

Source: deb822(5).
"""

import re
from collections.abc import Iterator

from image.errors import ImageError


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of a deb822 file, as field name -> value (continuation lines joined by newlines)."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t":
                if not key:
                    raise ImageError(f"A paragraph begins with a continuation line: {line!r}.")
                fields[key] += "\n" + line.strip()
                continue
            key, colon, value = line.partition(":")
            if not colon:
                raise ImageError(f"A line is not 'Field: value': {line!r}.")
            fields[key] = value.strip()
        if fields:
            yield fields
