"""mount(2) and umount2(2) through libc, and the files and folders to mount on. Standard library only."""

import ctypes
from collections.abc import Iterable
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_NOATIME, MS_BIND = 1, 2, 4, 8, 32, 1024, 4096
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8


def mount(source: str, target: Path, kind: str, flags: int, data: str) -> None:
    """Mount ``source`` at ``target``. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [word.encode() for word in (source, str(target), kind, data)]
    if libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {target.name}")


def unmount(target: Path) -> None:
    """Detach the mount at ``target``. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(str(target).encode(), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
        raise OSError(ctypes.get_errno(), f"cannot unmount {target.name}")


def make_mount_points(folder: Path, paths: Iterable[str]) -> None:
    """Create empty files at ``paths`` below ``folder``, and their folders, which the algorithm must be able to list."""
    for path in paths:
        place = folder
        for part in path.split("/")[:-1]:
            place /= part
            place.mkdir(mode=0o755, exist_ok=True)
        (folder / path).touch(exist_ok=False)
