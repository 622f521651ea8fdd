"""Wheels for the guest's interpreter, named by a hash-locked requirements file.

A requirements file is locked when every line is ``name==version`` with at least one ``--hash=sha256:...``, as
``pip-compile --generate-hashes`` or ``uv pip compile --generate-hashes`` write it (pip's documentation, "Secure
installs"). pip downloads wheels with its own configuration; a wheel is accepted because of its hash alone. The hashes
may be of wheels for several platforms: the one for the guest is used.
"""

import hashlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.errors import CloisterError, InputError
from cloister.process import ProcessError, run

GUEST_PYTHON = "3.13"
GUEST_ABI = "cp313"
# The guest's C library is glibc 2.41; a wheel built against an older one runs on it (PEP 600).
GUEST_PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(41, 16, -1)), "manylinux2014_x86_64")

_LARGEST_REQUIREMENTS = 1 << 20
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[[^\]]*\])?==(?P<version>[A-Za-z0-9.!+_-]+)"
)
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
# name-version[-build]-python-abi-platform.whl (PyPA, "Binary distribution format").
_WHEEL = re.compile(r"(?P<name>[A-Za-z0-9._]+)-[A-Za-z0-9.!+_]+(?:-[0-9][A-Za-z0-9._]*)?(?:-[A-Za-z0-9._]+){3}\.whl")


class WheelError(CloisterError):
    """A wheel cannot be downloaded, or its hash is not in the requirements."""


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
class Wheel:
    """A verified wheel in the cache. ``size`` in bytes."""

    requirement: Requirement
    path: Path
    digest_hex: str
    size: int


def read_requirements(path: Path) -> tuple[Requirement, ...]:
    """Read a locked requirements file, sorted by name. Raises InputError with the line that is not locked."""
    try:
        data = userfile.read(path, _LARGEST_REQUIREMENTS)
        if len(data) > _LARGEST_REQUIREMENTS:
            raise InputError(f"{path} has more than {_LARGEST_REQUIREMENTS} bytes, too many for a requirements file.")
        text = data.decode("utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text.") from error
    return parse_requirements(text, what=str(path))


def parse_requirements(text: str, *, what: str) -> tuple[Requirement, ...]:
    """The requirements of ``text``, sorted by name; ``what`` names the file in errors. Raises InputError."""
    found: dict[str, Requirement] = {}
    for number, line in _logical_lines(text):
        requirement = _parse_line(line, f"{what}, line {number}")
        name = _normalised(requirement.name)
        if name in found:
            raise InputError(f"{what}, line {number}: {requirement.name} occurs twice.")
        found[name] = requirement
    if not found:
        raise InputError(f"{what} has no packages.")
    return tuple(requirement for _, requirement in sorted(found.items()))


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """``cloister/wheels`` in the user's cache (XDG Base Directory Specification)."""
    named = environment.get("XDG_CACHE_HOME", "")
    return (Path(named) if named.startswith("/") else Path.home() / ".cache") / "cloister" / "wheels"


def fetch_wheels(requirements: Sequence[Requirement], cache: Path | None = None) -> tuple[Wheel, ...]:
    """The guest's wheel of each requirement, from ``cache`` or through pip. Every digest is verified.

    The cache has a folder for each wheel, named by its digest. Raises WheelError.
    """
    folder = default_cache() if cache is None else cache
    wheels = {requirement: _cached(requirement, folder) for requirement in requirements}
    missing = [requirement for requirement, wheel in wheels.items() if wheel is None]
    if missing:
        _download(missing, folder)
        wheels.update({requirement: _cached(requirement, folder) for requirement in missing})
    complete = tuple(wheel for wheel in wheels.values() if wheel is not None)
    if len(complete) != len(wheels):
        names = ", ".join(requirement.name for requirement, wheel in wheels.items() if wheel is None)
        raise WheelError(
            f"No downloaded wheel has a locked hash for {names}.",
            hint=f"Lock the hash of the wheel for CPython {GUEST_PYTHON} on x86-64 Linux.",
        )
    return complete


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with their number, without comments and with continued lines joined."""
    lines: list[tuple[int, str]] = []
    start, parts = 1, list[str]()
    for number, raw in enumerate([*text.splitlines(), ""], start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if not parts:
            start = number
        continued = line.endswith("\\")
        parts.append(line.removesuffix("\\").strip())
        if not continued:
            if joined := " ".join(part for part in parts if part):
                lines.append((start, joined))
            parts = []
    return lines


def _parse_line(line: str, where: str) -> Requirement:
    if ";" in line:
        raise InputError(
            f"{where}: environment markers are not supported.",
            hint=f"Lock for the guest alone: uv pip compile --python-version {GUEST_PYTHON} --generate-hashes.",
        )
    what, *options = line.split()
    pinned = _REQUIREMENT.fullmatch(what)
    if pinned is None:
        raise InputError(f"{where}: {what!r} is not name==version.", hint="Lock exact versions with hashes.")
    hashes = []
    for option in options:
        found = _HASH.fullmatch(option.removeprefix("--hash="))
        if found is None or not option.startswith("--hash="):
            raise InputError(f"{where}: {option!r} is not --hash=sha256: with 64 hexadecimal digits.")
        hashes.append(found[1])
    if not hashes:
        raise InputError(
            f"{where}: {what} has no --hash.",
            hint=f"Lock it: uv pip compile --python-version {GUEST_PYTHON} --generate-hashes requirements.in.",
        )
    return Requirement(pinned["name"], pinned["version"], tuple(dict.fromkeys(hashes)))


def _normalised(name: str) -> str:
    """A package's name, normalised for comparison (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _cached(requirement: Requirement, cache: Path) -> Wheel | None:
    """The requirement's wheel from the cache; None when it is missing or its bytes have changed."""
    for digest_hex in requirement.hashes:
        for path in sorted((cache / digest_hex).glob("*.whl")):
            if _belongs(path, requirement) and _digest(path) == digest_hex:
                return Wheel(requirement, path, digest_hex, path.stat().st_size)
    return None


def _belongs(path: Path, requirement: Requirement) -> bool:
    named = _WHEEL.fullmatch(path.name)
    return named is not None and _normalised(named["name"]) == _normalised(requirement.name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(requirements: Sequence[Requirement], cache: Path) -> None:
    """Download wheels for the guest with pip, and keep those whose hash is locked."""
    if importlib.util.find_spec("pip") is None:
        raise WheelError(f"{sys.executable} has no pip to download with.", hint="Install it: python3 -m ensurepip.")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as name:
        folder = Path(name)
        lock = folder / "requirements.txt"
        lock.write_text("".join(f"{requirement.line()}\n" for requirement in requirements), encoding="utf-8")
        argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
        argv += ["--progress-bar", "off", "--only-binary", ":all:", "--no-deps", "--require-hashes"]
        argv += ["--implementation", "cp", "--python-version", GUEST_PYTHON, "--abi", GUEST_ABI]
        argv += [word for platform in GUEST_PLATFORMS for word in ("--platform", platform)]
        try:
            run([*argv, "--dest", folder, "--requirement", lock])
        except ProcessError as error:
            names = ", ".join(requirement.name for requirement in requirements)
            raise WheelError(f"pip could not download {names}: {error.message}") from error
        expected = {digest_hex for requirement in requirements for digest_hex in requirement.hashes}
        for path in folder.glob("*.whl"):
            digest_hex = _digest(path)
            if digest_hex in expected:
                kept = cache / digest_hex
                kept.mkdir(exist_ok=True)
                path.replace(kept / path.name)
