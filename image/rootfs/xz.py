"""Decompress .xz with the host tools' liblzma: twice as fast as that of most Pythons, and the same bytes."""

import lzma
from collections.abc import Callable
from dataclasses import dataclass

from cloister.process import ProcessError, run_filter
from image.debian import deb

_SMALL = 1 << 20
"""Bytes for which starting a program takes longer than it saves."""


@dataclass(frozen=True)
class Xz:
    """Decompresses .xz; ``tool`` returns the start of a host tool's command line."""

    tool: Callable[[str], list[str]]

    def __call__(self, data: bytes, most: int) -> bytes:
        """Raises LZMAError for damaged data, and for more than ``most`` bytes."""
        if len(data) < _SMALL:
            return deb.unxz(data, most)
        words = [*self.tool("zstd"), "--decompress", "--format=xz", "--stdout", "--quiet", "-"]
        try:
            return run_filter(words, data, most=most)
        except ProcessError as error:
            raise lzma.LZMAError(error.message.splitlines()[-1]) from error
