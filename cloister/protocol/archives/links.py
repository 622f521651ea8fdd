"""Links of an archive or a folder, each of which becomes the file that it leads to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

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


def require_target(path: str, link: Link) -> None:
    """Raise ArchiveError for a target that no link has. ``path`` is the link's own."""
    size = len(link.target.encode(errors="surrogatepass"))
    if not 0 < size <= MAX_LINK or "\0" in link.target:
        raise _refused(path, "has an invalid target")


def resolve(links: Mapping[str, Link], entries: Mapping[str, int]) -> dict[str, str]:
    """The path of a file for the path of each link. ``entries`` has the size of each file, and :data:`FOLDER`.

    Raises ArchiveError for a link to a folder, to the outside, to nothing, or in a circle.
    """
    found: dict[str, _End] = {}
    for path in links:
        _follow(path, links, entries, found)
    return {path: found[path].file for path in links}


class _End(NamedTuple):
    """Where a link leads, and over how many links."""

    file: str
    hops: int


def _follow(path: str, links: Mapping[str, Link], entries: Mapping[str, int], found: dict[str, _End]) -> None:
    """Follow one link; ``found`` has the ends of those that were followed before, and gets those on the way."""
    passed: dict[str, int] = {}
    name, link, hops = path, links[path], 0
    while name not in found:
        passed.setdefault(name, hops)
        at = clean(link.target) if link.hard else _walk(path, name, link.target, entries)
        hops += 1
        if at not in links:
            found[name] = _End(at, hops - passed[name])
            break
        if hops >= MAX_HOPS:
            raise _refused(path, "leads in a circle, or over too many links")
        if not link.hard:
            name = at  # a hard link to a symbolic link is that link under another name
        link = links[at]
    file, behind = found[name]
    last = passed.get(name, hops)
    if last + behind > MAX_HOPS:
        raise _refused(path, "leads in a circle, or over too many links")
    size = entries.get(file)
    if size is None:
        raise _refused(path, f"leads to {shown(links[path].target)}, which is not a file in the same archive or folder")
    if size == FOLDER:
        raise _refused(path, "leads to a folder")
    for before, count in passed.items():
        found[before] = _End(file, last + behind - count)


def _walk(path: str, place: str, target: str, entries: Mapping[str, int]) -> str:
    """The path that ``target`` means in the folder of ``place``."""
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
