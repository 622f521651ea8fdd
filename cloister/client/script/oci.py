"""Examines an algorithm of kind oci: an image of a container, read to its end by the rules of the machine."""

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from cloister import userfile
from cloister.client.script import kind
from cloister.client.script.algorithm import Program, ProgramFindings
from cloister.errors import InputError
from cloister.protocol import names
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.containers import unpacking
from cloister.protocol.containers.errors import ContainerError
from cloister.protocol.containers.unpacking import CheckedImage
from cloister.protocol.foldertar import FolderTar
from cloister.protocol.manifest import DeclaredContainer
from cloister.protocol.placement import OWN_NAMES, WORK

_SAMPLE = 512


def examine(program: Program) -> ProgramFindings:
    """Examine an image: a file, or the folder of a layout. Raises InputError when the guest cannot run it."""
    name = names.shown(program.path.name)
    try:
        with _open(program.path) as stream:
            checked = unpacking.check(stream, program.args, program.environment)
    except OSError as error:
        raise userfile.unreadable(program.path, error) from error
    except (ContainerError, ArchiveError) as error:
        raise InputError(f"{name} cannot be run. {_instead(program.path)}{error.message}", hint=error.hint) from error
    found = DeclaredContainer(checked.digest, checked.size)
    if program.container not in (None, found):
        agreed = program.container
        raise InputError(
            f"{name} has the image sha256:{found.digest}, which takes {found.unpacked_size} bytes; the manifest has "
            f"sha256:{agreed.digest}, which takes {agreed.unpacked_size}.",
            hint="Use the file that was agreed on, or agree on this one: write the manifest again.",
        )
    return ProgramFindings((*_warnings(name, checked), *_missing(name, checked, program)), container=found)


def _missing(name: str, checked: CheckedImage, program: Program) -> Iterator[str]:
    """Words of the command that name a file in the working folder, where only the algorithm's files are."""
    there = {names.same_as(place) for place in program.files}
    for word in checked.process.args[1:]:
        place = word.removeprefix(f"{WORK}/")
        if place in ("", word) or place.split("/")[0] in OWN_NAMES or names.same_as(place.rstrip("/")) in there:
            continue
        if not any(one.startswith(f"{names.same_as(place.rstrip('/'))}/") for one in there):
            yield (
                f"{name} is started with {names.shown(word)}, which is not one of the algorithm's files: name it in "
                "`algorithm.files`, or COPY it to another folder of the image and start that."
            )


def _warnings(name: str, checked: CheckedImage) -> Iterator[str]:
    if checked.volumes:
        said = ", ".join(names.shown(volume) for volume in checked.volumes[:8])
        yield f"{name} declares the volume {said}, which is read-only here: write to results, datasets or /tmp."
    if checked.hidden:
        said = ", ".join(names.shown(f"/{path}") for path in checked.hidden[: unpacking.SHOWN])
        more = " and more" if len(checked.hidden) > unpacking.SHOWN else ""
        yield (
            f"{name} has {said}{more}, which the run does not see: the sandbox has its own /work, with datasets and "
            "results. COPY to another folder, such as /app, and name files there by their whole path."
        )
    if checked.left_out:
        yield f"{name} has {checked.left_out} device files, which are left out: the sandbox has its own /dev."


def _instead(path: Path) -> str:
    """What a file is, if that is something else."""
    if path.is_dir():
        return ""
    with userfile.open_regular(path) as stream:
        what = kind.described(stream.read(_SAMPLE))
    return "" if what is None else f"It is {what}. "


def _open(path: Path) -> BinaryIO:
    return BufferedReader(FolderTar(path)) if path.is_dir() else userfile.open_regular(path)
