"""An algorithm on its author's or provider's disk, and what an examination finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """An algorithm with what belongs to it.

    ``files`` are its files by place, with their paths, None for those that are elsewhere; ``bundle`` is the bundle's
    path, None if it is elsewhere or missing (``has_bundle``). ``image`` has the Python packages of the image, by
    normalised name with their versions; empty if it is not known.
    """

    path: Path
    files: Mapping[str, Path | None]
    environment: Mapping[str, str]
    bundle: Path | None = None
    has_bundle: bool = False
    image: Mapping[str, str] = field(default_factory=dict)
    kind: str = "python"
    own_image: bool = False
    """Whether the image may have more libraries than the base image: it is another one, or unknown by now."""


@dataclass(frozen=True)
class ProgramFindings:
    """What an examination found: warnings, the packages of the image that the program imports, and the bytes of memory
    that its bundle takes.
    """

    warnings: tuple[str, ...] = ()
    image_packages: Mapping[str, str] = field(default_factory=dict)
    unpacked_size: int = 0
