"""A disk that is mostly zero, of any size."""

import hashlib
from pathlib import Path

from cloister.protocol.imagemanifest import ImageManifest, Output
from image.publish.artefact import Artefact

# The SHA-256 of the disk of 4 GiB below, which takes a while; publishing would refuse another.
LARGE = "b741d5d0ad9c9371326047dcabd4c843bf22677ce13c19f2f5595f4ac1dc3211"


def sparse_disk(path: Path, mebibytes: int) -> Artefact:
    """A VHD with a solid part of 20 MiB, single pages, and a footer."""
    mebibyte, page = 1 << 20, 512
    size = mebibytes * mebibyte + page
    with path.open("wb") as file:
        file.truncate(size)
        for index in range(20):
            file.seek((2 + index) * mebibyte)
            file.write(bytes([index + 1]) * mebibyte)
        for offset in (0, 24 * mebibyte + page, 25 * mebibyte, 26 * mebibyte - page, size - page):
            file.seek(offset)
            file.write(b"page".ljust(page, b"."))
    digest = LARGE if mebibytes == 4096 else ""
    if not digest:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Artefact(f"cloister-base-{digest}.vhd", path, digest, size)


def sparse_image(folder: Path, mebibytes: int) -> ImageManifest:
    """An image's folder with a VHD and what stands for a tar."""
    folder.mkdir()
    disk = sparse_disk(folder / "disk.vhd", mebibytes)
    (folder / "disk.tar.gz").write_bytes(b"tar")
    tar = Output(hashlib.sha256(b"tar").hexdigest(), 3)
    made = ImageManifest(
        flavor="base",
        debug=False,
        inputs={},
        outputs={"disk.vhd": Output(disk.sha256, disk.size), "disk.tar.gz": tar},
        pcrs=dict.fromkeys((4, 9, 11, 12, 13), "0" * 64),
    )
    (folder / "manifest.json").write_bytes(made.encode())
    return made
