"""Unpack Debian's packages into a tree, without dpkg, maintainer scripts or root."""

import tarfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

from image.debian import deb
from image.debian.deb import Unxz
from image.errors import ImageError
from image.rootfs.tree import MERGED, Tree, TreeEntry, Unwanted, merged, read_member
from image.rootfs.workers import Workers


def unpack(packages: Mapping[str, Path], *, unwanted: Unwanted, workers: Workers, unxz: Unxz) -> Tree:
    """Unpack ``packages`` (name -> .deb), without what is ``unwanted``."""
    tree = Tree()
    for folder in MERGED:
        tree.put(folder, TreeEntry.link(f"usr/{folder}"))
        tree.put(f"usr/{folder}", TreeEntry.directory())
    for name, tar in _opened(sorted(packages.items()), workers, unxz):
        with tar:
            for member in tar:
                _unpack_member(tree, name, tar, member, unwanted)
    return tree


def _opened(
    packages: Iterable[tuple[str, Path]], workers: Workers, unxz: Unxz
) -> Iterator[tuple[str, tarfile.TarFile]]:
    """The packages' tars in order. The next ones are decompressed meanwhile: that takes most of the time."""
    pending: deque[tuple[str, Future[tarfile.TarFile]]] = deque()
    for name, path in packages:
        pending.append((name, workers.submit(deb.open_data, path, unxz)))
        if len(pending) > workers.count:
            first, opened = pending.popleft()
            yield first, opened.result()
    for first, opened in pending:
        yield first, opened.result()


def _unpack_member(tree: Tree, package: str, tar: tarfile.TarFile, member: tarfile.TarInfo, unwanted: Unwanted) -> None:
    path = merged(member.name)
    if not path or path in MERGED or unwanted(path):
        return
    if member.isdir():
        if path not in tree:
            tree.put(path, TreeEntry.directory())
    elif member.issym():
        tree.put(path, TreeEntry.link(member.linkname))
    elif member.islnk():
        tree.put(path, tree[merged(member.linkname)])
    elif member.isfile():
        tree.put(path, TreeEntry.file(read_member(tar, member), executable=bool(member.mode & 0o100)))
    else:
        raise ImageError(f"Package {package}: {path} is not a file, directory or link.")
