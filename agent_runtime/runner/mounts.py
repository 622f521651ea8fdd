"""mount(2) and umount2(2) through libc. Standard library only."""

import ctypes
from pathlib import Path

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 2, 4, 8, 4096
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
