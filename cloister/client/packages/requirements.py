"""Requirements files, written by tools or by hand.

A file is locked when every package has an exact version and at least one SHA-256, as pip-compile, uv, poetry and pdm
export it. Environment markers are evaluated for the guest, not for this machine. Lines that name an index are kept for
locking only. What cannot be taken is refused by line, with its kind and a remedy.

Source: pip's documentation, "Requirements File Format"; PyPA, "Dependency specifiers".
"""

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cloister import userfile
from cloister.client.packages import addresses, refusals
from cloister.client.packages.line import LONGEST, WantedPackage, wanted_package
from cloister.errors import InputError
from cloister.protocol.wheels.image_packages import of_comments

_LARGEST = 16 * 1024 * 1024
"""Bytes of a requirements file and of all that it includes."""

_MAX_FILES = 100
"""Files that are read, each as often as it is included."""

_MAX_LINES = 20_000
"""Lines that ask for a package, in all files. The guest takes 2,000 wheels; a lock for all platforms has several lines
for some packages."""

_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-i": "--index-url", "-f": "--find-links", "-e": "--editable"}
_INDEX_OPTIONS = {
    "--index-url": True,
    "--pypi-url": True,
    "--extra-index-url": True,
    "--find-links": True,
    "--trusted-host": True,
    "--no-binary": True,
    "--only-binary": True,
    "--pre": False,
    "--prefer-binary": False,
    "--no-index": False,
    "--require-hashes": False,
    "--use-feature": True,
}
"""Options that say where and how to look for packages, and whether they have a value."""

TRUSTED_HOST = "--trusted-host"
LOCATIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", TRUSTED_HOST)
"""Those that say where. pip reads them in a requirements file, and so does uv, but for the last."""


@dataclass(frozen=True)
class Requirement:
    """One locked package; its wheel must have one of ``hashes``, SHA-256 in hex."""

    name: str
    version: str
    hashes: tuple[str, ...]

    def line(self) -> str:
        """The requirement as a line for pip."""
        return " ".join((f"{self.name}=={self.version}", *(f"--hash=sha256:{found}" for found in self.hashes)))


@dataclass
class Requirements:
    """What a requirements file and those that it includes ask for in the guest."""

    path: Path
    packages: list[WantedPackage] = field(default_factory=list)
    constraints: list[WantedPackage] = field(default_factory=list)
    index_options: list[tuple[str, str]] = field(default_factory=list)
    """Name and value of the lines about indexes; a value may have a password or a token."""
    image_packages: dict[str, str] = field(default_factory=dict)
    """Packages of an image that a lock counts on: normalised name to version."""

    @property
    def unlocked(self) -> WantedPackage | None:
        """The first package without an exact version or a hash; None if the file is locked."""
        return next((one for one in self.packages if one.version is None or not one.hashes), None)

    def index_lines(self) -> list[str]:
        """The lines about indexes without users, passwords, queries and fragments."""
        return [addresses.index_line(name, value) for name, value in self.index_options]

    def locked(self) -> tuple[Requirement, ...]:
        """The packages, sorted by name. Raises InputError for one that is not locked or has two versions."""
        limits: dict[str, list[WantedPackage]] = {}
        for limit in self.constraints:
            limits.setdefault(limit.package, []).append(limit)
        first: dict[str, WantedPackage] = {}
        hashes: dict[str, dict[str, None]] = {}
        for wanted in self.packages:
            if wanted.version is None or not wanted.hashes:
                raise InputError(
                    f"{wanted.where}: {wanted.specifier} has no exact version with a hash.",
                    hint="Lock the file with `lock`.",
                )
            before = first.setdefault(wanted.package, wanted)
            if before.version != wanted.version:
                raise InputError(
                    f"{wanted.where}: {wanted.specifier.name} occurs twice, with the versions {before.version} and "
                    f"{wanted.version}.",
                    hint="Keep one of the two lines, or give each a marker.",
                )
            for limit in limits.get(wanted.package, ()) if before is wanted else ():
                if not limit.specifier.specifier.contains(wanted.version, True):
                    raise InputError(
                        f"{wanted.where}: {wanted.specifier} contradicts {limit.where}: {limit.specifier}."
                    )
            hashes.setdefault(wanted.package, {}).update(dict.fromkeys(wanted.hashes))
        return tuple(
            Requirement(first[package].specifier.name, str(first[package].version), tuple(hashes[package]))
            for package in sorted(first)
        )


def read_requirements(path: Path) -> Requirements:
    """Read a requirements file with the files that it includes. Raises InputError with the line and the remedy."""
    reading = _Reading(Requirements(path))
    return reading.done(reading.text(path), path)


def parse_requirements(text: str, *, what: str) -> Requirements:
    """The requirements of ``text``; ``what`` names the file in errors. Raises InputError."""
    return _Reading(Requirements(Path(what))).done(text, Path(what))


class _Reading:
    """Reads a file and those that it includes: a bounded number, with a bounded number of bytes together."""

    def __init__(self, found: Requirements) -> None:
        self._found = found
        self._files = 0
        self._bytes = 0
        self._lines = 0

    def done(self, text: str, path: Path) -> Requirements:
        """What the file at ``path`` with this text asks for. Raises InputError."""
        self._add(self._found.packages, text, path, [path])
        if not self._found.packages and not self._found.image_packages:
            raise InputError(f"{path} has no packages for the guest.")
        return self._found

    def text(self, path: Path) -> str:
        """The text of one file. Raises InputError, also for one file too many."""
        if (refusal := refusals.of_file(path)) is not None:
            raise refusal
        try:
            data = userfile.read(path, _LARGEST)
        except OSError as error:
            raise userfile.unreadable(path, error) from error
        self._files += 1
        self._bytes += len(data)
        if self._bytes > _LARGEST:
            together = "" if self._files == 1 else " together with the other files that are included"
            raise InputError(f"{path} has more than {_LARGEST} bytes{together}, too many for requirements.")
        return _decoded(data, path)

    def _add(self, into: list[WantedPackage], text: str, path: Path, including: list[Path]) -> None:
        found = self._found
        found.image_packages |= of_comments(text)
        for number, line in _logical_lines(text):
            where = f"{path}, line {number}"
            if (variable := _VARIABLE.search(line)) is not None:
                raise InputError(
                    f"{where}: {variable[0]} is a variable of the environment, which differs from machine to machine.",
                    hint="Write its value; the address of an index with a password belongs in pip's configuration.",
                )
            self._lines += 1
            if self._lines > _MAX_LINES:
                raise InputError(f"{where}: at most {_MAX_LINES} lines are read, with those of included files.")
            if not line.startswith("-"):
                if (wanted := wanted_package(line, where, constraint=into is not found.packages)) is not None:
                    into.append(wanted)
                continue
            if len(line) > LONGEST:
                raise InputError(f"{where} has {len(line)} characters; an option has at most {LONGEST}.")
            name, value = _option(line)
            if name in ("--requirement", "--constraint"):
                self._include(into if name == "--requirement" else found.constraints, value, where, including)
            elif name == "--editable":
                raise refusals.of_editable(f"--editable {value}", where)
            elif name in _INDEX_OPTIONS and bool(value) == _INDEX_OPTIONS[name]:
                found.index_options.append((name, _located(name, value, where, path)))
            else:
                known = re.match(r"[A-Za-z-]*", name)  # an address may follow without a space
                option = known[0] if known else ""
                raise InputError(
                    f"{where}: {option} is an option that bundles do not support.", hint="Remove the line."
                )

    def _include(self, into: list[WantedPackage], value: str, where: str, including: list[Path]) -> None:
        if re.match(r"[a-z][a-z0-9+.-]+://", value, re.IGNORECASE):
            raise InputError(
                f"{where}: {addresses.without_credentials(value)} is a requirements file on the network.",
                hint="Download it, read it, and name the file.",
            )
        path = including[-1].parent / value
        if any(os.path.realpath(path) == os.path.realpath(one) for one in including):
            raise InputError(f"{where}: {value} includes itself.", hint="Remove the line.")
        if self._files >= _MAX_FILES:
            raise InputError(
                f"{where}: {value} would be file {self._files + 1}; at most {_MAX_FILES} are read, each as often as "
                "it is included.",
                hint="Include each file once.",
            )
        self._add(into, self.text(path), path, [*including, path])


def _option(line: str) -> tuple[str, str]:
    """The long name of an option and its value: ``--name=value``, ``--name value``, ``-nvalue``."""
    if line.startswith("--"):
        name, *rest = re.split(r"[\s=]+", line, maxsplit=1)
        value = "".join(rest)
    else:
        name, value = line[:2], line[2:].lstrip(" =")
    return _SHORT.get(name, name), value.strip().strip("\"'")


def _located(name: str, value: str, where: str, path: Path) -> str:
    """The value of an option, one word; a folder of wheels is relative to the file that names it.

    pip and uv get it on a line, where pip takes further words for options: ``--no-binary`` would have it run programs.
    """
    if name == "--find-links" and "://" not in value and os.path.exists(path.parent / value):
        folder = (path.parent / value).resolve()
        return folder.as_uri() if len(str(folder).split()) > 1 else str(folder)
    if len(value.split()) > 1:  # the value is not shown: it may be a password with a space
        raise InputError(
            f"{where}: {name} has several values.",
            hint="Write each option on its own line. A folder that --find-links names must exist.",
        )
    return value


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their number, without comments and with continued lines joined."""
    start, parts = 1, list[str]()
    for number, raw in enumerate([*text.splitlines(), ""], start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if not parts:
            start = number
        continued = line.endswith("\\")
        parts.append(line.removesuffix("\\").strip())
        if not continued:
            if joined := " ".join(part for part in parts if part):
                yield start, joined
            parts = []


def _decoded(data: bytes, path: Path) -> str:
    """The text of a file in any encoding that says which one it is. Raises InputError."""
    encoding = "utf-8"
    for mark, named in _BOMS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], named
            break
    else:
        if (coding := next(filter(None, map(_CODING.match, data.splitlines()[:2])), None)) is not None:
            encoding = coding[1].decode("ascii")
        elif data[1:2] == b"\0" or data[:1] == b"\0":
            encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        text = data.decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise InputError(f"{path} is not {encoding.upper()} text.", hint="Save it as UTF-8.") from error
    if "\0" in text:
        raise InputError(f"{path} is not a text file.", hint="Name the requirements file.")
    return text
