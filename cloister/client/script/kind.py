"""The kind of an algorithm's file, if it is certainly not a Python program."""

import codecs
import io
import json
import re
import shlex
import tokenize
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError

# First bytes of files that are not text.
_BINARY = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x7fELF", "a compiled program or library (ELF)"),
    (b"MZ", "a program for Windows"),
    (b"\xcf\xfa\xed\xfe", "a program for macOS (Mach-O)"),
    (b"\xca\xfe\xba\xbe", "a program for macOS or Java"),
    (b"\x00asm", "a WebAssembly module"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "a file in HDF5"),
    (b"PAR1", "a file in Parquet"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\xd0\xcf\x11\xe0", "a document of Microsoft Office"),
    (b"\x80", "a pickle"),
)

_TAR_MAGIC = 257
"""Where a tar archive says what it is (POSIX.1-2024, pax, "ustar Interchange Format")."""

_POINTER = b"version https://git-lfs.github.com/spec/"

# Beginnings of text that no version of Python compiles.
_TEXT = (
    ("<!doctype html", "a web page (HTML)", "Download the file itself, not the page that shows it."),
    ("<html", "a web page (HTML)", "Download the file itself, not the page that shows it."),
    ("<?xml", "an XML document", ""),
    (_POINTER.decode(), "a pointer of Git LFS", "Get the file itself: git lfs pull."),
    ("%pdf-", "a PDF document", ""),
    ("{\\rtf", "a document in RTF", "Save it as plain text."),
    ("#!/bin/sh", "a shell script", ""),
    ("#!/bin/bash", "a shell script", ""),
    ("#!/usr/bin/env bash", "a shell script", ""),
    ("#!/usr/bin/env rscript", "a script in R", ""),
)
_SHEBANG = "#!"

_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CODING = re.compile(rb"[ \t\f]*#.*?coding[:=]")  # PEP 263
_SAMPLE = 4096
_PROGRAM = "Name a Python program as text, one .py file."


def require_source(name: str, data: bytes) -> None:
    """Raise InputError, with what the file is and what to do, unless ``data`` may be the source of a program."""
    if (encoding := _wide(data)) is not None:
        wide = encoding.rpartition("-")[0].upper()
        raise InputError(
            f"{name} is text in {wide}; Python reads UTF-8.",
            hint=f"Save it as UTF-8, for example: iconv -f {wide} -t UTF-8 OLD >NEW.",
        )
    text = _decoded(name, data)
    start = text[:_SAMPLE].lstrip("\ufeff \t\r\n").lower()
    for first, kind, hint in _TEXT:
        if start.startswith(first) and not first.startswith(_SHEBANG):
            raise InputError(f"{name} is {kind}, not a Python program.", hint=hint or _PROGRAM)
    _require_no_json(name, text)


def described(data: bytes) -> str | None:
    """Name the kind of a file by its first bytes, for a better sentence; None if they say nothing."""
    if data[2:4] == b"\r\n" and b"\0" in data[:16]:
        return "compiled Python (.pyc)"
    if data[_TAR_MAGIC : _TAR_MAGIC + 5] == b"ustar":
        return "a tar archive"
    return next((what for first, what in _BINARY if data.startswith(first)), None)


def remedy(data: bytes) -> str | None:
    """What to do with a file of another kind; None if the machine cannot run it in any way."""
    if data[_TAR_MAGIC : _TAR_MAGIC + 5] == b"ustar":
        return "If it is an image of a container, write `kind: oci`."
    runs = {b"\x7fELF": "binary", b"\0asm": "wasm"}
    return next((f"Write `kind: {name}`." for first, name in runs.items() if data.startswith(first)), None)


def is_shell(data: bytes) -> str | None:
    """The kind of script that the first line of a file names; None if it is Python or nothing."""
    start = data[:100].decode("utf-8", "replace").lower()
    return next((kind for first, kind, _ in _TEXT if first.startswith(_SHEBANG) and start.startswith(first)), None)


def _decoded(name: str, data: bytes) -> str:
    """The text of a source in the encoding that Python reads it in (PEP 263 and 3120)."""
    if b"\0" in data:
        if (kind := described(data)) is not None:
            raise InputError(f"{name} is {kind}, not a Python program.", hint=remedy(data) or _PROGRAM)
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise InputError(f"{name} has a null byte in line {line}, so it is not a Python program.", hint=_PROGRAM)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        if (kind := described(data)) is not None:
            raise InputError(f"{name} is {kind}, not a Python program.", hint=remedy(data) or _PROGRAM) from error
        declared = any(_CODING.match(line) for line in data.split(b"\n", 2)[:2])
        if declared or (place := _undecodable(data)) is None:
            return data.decode("latin-1")  # Only Python itself knows all encodings that a file may declare.
        raise InputError(
            f"{name}, {place}, is not UTF-8, and the file declares no other encoding.",
            hint="Save it as UTF-8, or name its encoding in the first line, for example: # coding: latin-1",
        ) from error


def _undecodable(data: bytes) -> str | None:
    """The place of the first byte that is not UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].rpartition(b"\n")[2].decode("utf-8")
        number = data.count(b"\n", 0, error.start) + 1
        return f"line {number}, column {len(line) + 1} (byte {data[error.start]:#04x})"
    return None


def _wide(data: bytes) -> str | None:
    """The encoding of text in UTF-16 or UTF-32, with or without its mark; None for everything else."""
    for mark, encoding in _WIDE:
        if data.startswith(mark) and (b"\0" in data or len(data) <= len(mark) + 4):
            return encoding
    sample = data[: _SAMPLE // 4 * 4]
    if b"\0" not in sample or len(data) % 2:
        return None
    for _, encoding in _WIDE:
        text = sample.decode(encoding, "replace")
        plain = sum(char.isascii() and (char.isprintable() or char in "\t\r\n\f") for char in text)
        if text and plain > 0.8 * len(text):
            return encoding
    return None


def _require_no_json(name: str, text: str) -> None:
    """Refuse notebooks and other JSON: Python takes much of it for an expression, and does nothing."""
    stripped = text.lstrip("\ufeff").strip()
    is_notebook_name = Path(name).suffix.lower() == ".ipynb"
    if not stripped.startswith(("{", "[")) and not is_notebook_name:
        return
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict) and ("nbformat" in value or "cells" in value or "worksheets" in value):
        raise InputError(
            f"{name} is a notebook, not a Python program: it would end without doing anything.",
            hint=f"Make a script of it, and name that: jupyter nbconvert --to script {shlex.quote(name)}",
        )
    if isinstance(value, dict) and "paragraphs" in value:
        raise InputError(f"{name} is a notebook of Zeppelin, not a Python program.", hint=_PROGRAM)
    if isinstance(value, (dict, list)):
        raise InputError(f"{name} is JSON, not a Python program: it would end without doing anything.", hint=_PROGRAM)


def is_pointer(path: Path) -> bool:
    """Return whether a file stands for one in Git's Large File Storage, which was not fetched."""
    try:
        with userfile.open_regular(path) as stream:
            return stream.read(len(_POINTER)) == _POINTER
    except OSError:
        return False
