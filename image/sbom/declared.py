"""What packages declare about themselves: a Debian package's source and licences, a wheel's licences.

Reading a Debian package takes as long as decompressing it, so what was read is kept under the digest of its bytes.
"""

import email.parser
import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from cloister import userfile
from image.debian import copyright, deb, deb822, source
from image.debian.copyright import CopyrightFile
from image.rootfs.wheels import opened
from image.rootfs.workers import Workers

_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_CLASSIFIER = "License :: "
_LONGEST_NAME = 100
_MOST_LINKS = 4


@dataclass(frozen=True)
class Declared:
    """What one package declares.

    sources: the Debian source package, name and version, then those that it was built with parts of; none for a wheel.
    licences: names of licences, as the package writes them.
    expression: an SPDX expression instead of names; empty without one.
    gap: what of its licences the package does not name for machines; empty if it names all.
    link: the Debian package whose copyright file is also this one's; empty if it has its own.
    """

    sources: tuple[tuple[str, str], ...] = ()
    licences: tuple[str, ...] = ()
    expression: str = ""
    gap: str = ""
    link: str = ""

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Self:
        """The inverse of ``asdict`` through JSON. Raises KeyError, TypeError or ValueError for another value."""
        return cls(
            sources=tuple((name, version) for name, version in value["sources"]),
            licences=tuple(value["licences"]),
            expression=value["expression"],
            gap=value["gap"],
            link=value["link"],
        )


def debian(packages: Mapping[str, Path], digests: Mapping[Path, str], kept: Path | None) -> dict[str, Declared]:
    """What each of ``packages`` (name -> .deb) declares. ``digests`` has the SHA-256 of each file.

    What earlier calls read is in the folder ``kept``; with None every package is read. Raises ImageError.
    """

    def read(name: str) -> Declared:
        path = packages[name]
        if kept is None:
            return _read_deb(path, name)
        return _kept(kept / _reader() / f"{digests[path]}.json", lambda: _read_deb(path, name))

    with Workers() as workers:
        found = dict(zip(packages, workers.map(read, packages), strict=True))
    return {name: _linked(found, name) for name in found}


def wheels(files: Mapping[str, Path]) -> dict[str, Declared]:
    """What each of ``files`` (name -> .whl) declares (PyPA, "Core metadata specifications"). Raises ImageError."""
    return {name: _read_wheel(path, name) for name, path in files.items()}


def _read_deb(path: Path, name: str) -> Declared:
    fields = deb.control(path)
    declared = Declared(sources=_sources(fields))
    found = deb.copyright_file(path, name)
    if isinstance(found, bytes):
        parsed = CopyrightFile.parse(found)
        return replace(declared, licences=parsed.licences, gap=parsed.gap)
    return replace(declared, link=found, gap="" if found else "it has no copyright file")


def _sources(fields: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The package's own source first; a signed kernel is built from another one."""
    found = [source.source(fields), *source.built_using(fields)]
    return tuple(dict.fromkeys((one.name, one.version) for one in found))


def _linked(found: Mapping[str, Declared], name: str) -> Declared:
    """The declaration of ``name`` with the licences of the package whose copyright file is also its own."""
    declared = at = found[name]
    for _ in range(_MOST_LINKS):
        if not at.link:
            return replace(declared, licences=at.licences, gap=at.gap)
        if at.link not in found:
            gap = f"its copyright file is that of {at.link}, which the lock does not have"
            return replace(declared, gap=gap)
        at = found[at.link]
    return replace(declared, gap="the links to its copyright file form a loop")


def _read_wheel(path: Path, name: str) -> Declared:
    with opened(name, path) as archive:
        found = [member for member in archive.namelist() if _METADATA.fullmatch(member)]
        text = archive.read(found[0]).decode("utf-8", "replace") if len(found) == 1 else ""
    header = email.parser.HeaderParser().parsestr(text)
    if expression := str(header.get("License-Expression", "")).strip():
        return Declared(expression=expression)
    licence = str(header.get("License", "")).strip()
    if licence and "\n" not in licence and len(licence) <= _LONGEST_NAME:
        return Declared(licences=(licence,))
    classifiers = [str(one) for one in header.get_all("Classifier", [])]
    if classified := sorted(one.removeprefix(_CLASSIFIER) for one in classifiers if one.startswith(_CLASSIFIER)):
        return Declared(licences=tuple(classified))
    return Declared(gap="its metadata has the text of a licence, and no name" if licence else "its metadata names none")


@functools.cache
def _reader() -> str:
    """The digest of what reads packages: what another version has read is read again."""
    modules = (copyright, deb, deb822, source)
    code = b"".join(Path(file).read_bytes() for file in (__file__, *(str(module.__file__) for module in modules)))
    return hashlib.sha256(code).hexdigest()[:16]


def _kept(at: Path, read: Callable[[], Declared]) -> Declared:
    try:
        return Declared.from_value(json.loads(at.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        declared = read()
    with userfile.replacing(at) as part:
        part.write_bytes(json.dumps(asdict(declared)).encode())
    return declared
