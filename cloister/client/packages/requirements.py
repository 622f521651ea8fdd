"""Requirements files, as tools write them and as people do.

A file is locked when every package has an exact version and at least one SHA-256, as pip-compile, uv, poetry and pdm
export it. Environment markers are evaluated for the guest, not for this machine. Lines that name an index are kept for
locking only. What cannot be taken is refused by line, with its kind and a remedy.

Source: pip's documentation, "Requirements File Format"; PyPA, "Dependency specifiers".
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Specifier

from cloister import userfile
from cloister.client.packages import refusals
from cloister.errors import InputError
from cloister.protocol import guest
from cloister.protocol.wheels.filename import normalised

_LARGEST = 16 * 1024 * 1024
_MAX_FILES = 100
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
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


@dataclass(frozen=True)
class Requirement:
    """One locked package; its wheel must have one of ``hashes``, SHA-256 in hex."""

    name: str
    version: str
    hashes: tuple[str, ...]

    def line(self) -> str:
        """The requirement as a line for pip."""
        return " ".join((f"{self.name}=={self.version}", *(f"--hash=sha256:{found}" for found in self.hashes)))


@dataclass(frozen=True)
class WantedPackage:
    """A line that asks for a package; ``where`` names file and line."""

    specifier: Specifier
    hashes: tuple[str, ...]
    where: str

    @property
    def package(self) -> str:
        """The normalised name."""
        return normalised(self.specifier.name)

    @property
    def version(self) -> str | None:
        """The exact version; None if several are allowed."""
        exact = [one.version for one in self.specifier.specifier if one.operator in ("==", "===")]
        return exact[0] if len(exact) == 1 and not exact[0].endswith(".*") else None


@dataclass
class Requirements:
    """What a requirements file and those that it includes ask for in the guest."""

    path: Path
    packages: list[WantedPackage] = field(default_factory=list)
    constraints: list[WantedPackage] = field(default_factory=list)
    index_options: list[tuple[str, str]] = field(default_factory=list)
    """Name and value of the lines about indexes; a value may have a password."""

    @property
    def unlocked(self) -> WantedPackage | None:
        """The first package without an exact version or a hash; None if the file is locked."""
        return next((one for one in self.packages if one.version is None or not one.hashes), None)

    def index_lines(self) -> list[str]:
        """The lines about indexes without user names and passwords."""
        return [f"{name} {refusals.without_credentials(value)}".strip() for name, value in self.index_options]

    def locked(self) -> tuple[Requirement, ...]:
        """The packages, sorted by name. Raises InputError for one that is not locked or has two versions."""
        found: dict[str, Requirement] = {}
        for wanted in self.packages:
            if wanted.version is None or not wanted.hashes:
                raise InputError(
                    f"{wanted.where}: {wanted.specifier} has no exact version with a hash.",
                    hint="Lock the file: cloister lock.",
                )
            before = found.get(wanted.package)
            if before is not None and before.version != wanted.version:
                raise InputError(
                    f"{wanted.where}: {wanted.specifier.name} occurs twice, with the versions {before.version} and "
                    f"{wanted.version}.",
                    hint="Keep one of the two lines, or give each a marker.",
                )
            for limit in self.constraints:
                if limit.package == wanted.package and not limit.specifier.specifier.contains(wanted.version, True):
                    raise InputError(
                        f"{wanted.where}: {wanted.specifier} contradicts {limit.where}: {limit.specifier}."
                    )
            hashes = dict.fromkeys((*(before.hashes if before else ()), *wanted.hashes))
            found[wanted.package] = Requirement(wanted.specifier.name, wanted.version, tuple(hashes))
        return tuple(requirement for _, requirement in sorted(found.items()))


def read_requirements(path: Path) -> Requirements:
    """Read a requirements file with the files that it includes. Raises InputError with the line and the remedy."""
    return _parse(Requirements(path), _text(path), path, [path])


def parse_requirements(text: str, *, what: str) -> Requirements:
    """The requirements of ``text``; ``what`` names the file in errors. Raises InputError."""
    return _parse(Requirements(Path(what)), text, Path(what), [Path(what)])


def _parse(found: Requirements, text: str, path: Path, including: list[Path]) -> Requirements:
    _add(found, found.packages, text, path, including)
    if not found.packages:
        raise InputError(f"{path} has no packages for the guest.")
    return found


def _add(found: Requirements, into: list[WantedPackage], text: str, path: Path, including: list[Path]) -> None:
    for number, line in _logical_lines(text):
        where = f"{path}, line {number}"
        if (variable := _VARIABLE.search(line)) is not None:
            raise InputError(
                f"{where}: {variable[0]} is a variable of the environment, which differs from machine to machine.",
                hint="Write its value; the address of an index with a password belongs into pip's configuration.",
            )
        if not line.startswith("-"):
            wanted = _wanted(line, where, constraint=into is not found.packages)
            if _is_for_guest(wanted):
                into.append(wanted)
            continue
        name, value = _option(line)
        if name in ("--requirement", "--constraint"):
            _include(found, into if name == "--requirement" else found.constraints, value, where, including)
        elif name == "--editable":
            raise refusals.of_line(f"--editable {value}", where)
        elif name in _INDEX_OPTIONS and bool(value) == _INDEX_OPTIONS[name]:
            found.index_options.append((name, _located(name, value, where, path)))
        else:
            raise InputError(f"{where}: {name} is no option that a bundle can follow.", hint="Remove the line.")


def _is_for_guest(wanted: WantedPackage) -> bool:
    marker = wanted.specifier.marker
    try:
        return marker is None or marker.evaluate(dict(guest.MARKERS))
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        raise InputError(
            f"{wanted.where}: the marker '{marker}' of {wanted.specifier.name} has no value for the guest.",
            hint="Remove the marker, or the line.",
        ) from error


def _option(line: str) -> tuple[str, str]:
    """The long name of an option and its value: ``--name=value``, ``--name value``, ``-nvalue``."""
    if line.startswith("--"):
        name, *rest = re.split(r"[\s=]+", line, maxsplit=1)
        value = "".join(rest)
    else:
        name, value = line[:2], line[2:].lstrip(" =")
    return _SHORT.get(name, name), value.strip().strip("\"'")


def _include(found: Requirements, into: list[WantedPackage], value: str, where: str, including: list[Path]) -> None:
    if re.match(r"[a-z][a-z0-9+.-]+://", value):
        raise InputError(
            f"{where}: {refusals.without_credentials(value)} is a requirements file on the network.",
            hint="Download it, read it, and name the file.",
        )
    path = including[-1].parent / value
    if any(path.resolve() == one.resolve() for one in including):
        raise InputError(f"{where}: {value} includes itself.", hint="Remove the line.")
    if len(including) >= _MAX_FILES:
        raise InputError(f"{where}: more than {_MAX_FILES} files include each other.")
    _add(found, into, _text(path), path, [*including, path])


def _located(name: str, value: str, where: str, path: Path) -> str:
    """The value of an option, one word; a folder of wheels is relative to the file that names it.

    pip and uv get it on a line, where pip takes further words for options: ``--no-binary`` would have it run programs.
    """
    if name == "--find-links" and "://" not in value and (path.parent / value).exists():
        folder = (path.parent / value).resolve()
        return folder.as_uri() if len(str(folder).split()) > 1 else str(folder)
    if len(value.split()) > 1:
        raise InputError(
            f"{where}: {name} has several values: {refusals.without_credentials(value)[:120]!r}.",
            hint="Write each option on its own line. A folder that --find-links names must exist.",
        )
    return value


def _wanted(line: str, where: str, *, constraint: bool) -> WantedPackage:
    text, *options = re.split(r"\s+(?=--?[a-zA-Z])", line)
    if (refusal := refusals.of_text(text, where)) is not None:
        raise refusal
    try:
        specifier = Specifier(text)
    except InvalidRequirement as error:
        said = str(error).splitlines()[0].rstrip(".:")
        raise InputError(f"{where}: {text[:120]!r} is no requirement: {said}.", hint="Write name==version.") from error
    hashes = []
    for option in options:
        name, _, value = option.replace("=", " ", 1).partition(" ")
        found = _HASH.fullmatch(value.strip().lower())
        if name in ("--config-settings", "-C", "--global-option", "--install-option", "--build-option"):
            raise InputError(
                f"{where}: {name} is for building {specifier.name} from source; a bundle takes wheels.",
                hint="Remove the option.",
            )
        if name != "--hash":
            raise InputError(f"{where}: {option[:120]!r} is no option of a package.", hint="Remove it.")
        if found is not None:
            hashes.append(found[1])
        elif not re.fullmatch(r"sha(384|512):[0-9a-f]+", value.strip().lower()):
            raise InputError(f"{where}: {option[:120]!r} is not --hash=sha256: with 64 hexadecimal digits.")
    if options and not hashes:
        raise InputError(f"{where}: {specifier.name} has no hash of kind sha256.", hint="Lock it: cloister lock.")
    wanted = WantedPackage(specifier, tuple(dict.fromkeys(hashes)), where)
    if hashes and wanted.version is None and not constraint:
        raise InputError(f"{where}: {specifier} has a hash and no exact version.", hint="Write name==version.")
    return wanted


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


def _text(path: Path) -> str:
    """A file in any encoding that says which one it is."""
    if (refusal := refusals.of_file(path)) is not None:
        raise refusal
    try:
        data = userfile.read(path, _LARGEST)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > _LARGEST:
        raise InputError(f"{path} has more than {_LARGEST} bytes, too many for a requirements file.")
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
