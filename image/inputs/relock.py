"""Write a lock: verify the archive's signature, resolve the recipe, fetch, and check the maintainer scripts."""

import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cloister import userfile
from image import cache
from image.debian import deb
from image.debian.mirror import Mirror
from image.debian.release import INDEX, read_index, refuse_older, verify_release
from image.debian.resolve import Candidate, Index, closure
from image.errors import ImageError, reason
from image.inputs import fetch, locked, pip, recipe
from image.inputs.lockfile import (
    RELOCKED,
    Lock,
    LockedArchive,
    LockedPackage,
    LockPlace,
    load,
    override_folder,
    read,
)
from image.inputs.parts import ANY, HandledScript

KEYS = Path(__file__).parents[1] / "debian" / "keys"
"""Debian's archive keys. They are committed because the archive replaces the package that contains them."""
_INDEX_LIMIT = 1 << 26
# The kernel's release is part of its package's name and scripts (there with a backslash before the plus sign).
_KERNEL_RELEASE = re.compile(rb"[0-9]+\.[0-9]+\.[0-9]+\\?\+deb[0-9]+")


class ScriptError(ImageError):
    """A package has a maintainer script that is not listed in the recipe.

    ``draft`` is the lock that would have been written, without its wheels; None before there is one.
    """

    draft: Lock | None = None


def write(words: str, into: Path | None = None, *, mirror: Mirror | None = None, now: datetime | None = None) -> Path:
    """Write the lock of a recipe, or of programs (``tools`` and ``browser``), from the archives' current indexes.

    It is written to its place, or into the folder ``into``. For a recipe that is built from the lock of one that it
    extends, that lock is written.

    Raises ReleaseError for an index that is unsigned, out of date or older than the committed lock's, and ScriptError
    for a maintainer script that is not listed in the recipe.
    """
    mirror, now = mirror or Mirror.of_host(), now or datetime.now(UTC)
    request, place = recipe.load_request(words)
    known = _known_dates(place)
    keyring = b"".join(path.read_bytes() for path in sorted(KEYS.glob("*.asc")))
    suites = {"debian": request.debian.suite}
    if request.debian.security:
        suites["debian-security"] = f"{request.debian.suite}-security"
    archives, indexes = [], {}
    for base, suite in suites.items():
        print(f"Reading the index of {suite} ...", flush=True)
        signed = _get(mirror.address(base, f"dists/{suite}/InRelease"))
        release = verify_release(signed, keyring, codename=suite, now=now)
        if base in known:
            refuse_older(release, known[base])
        indexes[base] = read_index(release, _get(mirror.address(base, f"dists/{suite}/{INDEX}")))
        archives.append(LockedArchive(base, suite, LockedArchive.write_time(release.date)))
    candidates = closure(Index(indexes), request.debian.packages, request.debian.left_out)
    packages = [_locked(candidate) for candidate in candidates]
    draft = Lock(place.name, request.debian.suite, request.digest(), tuple(archives), tuple(packages), (), ())
    files = fetch.ensure(draft, mirror=mirror)
    draft = replace(draft, packages=tuple(_with_scripts(packages, files)))
    try:
        refuse_unhandled(draft.packages, request.debian.handled)
    except ScriptError as error:
        error.draft = draft
        raise
    wheels, agent_wheels = (
        tuple(pip.lock(wanted, cache.inputs())) if wanted else () for wanted in (request.wheels, request.agent_wheels)
    )
    lock = replace(draft, wheels=wheels, agent_wheels=agent_wheels)
    path = place.path if into is None else into / f"{place.name}.json"
    _replace_file(path, lock.encode())
    return path


@dataclass(frozen=True)
class KeptLock:
    """The lock at a recipe's place: None before the first, and whether it is for the recipe as it is now."""

    place: LockPlace
    lock: Lock | None
    fits: bool


def current(words: str) -> KeptLock:
    """The lock that ``write`` replaces. Raises LockError for one that is damaged."""
    request, place = recipe.load_request(words)
    kept = read(place) if place.path.is_file() else None
    return KeptLock(place, kept, kept is not None and kept.request == request.digest())


def _replace_file(path: Path, contents: bytes) -> None:
    part = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(contents)
        os.replace(part, path)
    except OSError as error:
        raise userfile.unwritable(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def obtain(words: str, source: Path | None = None, *, relock: bool = False) -> tuple[Lock, dict[str, Path]]:
    """The lock of a recipe, or of programs (``tools`` and ``browser``), and all its files by SHA-256 (hex).

    ``source`` is a tar from `invoke image.vendor`. With ``relock``, if a locked package is no longer available, a new
    lock is written to out/locks (or to the folder in CLOISTER_LOCKS) and overrides the other in this process and its
    children. Raises LockError if the recipe has changed since the lock was written.
    """
    lock, place = locked.find(words)
    locked.note_override(place)
    try:
        return lock, fetch.ensure(lock, source)
    except fetch.SupersededError as error:
        if not relock:
            raise
        locked.note(error.message)
    folder = override_folder() or RELOCKED
    path = write(words, folder)
    os.environ["CLOISTER_LOCKS"] = str(folder)
    lock = load(place.name, folder)
    locked.note(
        f"The new lock {path} (SHA-256 {lock.digest()}) overrides {place.spoken}.",
        locked.DIFFERS,
        f"To use it in other commands: export CLOISTER_LOCKS={folder}",
    )
    return lock, fetch.ensure(lock)


def _locked(candidate: Candidate) -> LockedPackage:
    package = candidate.package
    return LockedPackage(
        name=package.name,
        version=package.version,
        architecture=package.architecture,
        archive=candidate.archive,
        path=package.path,
        sha256=package.sha256,
        size=package.size,
    )


def _known_dates(place: LockPlace) -> Mapping[str, datetime]:
    """The dates of the indexes of the lock at ``place``, by archive; empty if there is no lock yet."""
    if not place.path.is_file():
        return {}
    return {entry.archive: entry.time() for entry in read(place).archives}


def _get(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=60) as response:
            content = response.read(_INDEX_LIMIT + 1)
    except (urllib.error.URLError, OSError) as error:
        raise ImageError(
            f"Cannot fetch {address}: {reason(error)}.",
            hint="Check the network, or set CLOISTER_DEBIAN_MIRROR to another mirror.",
        ) from error
    if len(content) > _INDEX_LIMIT:
        raise ImageError(f"{address} is larger than {_INDEX_LIMIT} bytes, the limit for an index.")
    return content


def _with_scripts(packages: Sequence[LockedPackage], files: Mapping[str, Path]) -> list[LockedPackage]:
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        found = list(pool.map(lambda package: deb.scripts(files[package.sha256]), packages))
    with_digests = []
    for package, scripts in zip(packages, found, strict=True):
        digests = {name: script_digest(content, package.name) for name, content in scripts.items()}
        with_digests.append(replace(package, scripts=digests))
    return with_digests


def without_release(text: bytes) -> bytes:
    """``text`` with the kernel's release replaced by RELEASE, so that a new kernel alone changes nothing."""
    return _KERNEL_RELEASE.sub(b"RELEASE", text)


def script_digest(content: bytes, package: str) -> str:
    """SHA-256 (hex) of a maintainer script of ``package``, whose own name in it is read as PACKAGE.

    So tools that write scripts for packages write one script, and it is reviewed once. The kernel's release is read as
    RELEASE.
    """
    name = without_release(package.encode())
    return hashlib.sha256(without_release(content).replace(name, b"PACKAGE")).hexdigest()


def refuse_unhandled(packages: Sequence[LockedPackage], handled: Sequence[HandledScript]) -> None:
    """Raise ScriptError unless ``handled`` lists each maintainer script of ``packages`` by package and digest.

    An entry for ``*`` is for any package, and need not be for one of these.
    """
    known = {(name, entry.script): entry.sha256 for entry in handled for name in entry.packages if name != ANY}
    of_any = {(entry.script, entry.sha256) for entry in handled if ANY in entry.packages}
    problems = []
    for package in packages:
        for script, digest in sorted(package.scripts.items()):
            expected = known.pop((without_release(package.name.encode()).decode(), script), None)
            if expected is None and (script, digest) not in of_any:
                problems.append(f"the {script} of {package.label} is new (SHA-256 {digest})")
            elif expected is not None and expected != digest:
                change = f"recipe: {expected}, package: {digest}"
                problems.append(f"the {script} of {package.label} has changed (SHA-256 {change})")
    problems += [f"the recipe lists a {script} that {name} does not have" for name, script in sorted(known)]
    if problems:
        raise ScriptError(
            f"The recipe does not cover all maintainer scripts: {'; '.join(problems)}.",
            hint="Scripts are never run. Review each one, add its effect to the recipe if the image needs it, and list "
            "its digest under 'handled'.",
        )
