"""The path at which a member is unpacked."""

import re

from cloister.protocol import names
from cloister.protocol.archives.errors import ArchiveError

_HERE = re.compile(r"(?:\./)*+")
_RENAME = "Rename it, then repack the archive."
_UTF8 = "Unpack it where it was made, and repack it with names in UTF-8 (7-Zip: parameter `cu=on`; Linux: `convmv`)."


def clean(name: str, *, folder: bool = False) -> str:
    """The path of the member ``name`` below the folder of its archive; empty for that folder itself.

    ``./`` at the beginning is dropped, and for a folder one ``/`` at the end. Raises ArchiveError.
    """
    path = name.removesuffix("/") if folder else name
    path = _HERE.sub("", path, count=1) if path.startswith("./") else path
    if folder and path in ("", ".") and not name.startswith("/"):
        return ""
    if (why := names.path_problem(path)) is not None:
        raise ArchiveError(f"Member {shown(name)} {why}.", hint=_RENAME)
    return path


def decode_name(name: bytes, *, encoding_is_stated: bool = True) -> str:
    """A member's name from its bytes. Raises ArchiveError unless it is UTF-8."""
    if 0 in name:
        raise ArchiveError(f"Member {shown(name)} has a zero byte in its name.", hint=_RENAME)
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        why = "has a name that is not UTF-8"
        if not encoding_is_stated:
            why += ", and the archive does not say in which of many encodings it is"
        raise ArchiveError(f"Member {shown(name)} {why}.", hint=_UTF8) from error


def shown(name: str | bytes) -> str:
    """A member's name for a message: at most 200 characters, nothing that does not print."""
    text = name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
    return names.shown(text[:200]) + ("..." if len(text) > 200 else "")
