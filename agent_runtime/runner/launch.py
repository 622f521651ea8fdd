"""The launcher, the first program in the sandbox: unpacks wheels and datasets, then becomes the algorithm.

The image's interpreter runs this file with one argument, a JSON object (``oci_config.launcher_argument``). It writes
one byte to a pipe when the algorithm starts. On failure it prints a message to stderr. Standard library only.
"""

import base64
import binascii
import hashlib
import json
import os
import re
import stat
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, NoReturn

FAILED = 125
_CHUNK = 1024 * 1024
_MAX_MEMBERS = 100_000
_MAX_WHEELS = 1000
_MAX_REQUIREMENTS = 4 * 1024 * 1024
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_WHEEL = re.compile(r"wheels/[A-Za-z0-9_][A-Za-z0-9._+!-]{0,250}\.whl\Z")


class LaunchError(Exception):
    """The algorithm cannot be started."""


def safe_path(name: str, into: Path) -> Path:
    """The path in ``into`` of the archive member ``name``. Raises LaunchError for a path outside of ``into``."""
    plain = name.removesuffix("/")
    parts = plain.split("/")
    if not plain or "\\" in plain or "\0" in plain or any(part in ("", ".", "..") for part in parts):
        raise LaunchError(f"Archive member {name[:80]!r} has a path outside of its folder.")
    return into.joinpath(*parts)


class UnpackBudget:
    """The bytes and members that may still be unpacked. ``size`` None: no limit on bytes."""

    def __init__(self, size: int | None) -> None:
        self._left = size
        self._members = _MAX_MEMBERS

    def member(self) -> None:
        """Count a member. Raises LaunchError beyond the limit."""
        self._members -= 1
        if self._members < 0:
            raise LaunchError(f"An archive has more than {_MAX_MEMBERS} members.")

    def copy(self, source: IO[bytes], target: Path) -> None:
        """Copy ``source`` to the new file ``target``. Raises LaunchError beyond the limit."""
        with target.open("xb") as out:
            while data := source.read(_CHUNK):
                if self._left is not None:
                    self._left -= len(data)
                    if self._left < 0:
                        raise LaunchError("An archive is larger than the unpacked size that the manifest declares.")
                out.write(data)


def unpack_zip(source: Path | IO[bytes], into: Path, budget: UnpackBudget) -> None:
    """Unpack a zip of regular files and folders."""
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            budget.member()
            target = safe_path(info.filename, into)
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise LaunchError(f"Archive member {info.filename[:80]!r} is no file or folder.")
            if info.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as data:
                budget.copy(data, target)
            if mode & 0o100:
                target.chmod(0o755)


def unpack_tar(source: Path, into: Path, budget: UnpackBudget) -> None:
    """Unpack a tar of regular files and folders, in any compression that ``tarfile`` reads."""
    with tarfile.open(source, mode="r:*") as archive:
        for info in archive:
            budget.member()
            target = safe_path(info.name.removeprefix("./"), into) if info.name not in (".", "./") else into
            if info.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            data = archive.extractfile(info) if info.isreg() else None
            if data is None:
                raise LaunchError(f"Archive member {info.name[:80]!r} is no file or folder.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with data:
                budget.copy(data, target)
            if info.mode & 0o100:
                target.chmod(0o755)


def unpack_dataset(source: Path, into: Path, size: int) -> None:
    """Unpack a zip or a tar of at most ``size`` bytes of content."""
    into.mkdir(parents=True, exist_ok=True)
    if zipfile.is_zipfile(source):
        unpack_zip(source, into, UnpackBudget(size))
    else:
        unpack_tar(source, into, UnpackBudget(size))


def install_wheels(bundle: Path, into: Path) -> None:
    """Unpack the bundle's wheels. The SHA-256 of each must be in the bundle's requirements.txt."""
    with tarfile.open(bundle, mode="r:") as archive:
        members = list(_bundle_members(archive))
        if not members or members[0].name != "requirements.txt":
            raise LaunchError("The first member of the bundle must be requirements.txt.")
        allowed = set(_HASH.findall(_read(archive, members[0]).decode("utf-8", "replace")))
        for member in members[1:]:
            source = archive.extractfile(member)
            if source is None or not _WHEEL.match(member.name):
                raise LaunchError(f"Bundle member {member.name[:80]!r} is no wheel.")
            with source:
                found = _digest(source)
                if found not in allowed:
                    raise LaunchError(f"{member.name}: SHA-256 {found} is not in the bundle's requirements.txt.")
                source.seek(0)
                install_wheel(source, into, PurePosixPath(member.name).name)


def install_wheel(source: IO[bytes], into: Path, name: str) -> None:
    """Install the libraries of one wheel, including those in its ``.data`` folder.

    Source: Python Packaging User Guide, "Binary distribution format". Scripts, headers and data are skipped: the
    sandbox has no use for them. RECORD must have the hash of every file.
    """
    with zipfile.ZipFile(source) as wheel:
        record = _record(wheel, name)
        for info in wheel.infolist():
            if info.is_dir():
                continue
            safe_path(info.filename, into)
            place = _install_path(info.filename)
            if place is None:
                continue
            target = safe_path(place, into)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise LaunchError(f"{name} would replace {place} of another wheel.")
            state = hashlib.sha256()
            with wheel.open(info) as data, target.open("xb") as out:
                while part := data.read(_CHUNK):
                    state.update(part)
                    out.write(part)
            if not _is_unrecorded(info.filename) and record.get(info.filename) != state.digest():
                raise LaunchError(f"{name}: {info.filename[:80]} differs from its hash in RECORD.")


def _install_path(name: str) -> str | None:
    """The path of a wheel's member in the folder of packages. None: not installed."""
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return name
    scheme, _, path = rest.partition("/")
    return path if scheme in ("purelib", "platlib") and path else None


def _is_unrecorded(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return folder.endswith(".dist-info") and file in ("RECORD", "RECORD.jws", "RECORD.p7s")


def _record(wheel: zipfile.ZipFile, name: str) -> dict[str, bytes]:
    """SHA-256 by member, from the wheel's RECORD."""
    found = [info for info in wheel.infolist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", info.filename)]
    if len(found) != 1 or found[0].file_size > _MAX_REQUIREMENTS:
        raise LaunchError(f"{name} must have exactly one RECORD, of at most {_MAX_REQUIREMENTS} bytes.")
    digests = {}
    for line in wheel.read(found[0]).decode("utf-8", "replace").splitlines():
        path, _, rest = line.rpartition(",")[0].rpartition(",")
        if rest.startswith("sha256="):
            text = rest.removeprefix("sha256=")
            try:
                digests[path.strip('"')] = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            except (binascii.Error, ValueError) as error:
                raise LaunchError(f"{name}: RECORD is malformed.") from error
    return digests


def _bundle_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for count, member in enumerate(archive):
        if count > _MAX_WHEELS:
            raise LaunchError(f"The bundle has more than {_MAX_WHEELS} wheels.")
        if member.isdir() and member.name == "wheels":
            continue
        if not member.isreg():
            raise LaunchError(f"Bundle member {member.name[:80]!r} is no file.")
        yield member


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = archive.extractfile(member)
    if source is None or member.size > _MAX_REQUIREMENTS:
        raise LaunchError(f"{member.name} in the bundle is larger than {_MAX_REQUIREMENTS} bytes.")
    with source:
        return source.read()


def _digest(source: IO[bytes]) -> str:
    state = hashlib.sha256()
    while data := source.read(_CHUNK):
        state.update(data)
    return state.hexdigest()


def prepare(request: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Unpack wheels and datasets. Returns the algorithm's command line and additional environment variables."""
    folders = []
    wheels = request["wheels"]
    if wheels is not None:
        install_wheels(Path(wheels["bundle"]), Path(wheels["into"]))
        folders.append(wheels["into"])
    for dataset in request["datasets"]:
        unpack_dataset(Path(dataset["from"]), Path(dataset["into"]), dataset["size"])
    own = os.environ.get("PYTHONPATH")
    if own:
        folders.append(own)
    variables = {"PYTHONPATH": ":".join(folders)} if folders else {}
    return [sys.executable, request["algorithm"], *request["args"]], variables


def main() -> NoReturn:
    """Prepare, then replace this process by a new interpreter that runs the algorithm."""
    try:
        request = json.loads(sys.argv[1])
        words, variables = prepare(request)
        with open(request["launched"], "wb", buffering=0) as launched:
            launched.write(b"1")
    except Exception as error:  # noqa: BLE001 - archives fail in many ways, none of them the algorithm's fault
        print(f"The algorithm cannot be started: {error}", file=sys.stderr, flush=True)
        sys.exit(FAILED)
    os.execve(words[0], words, os.environ | variables)  # noqa: S606 - the purpose of this program


if __name__ == "__main__":
    main()
