"""The Python packages that algorithms find in an image: name and version of each distribution.

Source: PyPA, "Recording installed projects" and "Core metadata specifications"; Debian installs some as ``.egg-info``.
"""

import email.parser
import posixpath
import re

from cloister.protocol.wheels.filename import normalised
from image.errors import ImageError
from image.rootfs.tree import EntryKind, Tree

_METADATA = re.compile(r"[^/]+\.dist-info/METADATA|[^/]+\.egg-info/PKG-INFO|[^/]+\.egg-info")


def find(tree: Tree, folders: tuple[str, ...]) -> dict[str, str]:
    """Normalised name -> version, sorted by name. Where two folders have a package, the first one counts.

    Raises ImageError for metadata without a name or a version.
    """
    found: dict[str, str] = {}
    for folder in folders:
        there: dict[str, str] = {}
        for path, entry in tree:
            if not path.startswith(f"{folder}/") or entry.kind is EntryKind.DIRECTORY:
                continue
            if not _METADATA.fullmatch(posixpath.relpath(path, folder)):
                continue
            contents = tree[tree.resolve(path)].contents.decode("utf-8", "replace")
            header = email.parser.HeaderParser().parsestr(contents)
            name, version = header.get("Name", ""), header.get("Version", "")
            if not name or not version:
                raise ImageError(f"The image's file {path} names no package, or no version of it.")
            there[normalised(name)] = version
        found = there | found
    return dict(sorted(found.items()))
