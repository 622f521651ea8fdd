"""Links of an archive or a folder, each of which becomes the file that it leads to."""

from collections.abc import Mapping
from dataclasses import dataclass

from cloister.protocol.archives.errors import FOLLOW, ArchiveError
from cloister.protocol.archives.limits import MAX_HOPS, MAX_LINK
from cloister.protocol.archives.paths import clean, shown

FOLDER = -1
"""Stands for a folder where a file has its size."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link. ``target`` is a path from the link's own folder; for a hard link, from the top of the archive."""

    target: str
    hard: bool = False


def resolve(links: Mapping[str, Link], entries: Mapping[str, int]) -> dict[str, str]:
    """The path of a file for the path of each link. ``entries`` has the size of each file, and :data:`FOLDER`.

    Raises ArchiveError for a link to a folder, to the outside, to nothing, or in a circle.
    """
    return {path: _file(path, links, entries) for path in links}


def _file(path: str, links: Mapping[str, Link], entries: Mapping[str, int]) -> str:
    name, link = path, links[path]
    for _ in range(MAX_HOPS):
        at = clean(link.target) if link.hard else _walk(path, name, link.target, entries)
        following = links.get(at)
        if following is None:
            break
        if not link.hard:
            name = at  # a hard link to a symbolic link is that link under another name
        link = following
    else:
        raise _refused(path, "leads in a circle, or over too many links")
    size = entries.get(at)
    if size is None:
        raise _refused(path, f"leads to {shown(links[path].target)}, which is not a file in the same archive or folder")
    if size == FOLDER:
        raise _refused(path, "leads to a folder")
    return at


def _walk(path: str, place: str, target: str, entries: Mapping[str, int]) -> str:
    """The path that ``target`` means in the folder of ``place``."""
    if len(target) > MAX_LINK or "\0" in target or not target:
        raise _refused(path, "has an invalid target")
    outside = f"leads to {shown(target)}, outside of its archive or folder"
    if target.startswith("/"):
        raise _refused(path, outside)
    if target.endswith(("/", "/.", "/..")) or target in (".", ".."):
        raise _refused(path, "leads to a folder")
    parts = place.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not parts:
                raise _refused(path, outside)
            if entries.get("/".join(parts)) != FOLDER:
                raise _refused(path, f"leads to {shown(target)}, through something that is not a folder")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _refused(path: str, why: str) -> ArchiveError:
    return ArchiveError(f"The link {shown(path)} {why}.", hint=FOLLOW)
