"""Wheels for the guest's interpreter, named by locked requirements.

pip downloads wheels with its own configuration; a wheel is accepted because of its hash alone. The hashes may be of
wheels for several platforms: the one for the guest is used.
"""

import hashlib
import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloister import usercache
from cloister.client.packages import diagnosis
from cloister.client.packages.requirements import LOCATIONS, Requirement
from cloister.errors import CloisterError
from cloister.process import ProcessError, module, run
from cloister.protocol import guest
from cloister.protocol.wheels.errors import BundleError
from cloister.protocol.wheels.filename import WheelName, normalised


class WheelError(CloisterError):
    """A wheel cannot be downloaded, or its hash is not in the requirements."""

    exit_code = 2
    remedy = "Correct the requirements, then run the command again."


@dataclass(frozen=True)
class Wheel:
    """A wheel in the cache. ``size`` in bytes."""

    requirement: Requirement
    path: Path
    digest_hex: str
    size: int

    def is_intact(self) -> bool:
        """Return whether the file still has its digest."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.digest_hex


def default_cache() -> Path:
    """``wheels`` in the user's cache."""
    return usercache.root() / "wheels"


def fetch_wheels(
    requirements: Sequence[Requirement], cache: Path | None = None, *, index_options: Sequence[tuple[str, str]] = ()
) -> tuple[Wheel, ...]:
    """The guest's wheel of each requirement, from ``cache`` or through pip. Every digest is verified.

    The cache has a folder for each wheel, named by its digest. Raises WheelError.
    """
    folder = default_cache() if cache is None else cache
    for wheel in find_wheels(requirements, folder, index_options=index_options):
        if not wheel.is_intact():
            wheel.path.unlink()
    return find_wheels(requirements, folder, index_options=index_options)


def find_wheels(
    requirements: Sequence[Requirement], cache: Path, *, index_options: Sequence[tuple[str, str]] = ()
) -> tuple[Wheel, ...]:
    """As :func:`fetch_wheels`, but what was in the cache before is not read: the caller has to verify its digest.

    ``index_options`` are tried after pip's own configuration. Raises WheelError.
    """
    wheels = {requirement: _cached(requirement, cache) for requirement in requirements}
    missing = [requirement for requirement, wheel in wheels.items() if wheel is None]
    if missing:
        try:
            _download(missing, cache, [])
        except WheelError:
            missing = [requirement for requirement in missing if _cached(requirement, cache) is None]
            if not index_options:
                raise
            _download(missing, cache, index_options)
        wheels.update({requirement: _cached(requirement, cache) for requirement in requirements})
    complete = tuple(wheel for wheel in wheels.values() if wheel is not None)
    if len(complete) != len(wheels):
        names = ", ".join(requirement.name for requirement, wheel in wheels.items() if wheel is None)
        raise WheelError(
            f"No downloaded wheel has a locked hash for {names}.",
            hint=f"`lock` chooses wheels for CPython {guest.PYTHON} on x86-64 Linux.",
        )
    return complete


def _cached(requirement: Requirement, cache: Path) -> Wheel | None:
    """The requirement's wheel from the cache; None when it is missing."""
    for digest_hex in requirement.hashes:
        for path in sorted((cache / digest_hex).glob("*.whl")):
            if _belongs(path, requirement):
                return Wheel(requirement, path, digest_hex, path.stat().st_size)
    return None


def _belongs(path: Path, requirement: Requirement) -> bool:
    try:
        named = WheelName.parse(path.name)
    except BundleError:
        return False
    return named.package == normalised(requirement.name) and named.runs_in_guest()


def _download(requirements: Sequence[Requirement], cache: Path, index_options: Sequence[tuple[str, str]]) -> None:
    """Download wheels for the guest with pip, and keep those whose hash is locked."""
    if importlib.util.find_spec("pip") is None:
        raise WheelError(f"{sys.executable} has no pip to download with.", hint="Install it: python3 -m ensurepip.")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as name:
        folder = Path(name)
        lock = folder / "requirements.txt"
        # In a file that only the user can read: an address may have a password.
        options = [f"{option} {value}".strip() for option, value in index_options if option in LOCATIONS]
        lines = [*options, *(requirement.line() for requirement in requirements)]
        lock.touch(mode=0o600)
        lock.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        argv = [*module("pip"), "--disable-pip-version-check", "--no-input", "download"]
        argv += ["--progress-bar", "off", "--only-binary", ":all:", "--no-deps", "--require-hashes"]
        argv += ["--implementation", "cp", "--python-version", guest.PYTHON, "--abi", guest.ABI]
        argv += [word for platform in guest.PLATFORMS for word in ("--platform", platform)]
        argv += ["--dest", str(folder)]
        try:
            run([*argv, "--quiet", "--requirement", lock])
        except ProcessError as error:
            found = diagnosis.of_download(error.message, requirements, options, argv, folder)
            raise WheelError(found.message, hint=found.hint) from error
        finally:
            _keep(folder, cache, requirements)


def _keep(folder: Path, cache: Path, requirements: Sequence[Requirement]) -> None:
    """Move the downloaded wheels with a locked hash to the cache."""
    expected = {digest_hex for requirement in requirements for digest_hex in requirement.hashes}
    for path in folder.glob("*.whl"):
        with path.open("rb") as file:
            digest_hex = hashlib.file_digest(file, "sha256").hexdigest()
        if digest_hex in expected:
            kept = cache / digest_hex
            kept.mkdir(exist_ok=True)
            path.replace(kept / path.name)
