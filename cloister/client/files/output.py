"""Writing a file that replaces an older one."""

import os
from pathlib import Path

from cloister import userfile


def write_file(path: Path, content: bytes) -> None:
    """Write a file that appears only when it is complete; a link stays a link. Raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = userfile.destination(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_bytes(content)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise userfile.unwritable(path, error) from error
