"""A secret that the kernel reads from a keyring: add_key(2), keyctl(2), keyrings(7). Standard library only."""

import ctypes
import os
from collections.abc import Generator
from contextlib import contextmanager

# The numbers of x86-64 (Linux, arch/x86/entry/syscalls/syscall_64.tbl); libc has no wrapper.
_ADD_KEY, _KEYCTL = 248, 250
_REVOKE = 3
_PROCESS_KEYRING = -2


@contextmanager
def random_key(description: str, size: int) -> Generator[str]:
    """A logon key of ``size`` random bytes, as dm-crypt's table names it. It is revoked at the end.

    The kernel does not let any program read a logon key, and wipes it when it is revoked. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    secret = (ctypes.c_char * size)()
    try:
        with open("/dev/urandom", "rb", buffering=0) as source:
            if source.readinto(secret) != size:
                raise OSError("the kernel gave too few random bytes")
        words = (b"logon", description.encode(), secret, ctypes.c_size_t(size), ctypes.c_long(_PROCESS_KEYRING))
        key = _call(libc, _ADD_KEY, *words)
    finally:
        ctypes.memset(secret, 0, size)
    try:
        yield f":{size}:logon:{description}"
    finally:
        _call(libc, _KEYCTL, ctypes.c_long(_REVOKE), ctypes.c_long(key))


def _call(libc: ctypes.CDLL, number: int, *words: object) -> int:
    libc.syscall.restype = ctypes.c_long
    found: int = libc.syscall(ctypes.c_long(number), *words)
    if found < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return found
