"""Download wheels for the guest's interpreter with pip, under the user's own pip configuration."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cloister.process import module, run
from cloister.protocol import guest
from image import cache
from image.errors import ImageError
from image.inputs.lockfile import LockedWheel


class WheelDownloadError(ImageError):
    """pip downloaded another wheel than the requested one."""


def _pip(requirements: str, into: Path, *options: str) -> None:
    wanted = into / "requirements.txt"
    wanted.write_text(requirements)
    platforms = [word for platform in guest.PLATFORMS for word in ("--platform", platform)]
    abis = [word for abi in (guest.ABI, "abi3", "none") for word in ("--abi", abi)]
    interpreter = ["--python-version", guest.PYTHON, "--implementation", "cp", *abis]
    argv = [*module("pip"), "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    run([*argv, *options, *platforms, *interpreter, "--dest", str(into), "--requirement", str(wanted)], timeout=900)
    wanted.unlink()


def download(wheels: Sequence[LockedWheel], into: Path) -> None:
    """Download ``wheels`` into the folder ``into``, each named by its SHA-256. Raises WheelDownloadError."""
    print(f"Fetching {len(wheels)} Python wheels, {sum(w.size for w in wheels) / 1e6:.1f} MB ...", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=into) as folder:
        lines = [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels]
        _pip("".join(lines), Path(folder), "--require-hashes")
        for wheel in wheels:
            path = Path(folder) / wheel.file
            found = cache.digest(path) if path.is_file() else "none"
            if found != wheel.sha256:
                raise WheelDownloadError(f"{wheel.file}: SHA-256 differs (lock: {wheel.sha256}, downloaded: {found}).")
            path.replace(into / wheel.sha256)


def lock(wanted: Mapping[str, str], into: Path) -> list[LockedWheel]:
    """Download the wheels ``wanted`` (name -> version) into ``into``, named by SHA-256; return their lock entries."""
    locked = []
    with tempfile.TemporaryDirectory(dir=into) as folder:
        _pip("".join(f"{name}=={version}\n" for name, version in sorted(wanted.items())), Path(folder))
        for path in Path(folder).glob("*.whl"):
            # PEP 427: name-version(-build)-python-abi-platform.whl, with "_" for "-" in the name.
            name, version = path.name.split("-")[:2]
            known = [key for key in wanted if key.replace("-", "_").lower() == name.lower()]
            if not known or wanted[known[0]] != version:
                raise WheelDownloadError(f"pip downloaded {path.name}, which the recipe does not name.")
            digest = cache.digest(path)
            locked.append(LockedWheel(known[0], version, path.name, digest, path.stat().st_size))
            path.replace(into / digest)
    if len(locked) != len(wanted):
        raise WheelDownloadError(f"pip downloaded {len(locked)} of the {len(wanted)} wheels in the recipe.")
    return sorted(locked, key=lambda wheel: wheel.name)
