"""One line of a requirements file that asks for a package: specifier, hashes, and whether it applies to the guest.

Source: PyPA, "Dependency specifiers"; pip's documentation, "Requirements File Format".
"""

import re
from dataclasses import dataclass

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Specifier

from cloister.client.packages import refusals
from cloister.client.packages.addresses import without_credentials
from cloister.errors import InputError
from cloister.protocol import guest
from cloister.protocol.wheels.filename import normalised

LONGEST = 16 * 1024
"""Characters of a requirement without its hashes, or of an option: the longest markers of tools have some thousands."""

_DEEPEST = 16
"""Nested parentheses in a marker. ``packaging`` calls itself for each."""

_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_LONG_NUMBER = re.compile(r"[0-9]{101}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True)
class WantedPackage:
    """A line that asks for a package; ``where`` names file and line. The specifier is without its marker."""

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


def wanted_package(line: str, where: str, *, constraint: bool) -> WantedPackage | None:
    """The package that a line asks for; None if its marker is false in the guest. Raises InputError."""
    text, *options = re.split(r" (?=--?[a-zA-Z])", " ".join(line.split()))
    if (longest := max(map(len, (text, *options)))) > LONGEST:
        raise InputError(
            f"{where}: a requirement has {longest} characters; at most {LONGEST} are read.",
            hint="Shorten its marker.",
        )
    if (refusal := refusals.of_text(text, where)) is not None:
        raise refusal
    specifier = _specifier(text, where)
    hashes = _hashes(specifier, options, where)
    is_wanted = _is_for_guest(specifier, text.partition(";")[2].strip(), where)
    specifier.marker = None
    wanted = WantedPackage(specifier, hashes, where)
    if hashes and wanted.version is None and not constraint:
        raise InputError(f"{where}: {specifier} has a hash and no exact version.", hint="Write name==version.")
    return wanted if is_wanted else None


def _specifier(text: str, where: str) -> Specifier:
    shown = f"{without_credentials(text)[:120]!r}"
    if (depth := _nesting(text)) > _DEEPEST:
        raise InputError(
            f"{where}: {shown} has {depth} nested parentheses; the limit is {_DEEPEST}.",
            hint="Remove those that the marker does not need.",
        )
    if _LONG_NUMBER.search(text):  # Python itself does not read one of more than 4300 digits
        raise InputError(f"{where}: {shown} has a number of more than 100 digits.", hint="Correct the version.")
    try:
        return Specifier(text)
    except InvalidRequirement as error:
        said = str(error).splitlines()[0].rstrip(".:")
        raise InputError(f"{where}: {shown} is not a requirement: {said}.", hint="Write name==version.") from error


def _nesting(text: str) -> int:
    """How deep parentheses lie in each other. Those in quotes do not count: closing ones would hide levels."""
    deepest = level = 0
    for char in _QUOTED.sub("", text):
        level += (char == "(") - (char == ")")
        deepest = max(deepest, level)
    return deepest


def _is_for_guest(specifier: Specifier, marker: str, where: str) -> bool:
    try:
        return specifier.marker is None or specifier.marker.evaluate(dict(guest.MARKERS))
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        raise InputError(
            f"{where}: the marker {without_credentials(marker)[:120]!r} of {specifier.name} has no value for "
            "the guest.",
            hint="Remove the marker, or the line.",
        ) from error


def _hashes(specifier: Specifier, options: list[str], where: str) -> tuple[str, ...]:
    hashes = []
    for option in options:
        name, _, value = option.replace("=", " ", 1).partition(" ")
        found = _HASH.fullmatch(value.strip().lower())
        if name in ("--config-settings", "-C", "--global-option", "--install-option", "--build-option"):
            raise InputError(
                f"{where}: {name} is for building {specifier.name} from source; a bundle takes wheels.",
                hint="Remove the option.",
            )
        if name == "--hash" and found is not None:
            hashes.append(found[1])
            continue
        shown = f"{without_credentials(option)[:120]!r}"
        if name != "--hash":
            raise InputError(f"{where}: {shown} is not an option for a package.", hint="Remove it.")
        if not re.fullmatch(r"sha(384|512):[0-9a-f]+", value.strip().lower()):
            raise InputError(f"{where}: {shown} is not --hash=sha256: with 64 hexadecimal digits.")
    if options and not hashes:
        raise InputError(f"{where}: {specifier.name} has no hash of kind sha256.", hint="Lock the file with `lock`.")
    return tuple(dict.fromkeys(hashes))
