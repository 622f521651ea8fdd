"""The launcher, the first program in the sandbox: unpacks wheels and datasets, then becomes the algorithm.

The image's interpreter runs this file with one argument, a JSON object (``oci_config.launcher_argument``). It writes
one byte to a pipe when the algorithm starts. On failure it prints a message to stderr. It needs the standard library
and the rules that it shares with the client, which need no more than that.
"""

import json
import os
import stat
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Any, NoReturn

if __name__ == "__main__":
    # `-I` leaves out the folder of the project's modules: /usr/lib/cloister in the guest.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cloister.protocol.wheels import bundle

FAILED = 125
_CHUNK = 1024 * 1024
_MAX_MEMBERS = 100_000


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


def prepare(request: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Unpack wheels and datasets. Returns the algorithm's command line and additional environment variables."""
    folders = []
    variables = {}
    wheels = request["wheels"]
    if wheels is not None:
        bundle.install(Path(wheels["bundle"]), Path(wheels["into"]), sys.executable)
        folders.append(wheels["into"])
        for name, folder in (("PATH", bundle.PROGRAMS), ("LD_LIBRARY_PATH", bundle.LIBRARIES)):
            own = os.environ.get(name)
            if Path(wheels["into"], folder).is_dir():
                variables[name] = ":".join([f"{wheels['into']}/{folder}", *([own] if own else [])])
    for dataset in request["datasets"]:
        unpack_dataset(Path(dataset["from"]), Path(dataset["into"]), dataset["size"])
    own = os.environ.get("PYTHONPATH")
    if own:
        folders.append(own)
    if folders:
        variables["PYTHONPATH"] = ":".join(folders)
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
