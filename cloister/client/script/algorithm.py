"""An algorithm on its author's or provider's disk, and what an examination finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cloister.protocol.manifest import DeclaredContainer


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
    args: tuple[str, ...] = ()
    container: DeclaredContainer | None = None
    """The image that was agreed on, for kind oci; None if it is not known yet."""

    own_image: bool = False
    """Whether the image may have more libraries than the base image: it is another one, or unknown by now."""


@dataclass(frozen=True)
class ProgramFindings:
    """What an examination found: warnings, the packages of the image that the program imports, the bytes of memory that
    its bundle takes, and the image of kind oci.
    """

    warnings: tuple[str, ...] = ()
    image_packages: Mapping[str, str] = field(default_factory=dict)
    unpacked_size: int = 0
    container: DeclaredContainer | None = None
