"""Check or unpack an image: the two entry points of this folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cloister.protocol import names
from cloister.protocol.containers.errors import ContainerError
from cloister.protocol.containers.image import ContainerImage
from cloister.protocol.containers.process import ContainerProcess, resolve
from cloister.protocol.containers.rootfs import RootFilesystem
from cloister.protocol.containers.sinks import CountingSink, WritingSink

MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp", "var/tmp", "work")
"""Folders of the sandbox's own file systems. What the image has there is not seen."""

_Reading = Callable[[str], bytes | None]
_PASSWD, _GROUP = "etc/passwd", "etc/group"


@dataclass(frozen=True)
class CheckedImage:
    """An image as the machine will run it: the digest of its manifest (hex), the bytes that it takes unpacked, its
    process, the volumes that it declares, and the devices that are left out.
    """

    digest: str
    size: int
    process: ContainerProcess
    volumes: tuple[str, ...]
    left_out: int


def check(stream: IO[bytes], args: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> CheckedImage:
    """Read an image to its end: every blob, both digests of every layer, the user, and the program that is started.

    Raises ContainerError, ArchiveError and OSError.
    """
    image = ContainerImage(stream)
    sink = CountingSink()
    root = RootFilesystem.of(image.layers(), sink)
    return _finish(image, root, args, environment or {}, sink.read)


def unpack(
    stream: IO[bytes],
    into: Path,
    *,
    digest: str,
    size: int,
    args: Sequence[str],
    environment: Mapping[str, str],
    owns: bool,
) -> ContainerProcess:
    """Unpack the image with the manifest's ``digest`` and ``size`` into the empty folder ``into``.

    ``owns`` says whether files can be given to their owners; if not, all of them belong to this user.
    Raises ContainerError, ArchiveError and OSError. What was unpacked until then remains.
    """
    image = ContainerImage(stream)
    if image.digest != digest:
        raise ContainerError(f"The image is sha256:{image.digest}, not sha256:{digest} as in the manifest.")
    sink = WritingSink(into, owns=owns)
    root = RootFilesystem.of(image.layers(), sink, size)
    return _finish(image, root, args, environment, sink.read).process


def _finish(
    image: ContainerImage, root: RootFilesystem, args: Sequence[str], environment: Mapping[str, str], read: _Reading
) -> CheckedImage:
    for name in MOUNT_POINTS:
        if root.is_real_folder(name) is False:
            raise ContainerError(
                f"The image has a file or a link at /{name}, where the sandbox has a folder.",
                hint=f"Make /{name} an ordinary folder in the image, or leave it out.",
            )
        root.make_folder(name)
    root.make_folder("etc")
    passwd, group = (_content(root, path, read) for path in (_PASSWD, _GROUP))
    process = resolve(image.config, args, environment, passwd=passwd, group=group)
    root.make_folder(process.folder)
    _require_program(root, process)
    root.finish()
    return CheckedImage(image.digest, root.peak, process, image.config.volumes, root.left_out)


def _content(root: RootFilesystem, path: str, read: _Reading) -> bytes | None:
    found = root.find(path)
    return read(found[0]) if found is not None and found[1] else None


def _require_program(root: RootFilesystem, process: ContainerProcess) -> None:
    """Raise ContainerError if the program that is started is not in the image, unless the sandbox mounts its folder."""
    program = process.args[0]
    variables = dict(one.partition("=")[::2] for one in process.environment)
    if "/" in program:
        places = [program if program.startswith("/") else f"{process.folder}/{program}"]
    else:
        places = [f"{folder}/{program}" for folder in variables.get("PATH", "").split(":") if folder.startswith("/")]
    for place in places:
        parts = [part for part in place.split("/") if part]
        if any(parts[: len(point.split("/"))] == point.split("/") for point in MOUNT_POINTS):
            if parts[0] == "work":
                return  # perhaps one of the algorithm's files
            continue
        found = root.find(place)
        if found is not None and found[1]:
            return
    raise ContainerError(
        f"The image starts {names.shown(program)}, which is not in it.",
        hint="Correct ENTRYPOINT, CMD or PATH in the Dockerfile, or `args` in the manifest.",
    )
