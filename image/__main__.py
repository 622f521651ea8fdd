"""Build an image from its locked inputs: ``python -m image FLAVOR FOLDER [TAR]``, which `invoke image.verify` runs."""

import sys
from pathlib import Path

from cloister.errors import CloisterError
from image.build import variation
from image.build.incremental import build


def main() -> None:
    """Build into a folder without reusing anything of earlier builds, as on another machine."""
    variation.become()
    flavor, folder, *vendored = sys.argv[1:]
    try:
        build(flavor, Path(folder), vendored=Path(vendored[0]) if vendored else None, fresh=True, reread=True)
    except CloisterError as error:
        sys.exit(str(error))


main()
