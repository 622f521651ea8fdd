"""A disk that is mostly zero, of any size."""

import hashlib
from pathlib import Path

from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from image.publish.artefact import Artefact

# A disk of 4 GiB, and its SHA-256, which takes a while to compute.
LARGE = 4096
_LARGE_DIGEST = "4c2b8a8aab52dbfa573b78a03e4f3e10145924bee16af8a4bac319fb7f73d5ac"
_LARGE_SOLID, _SMALL_SOLID = 96, 20


def sparse_disk(path: Path, mebibytes: int) -> Artefact:
    """A VHD of 27 MiB or more with a solid part of 20 MiB, single pages, and a footer; of 96 MiB when it is LARGE."""
    mebibyte, page = 1 << 20, 512
    size = mebibytes * mebibyte + page
    solid = _LARGE_SOLID if mebibytes == LARGE else _SMALL_SOLID
    behind = (4 + solid) * mebibyte
    with path.open("wb") as file:
        file.truncate(size)
        for index in range(solid):
            file.seek((2 + index) * mebibyte)
            file.write(bytes([index + 1]) * mebibyte)
        for offset in (0, behind + page, behind + mebibyte, behind + 2 * mebibyte - page, size - page):
            file.seek(offset)
            file.write(b"page".ljust(page, b"."))
    digest = _LARGE_DIGEST
    if mebibytes != LARGE:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Artefact(f"cloister-base-{digest}.vhd", path, digest, size)


def sparse_image(folder: Path, mebibytes: int) -> ImageManifest:
    """Write an image's folder with a VHD and a placeholder for the tar."""
    folder.mkdir()
    disk = sparse_disk(folder / "disk.vhd", mebibytes)
    (folder / "disk.tar.gz").write_bytes(b"tar")
    tar = ImageOutput(hashlib.sha256(b"tar").hexdigest(), 3)
    made = ImageManifest(
        flavor="base",
        debug=False,
        inputs={},
        outputs={"disk.vhd": ImageOutput(disk.sha256, disk.size), "disk.tar.gz": tar},
        pcrs=dict.fromkeys((4, 9, 11, 12, 13), "0" * 64),
    )
    (folder / "manifest.json").write_bytes(made.encode())
    return made
