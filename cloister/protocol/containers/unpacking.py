"""Check or unpack an image: the entry points of this folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cloister.protocol import names
from cloister.protocol.archives.paths import shown
from cloister.protocol.containers.errors import ContainerError
from cloister.protocol.containers.image import ContainerImage
from cloister.protocol.containers.process import ContainerProcess, resolve
from cloister.protocol.containers.rootfs import Place, RootFilesystem, RootSink
from cloister.protocol.containers.sinks import CountingSink, WritingSink

MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp", "var/tmp", "work")
"""Folders of the sandbox's own file systems. What the image has there is not seen."""

_Reading = Callable[[str], bytes | None]
_PASSWD, _GROUP = "etc/passwd", "etc/group"
_MAX_PASSES = 4
"""How often layers are read again for a file that names users: once, and once for each name that leads to another."""


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
    return _finish(image, root, args, environment or {}, _reading(image, sink))


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
    image = _agreed(stream, digest)
    sink = WritingSink(into, owns=owns)
    root = RootFilesystem.of(image.layers(), sink, size)
    return _finish(image, root, args, environment, sink.read).process


def unpack_twice(
    stream: IO[bytes],
    first: CountingSink,
    second: Callable[[], RootSink],
    *,
    digest: str,
    size: int,
    args: Sequence[str],
    environment: Mapping[str, str],
) -> ContainerProcess:
    """The same for a sink that can take back nothing: ``first`` learns what is left in the end, ``second`` writes it.

    Raises ContainerError, ArchiveError and OSError.
    """
    image = _agreed(stream, digest)
    _finish(image, RootFilesystem.of(image.layers(), first, size), args, environment, _reading(image, first))
    root = RootFilesystem.of(image.layers(), second(), size)
    return _finish(image, root, args, environment, _reading(image, first)).process


def _agreed(stream: IO[bytes], digest: str) -> ContainerImage:
    image = ContainerImage(stream)
    if image.digest != digest:
        raise ContainerError(f"The image is sha256:{image.digest}, not sha256:{digest} as in the manifest.")
    return image


def _reading(image: ContainerImage, sink: CountingSink) -> _Reading:
    def read(path: str) -> bytes:
        found = sink.read(path)
        return _read_again(image, path) if found is None else found

    return read


def _read_again(image: ContainerImage, path: str) -> bytes:
    """The first bytes of a file that was not kept when the layers were read, as it has an unusual name.

    Raises ContainerError.
    """
    wanted = {path}
    for _ in range(_MAX_PASSES):
        sink = CountingSink(wanted)
        RootFilesystem.of(image.layers(), sink)
        if (found := sink.read(path)) is not None:
            return found
        wanted |= sink.missed
    raise ContainerError(
        f"The image's /etc/passwd or /etc/group leads to {shown(path)}, a file with too many names.",
        hint="Make both of them ordinary files in the image.",
    )


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
    root.make_file("etc/hosts")
    passwd, group = (_content(root, path, read) for path in (_PASSWD, _GROUP))
    process = resolve(image.config, args, environment, passwd=passwd, group=group)
    root.make_folder(process.folder)
    _require_program(root, process)
    root.finish()
    return CheckedImage(image.digest, root.peak, process, image.config.volumes, root.left_out)


def _content(root: RootFilesystem, path: str, read: _Reading) -> bytes | None:
    found = root.find(path)
    return read(found.path) if found is not None and found.is_file else None


def _require_program(root: RootFilesystem, process: ContainerProcess) -> None:
    """Raise ContainerError if the program that is started is not in the image, unless the sandbox mounts its folder,
    or if its user may not execute it.
    """
    program = process.args[0]
    variables = dict(one.partition("=")[::2] for one in process.environment)
    if "/" in program:
        places = [program if program.startswith("/") else f"{process.folder}/{program}"]
    else:
        places = [f"{folder}/{program}" for folder in variables.get("PATH", "").split(":") if folder.startswith("/")]
    path: str | None = None
    for place in places:
        parts = [part for part in place.split("/") if part]
        if any(parts[: len(point.split("/"))] == point.split("/") for point in MOUNT_POINTS):
            if parts[0] == "work":
                return  # perhaps one of the algorithm's files
            continue
        found = root.find(place)
        if found is not None and found.is_file:
            closed = _closed(found, process)
            if closed is None:
                return
            path = path or closed
    if path is not None:
        raise ContainerError(
            f"The image starts {names.shown(program)}, which its user {process.user} may not execute: {shown(path)} "
            "does not let it.",
            hint="Write `COPY --chmod=755`, or `RUN chmod` in the Dockerfile. Root, too, needs the right on a machine.",
        )
    raise ContainerError(
        f"The image starts {names.shown(program)}, which is not in it.",
        hint="Correct ENTRYPOINT, CMD or PATH in the Dockerfile, or `args` in the manifest.",
    )


def _closed(found: Place, process: ContainerProcess) -> str | None:
    """The first folder on the way to a program that ``process`` may not search, or the program if it may not run it.

    No process of the sandbox has a capability, so that root is a user like the others (path_resolution(7)).
    """
    parts = found.path.split("/")
    for depth, one in enumerate(found.metadata):
        if one.user == process.user:
            allowed = one.mode & 0o100
        elif one.group in (process.group, *process.groups):
            allowed = one.mode & 0o010
        else:
            allowed = one.mode & 0o001
        if not allowed:
            return "/" + "/".join(parts[:depth])
    return None
