"""The limits of archives, one set for client and launcher."""

MAX_ENTRIES = 250_000
"""Files and folders of one archive or folder, also those that only a path names. 112,120 pictures fit. Each is an inode
in the sandbox's memory (``agent_runtime.runner.oci_config.inodes``), and takes about 0.4 KB to check."""

MAX_PATHS = 64 * 1024 * 1024
"""Bytes (UTF-8) of all paths together, folders and the targets of links included: bounds memory where they are long."""

MAX_HEADERS = 4 * MAX_ENTRIES
"""Headers of a tar. A member has up to three extended ones; labels, global headers and repeated members are counted
by nothing else."""

MAX_REPEATS = 16
"""Repeated members with equal bytes have at most this many times the bytes of all files before them."""

MAX_SIZE = 2**53 - 1
"""Bytes of all files, unpacked: the largest size of a manifest."""

MAX_DIRECTORY = 256 * 1024 * 1024
"""Bytes of a zip's directory, and of all extended headers of a tar."""

MAX_HEADER = 1024 * 1024
"""Bytes of one extended header of a tar."""

MAX_PADDING = 16 * 1024 * 1024
"""Bytes of zeros after the end of a tar, which tape records leave (``tar -b``)."""

MAX_LINK = 1024
"""Bytes of a link's target."""

MAX_HOPS = 40
"""Links that lead to links, as in Linux (path_resolution(7))."""

MAX_DICTIONARY = 192 * 1024 * 1024
"""Bytes that a decoder of xz or LZMA may use; ``xz -9`` needs 65 MiB."""

MAX_WINDOW_LOG = 27
"""Zstandard may refer to this many bytes back, as a power of two: 128 MiB, what `zstd --long` asks for."""

PAGE = 4096
INODE = 900
"""Bytes of the guest's memory that a file or folder takes beside its pages: inode and directory entry."""

CHUNK = 1024 * 1024
"""Bytes that are read, decompressed and written at once."""


def in_memory(size: int) -> int:
    """The bytes of the guest's memory that the content of a file of ``size`` bytes takes: whole pages."""
    return -(-size // PAGE) * PAGE
