"""Check or unpack an image: the entry points of this folder."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cloister.protocol.containers import limits
from cloister.protocol.containers.errors import ContainerError
from cloister.protocol.containers.image import ContainerImage
from cloister.protocol.containers.libraries import MOUNT_POINTS, WHOLE
from cloister.protocol.containers.process import ContainerProcess, resolve
from cloister.protocol.containers.program import START, require_program
from cloister.protocol.containers.rootfs import Place, RootFilesystem, RootSink
from cloister.protocol.containers.sinks import CountingSink, WritingSink
from cloister.protocol.placement import WORK

_PASSWD, _GROUP = "etc/passwd", "etc/group"
SHOWN = 4
"""How many of the files that are hidden are named; one more says that there are more."""


@dataclass(frozen=True)
class CheckedImage:
    """An image as the machine will run it: the digest of its manifest (hex), the bytes that it takes unpacked, its
    process, the volumes that it declares, the devices that are left out, and some of the files that the sandbox's
    working folder hides.
    """

    digest: str
    size: int
    process: ContainerProcess
    volumes: tuple[str, ...]
    left_out: int
    hidden: tuple[str, ...]


def check(stream: IO[bytes], args: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> CheckedImage:
    """Read an image to its end: every blob, both digests of every layer, the user, and the program that is started.

    Raises ContainerError, ArchiveError and OSError.
    """
    image = ContainerImage(stream)
    root = RootFilesystem.of(image.layers(), CountingSink())
    return _finish(image, root, args, environment or {}, WHOLE)


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
    root = RootFilesystem.of(image.layers(), WritingSink(into, owns=owns), size)
    return _finish(image, root, args, environment).process


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
    _finish(image, RootFilesystem.of(image.layers(), first, size), args, environment)
    root = RootFilesystem.of(image.layers(), second(), size)
    return _finish(image, root, args, environment).process


def _agreed(stream: IO[bytes], digest: str) -> ContainerImage:
    image = ContainerImage(stream)
    if image.digest != digest:
        raise ContainerError(f"The image is sha256:{image.digest}, not sha256:{digest} as in the manifest.")
    return image


def _finish(
    image: ContainerImage,
    root: RootFilesystem,
    args: Sequence[str],
    environment: Mapping[str, str],
    examined: int = START,
) -> CheckedImage:
    """``examined``: the bytes of the program that are read, in memory."""

    def read(places: Sequence[Place], most: int) -> Iterator[tuple[Place, bytes]]:
        sources = {place.source: place for place in places if place.source is not None}
        return ((sources[source], data) for source, data in image.contents(sources, most))

    hidden = tuple(itertools.islice(root.files_below(WORK.strip("/")), SHOWN + 1))
    for name in MOUNT_POINTS:
        if root.is_real_folder(name) is False:
            raise ContainerError(
                f"The image has a file or a link at /{name}, where the sandbox has a folder.",
                hint=f"Make /{name} an ordinary folder in the image, or leave it out.",
            )
        root.make_folder(name)
    root.make_file("etc/hosts")
    users = [root.find(path) for path in (_PASSWD, _GROUP)]
    passwd, group = (
        next((data for _, data in read([one], limits.MAX_USERS)), b"") if one is not None and one.is_file else None
        for one in users
    )
    process = resolve(image.config, args, environment, passwd=passwd, group=group)
    root.make_folder(process.folder)
    require_program(root, process, read, examined)
    root.finish()
    return CheckedImage(image.digest, root.peak, process, image.config.volumes, root.left_out, hidden)
