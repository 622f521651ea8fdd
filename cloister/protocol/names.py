"""The rule for names of files: assets, members of folders and archives, and result files, at every level.

People's files have spaces, colons, brackets, quotes and letters of every script in their names, composed (NFC) or not
(NFD). Names are kept byte for byte: the algorithm opens a file by the name that its provider gave it.
Refused is what leads to another place, what no file system takes, and what a reader cannot see. Standard library only,
and the same answer under every version of Python: tables are frozen (``cloister.protocol.text``), and NFC is that of
Unicode 3.2, which Python has for this purpose.
"""

import re
import shlex
import unicodedata
from collections.abc import Iterable

from cloister.protocol import text

MAX_NAME = 255
"""Bytes of a name in UTF-8: NAME_MAX of Linux."""

MAX_PATH = 1024
"""Bytes of a path in UTF-8, with the names of its folders: PATH_MAX of macOS, the smallest of any consumer's system."""

RESULT_NAMES = 512 * 1024
"""Bytes of all paths of a result's files."""

MAX_DEPTH = 34
"""Names in a path: 32 folders and a file below ``results`` or a dataset's folder. Trees are walked with one or
two open folders for each level."""

_PLAIN = re.compile(r"(?=.*[A-DF-Za-df-z_])[A-Za-z0-9_/][A-Za-z0-9._+/-]*")
"""Needs no quotes: in YAML, it is neither a number nor punctuation."""

_USUAL = re.compile("[A-Za-z0-9_][A-Za-z0-9 ._+-]*")
"""Most names are of these characters, with which nothing can be wrong but the length."""

_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
_NO_CHARACTER = re.compile(
    "[\ue000-\uf8ff\ufdd0-\ufdef\U000f0000-\U0010ffff"
    + "".join(chr(plane << 16 | last) for plane in range(15) for last in (0xFFFE, 0xFFFF))
    + "]"
)
"""Private use, which looks like anything, and what will never be a character."""

_WORDS = ("true", "false", "null")

PROOF_FOLDER = "cloister"
"""Folder of a result's zip with the proof; the files of the run lie beside it."""

_SHORT_PROOF_FOLDER = re.compile(r"cloist~[0-9]", re.IGNORECASE)
"""The name of 8 characters that Windows may give to this folder, too."""


def problem(name: str) -> str | None:
    """Return why ``name`` cannot be the name of a file or folder, as the rest of a sentence; None if it can."""
    if len(name) <= MAX_NAME and _USUAL.fullmatch(name):
        return None
    if not name:
        return "is empty"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:  # on Linux a name is any bytes
        return "is not UTF-8"
    if size > MAX_NAME:
        return f"has {size} bytes; a name has at most {MAX_NAME}"
    if "/" in name:
        return "contains a /, which separates folders"
    # A backslash is a character of a name here, but separates folders on Windows, where a result may be unpacked.
    if any(part in ("", ".", "..") for part in name.split("\\")) or re.match(r"[A-Za-z]:(\\|\Z)", name):
        return "leads out of its folder, here or on Windows"
    if found := _CONTROL.search(name):
        return f"contains the control character U+{ord(found[0]):04X}"
    if found := _NO_CHARACTER.search(name):
        return f"contains U+{ord(found[0]):04X}, which is not a Unicode character"
    if (invisible := text.first_invisible(name)) is not None:
        return f"contains the invisible character {invisible}"
    return None


def path_problem(path: str) -> str | None:
    """Return why ``path`` cannot be a relative path inside a folder, ``/`` between its names; None if it can."""
    if path.startswith("/"):
        return "is an absolute path"
    parts = path.split("/")
    if "" in parts:
        return "is empty, ends with / or has two of them side by side"
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    if size > MAX_PATH:
        return f"has {size} bytes; a path has at most {MAX_PATH}"
    if len(parts) > MAX_DEPTH:
        return f"lies {len(parts) - 1} folders deep; at most {MAX_DEPTH - 1} are possible"
    return next((why for part in parts if (why := problem(part)) is not None), None)


def same_as(name: str) -> str:
    """The form (NFC) in which two names or paths are equal if they look the same and differ in their bytes only.

    macOS and some network drives take such names for one. Upper and lower case are different everywhere here.
    """
    return name if name.isascii() else unicodedata.ucd_3_2_0.normalize("NFC", name)


def twins(found: Iterable[str]) -> tuple[str, str] | None:
    """The first two of some names, or paths, that are the same (:func:`same_as`); None if all differ."""
    seen: dict[str, str] = {}
    for name in found:
        key = same_as(name)
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None


def in_proof_folder(path: str) -> bool:
    """Return whether ``path`` in a result is the proof's folder or lies in it, on any system on which it is unpacked.

    Some take upper and lower case for the same; Windows also drops dots and spaces at the end, takes backslashes for
    slashes, and what follows a colon for a part of the same folder. A file of the run there could replace a part of the
    proof.
    """
    top = re.split(r"[/\\:]", same_as(path), maxsplit=1)[0]
    return top.rstrip(" .").casefold() == PROOF_FOLDER or _SHORT_PROOF_FOLDER.match(top) is not None


def shown(name: str) -> str:
    """``name`` for a reader: unchanged, or in quotes if a space or an odd character could mislead.

    In quotes, whatever does not print is an escape, and so is every letter that is not ASCII in a name that is not NFC.
    A name that :func:`problem` accepts can be pasted into YAML or JSON in this form.
    """
    if len(name) > MAX_PATH:
        return f"{shown(name[:MAX_PATH])}..."
    if _PLAIN.fullmatch(name) and name not in _WORDS:
        return name
    escaped = same_as(name) != name
    return '"' + "".join(_shown(char, escaped) for char in name) + '"'


def quoted(path: str) -> str:
    """``path`` as a word of a command that a reader may copy into a shell: one word, no option, no command in it."""
    said = text.printable(path)
    return shlex.quote(f"./{said}" if said.startswith("-") else said)


def _shown(char: str, escaped: bool) -> str:
    point = ord(char)
    if char in '"\\':
        return f"\\{char}"
    if char.isascii() and char.isprintable():
        return char
    if 0xDC80 <= point <= 0xDCFF:  # a byte that is not UTF-8 (PEP 383)
        return f"\\x{point - 0xDC00:02x}"
    if char.isprintable() and not escaped and char != text.EMOJI:
        return char
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
