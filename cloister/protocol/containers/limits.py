"""The limits of images of containers, one set for client and launcher."""

MAX_MEMBERS = 10_000
"""Members of the archive: blobs, and the few files around them."""

MAX_DOCUMENT = 4 * 1024 * 1024
"""Bytes of an index, a manifest or a configuration. Registries refuse larger manifests, too."""

MAX_INDEXES = 4
"""Indexes in one another."""

MAX_MANIFESTS = 256
"""Entries of all indexes together."""

MAX_LAYERS = 512
"""Docker allows 127."""

MAX_ENTRIES = 500_000
"""Files, folders and links of the root file system; images with CUDA and Anaconda have about 200,000."""

MAX_CHANGES = 4 * MAX_ENTRIES
"""Members of all layers together, those that a later layer replaces or removes included."""

MAX_PATHS = 256 * 1024 * 1024
"""Bytes of the names and links of all members of all layers."""

MAX_PATH, MAX_NAME, MAX_LINK = 3072, 255, 4095
"""Bytes of a path, of each name in it, and of a link's target. Linux takes 4,095 with the folder around the image."""

MAX_DEPTH = 256
"""Names in a path."""

MAX_HOPS = 40
"""Links that lead to links, as in Linux (path_resolution(7))."""

MAX_ID = 65_535
"""The largest user and group id: the sandbox's user namespace has so many."""

MAX_GROUPS = 64
MAX_WORDS = 4096
"""Words of the command, and variables of the environment."""

MAX_TEXT = 128 * 1024 - 1
"""Bytes of one of them (execve(2), MAX_ARG_STRLEN)."""

MAX_PROCESS = 1024 * 1024
"""Bytes of the command and the environment together, in JSON."""

MAX_USERS = 1024 * 1024
"""Bytes of /etc/passwd and of /etc/group."""

PAGE, ENTRY = 4096, 1024
"""What a file takes in memory: whole pages, and what the kernel keeps about each file, folder and link."""


def most_entries(size: int) -> int:
    """The most files, folders and links of an image that takes ``size`` bytes unpacked."""
    return min(size // ENTRY, MAX_ENTRIES)
