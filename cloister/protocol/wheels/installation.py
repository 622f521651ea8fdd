"""The folder that all wheels of a bundle are installed into: no wheel replaces a file of another.

Two wheels may have a file in common (twelve of NVIDIA's have ``nvidia/__init__.py``), if its bytes are the same.
"""

from cloister.protocol.archives.limits import in_memory
from cloister.protocol.wheels.errors import BundleError

MAX_INODES = 262_144
"""Files and folders of all wheels; the sandbox's file system of the wheels has as many inodes."""


class Installation:
    """What is installed so far."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, bytes]] = {}
        self._folders = {""}
        self.size = 0
        """Bytes in the guest's memory, in whole pages."""

    @property
    def inodes(self) -> int:
        """Files and folders, including the folder itself."""
        return len(self._files) + len(self._folders)

    def place(self, path: str, wheel: str) -> bool:
        """Return whether ``path`` is new. Raises BundleError if it is a folder's, or lies below a file."""
        if path in self._files:
            return False
        if path in self._folders:
            raise BundleError(f"{wheel} has a file {path[:80]!r}, which is a folder of another wheel.", hint=_CHOOSE)
        folder = path.rpartition("/")[0]
        while folder not in self._folders:
            if folder in self._files:
                owner = self._files[folder][0]
                raise BundleError(f"{wheel} has a folder {folder[:80]!r}, which is a file of {owner}.", hint=_CHOOSE)
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]
        return True

    def add(self, path: str, wheel: str, digest: bytes, size: int) -> None:
        """Add a file with the digest of its content. Raises BundleError if the path has other content."""
        owner, content = self._files.setdefault(path, (wheel, digest))
        if content != digest:
            raise BundleError(f"{wheel} and {owner} have different files {path[:80]!r}.", hint=_CHOOSE)
        if owner == wheel:
            self.size += in_memory(size)
        if self.inodes > MAX_INODES:
            raise BundleError(
                f"The wheels have more than {MAX_INODES} files and folders, the most that the guest has room for.",
                hint="Leave out packages that the algorithm does not import.",
            )

    def __contains__(self, path: str) -> bool:
        return path in self._files


_CHOOSE = "Keep one of the two packages: most often one replaces the other."
