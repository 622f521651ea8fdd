"""Rebuild an image from nothing but its inputs: ``python -m image FLAVOR FOLDER``. What `invoke image.verify` runs."""

import sys
from pathlib import Path

from cloister.errors import CloisterError
from image.build.builder import build


def main() -> None:
    """Build into a folder, trusting no earlier step."""
    flavor, folder, *vendored = sys.argv[1:]
    try:
        build(flavor, Path(folder), vendored=Path(vendored[0]) if vendored else None, fresh=True)
    except CloisterError as error:
        sys.exit(str(error))


main()
