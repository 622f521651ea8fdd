"""Build the image of a recipe into a folder, unless it is there already."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from cloister.protocol.imagemanifest import ImageManifest
from image import cache, disk_space
from image.build import output, unchanged
from image.inputs import locked, lockfile, recipe
from image.inputs.chain import TOOLS


def build(
    words: str,
    destination: Path,
    *,
    vendored: Path | None = None,
    relock: bool = False,
    fresh: bool = False,
    reread: bool = False,
    say: Callable[[str], None] = print,
) -> ImageManifest:
    """Build the image of a recipe, by name or path, into the folder ``destination``; its manifest.

    ``vendored`` and ``relock`` are as for ``Inputs.gather``; ``fresh`` reuses no step of an earlier build, and
    ``reread`` nothing that was read from packages; ``say`` receives the name of each step. Raises ImageError, and
    InputError when a disk is full.
    """
    with disk_space.needed(Path(tempfile.gettempdir()), disk_space.TEMPORARY_HINT):
        if not fresh and (known := _unchanged(words, destination, vendored)) is not None:
            say("No input and no output has changed since the last build.")
            return known
        # Imported late: they load what makes an image, which is not needed if nothing has changed.
        from image.build.assembly import assemble
        from image.build.inputs import Inputs
        from image.build.steps import Steps

        inputs = Inputs.gather(words, vendored, relock=relock)
        steps = Steps(None if fresh else cache.root() / "steps", say)
        outputs = assemble(inputs, steps, None if reread else cache.root() / "declared")
        output.write(outputs.files, destination)
        unchanged.keep(inputs.recipe, lock=inputs.lock.digest(), tools=inputs.tools, manifest=outputs.manifest)
    return outputs.manifest


def _unchanged(words: str, destination: Path, vendored: Path | None) -> ImageManifest | None:
    lock, place = locked.find(words)
    tools = lockfile.load(TOOLS).digest()
    known = unchanged.find(recipe.load(words).recipe, lock=lock.digest(), tools=tools, destination=destination)
    if known is None:
        return None
    locked.note_override(place)
    if vendored is not None:
        # Imported late: it loads the code that downloads.
        from image.inputs import fetch

        # Also when nothing of it is needed, so that a wrong tar is noticed.
        fetch.check(lock, vendored)
    return known
