"""Python packages of an image that a bundle leaves out and counts on.

The bundle's requirements name them in comments, ``# image: torch==2.6.0``: what installs from the file elsewhere passes
over them. The image has its packages in a file, which the agent compares with a manifest and the launcher with a
bundle. Standard library only.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from cloister.protocol.wheels.errors import BundleError

FILE = "packages.json"
"""The file in the image, beside the agent's modules: normalised name -> version."""

MAX_SIZE = 1024 * 1024
"""Bytes of this file."""

_LINE = re.compile(
    r"^# image: ([a-z0-9](?:[a-z0-9-]{0,253}[a-z0-9])?)==([A-Za-z0-9](?:[A-Za-z0-9.!+_-]{0,126}[A-Za-z0-9])?)[ \t]*$",
    re.MULTILINE,
)
_SAID = 8


def comments(packages: Mapping[str, str]) -> str:
    """The comments that name ``packages``, normalised name -> version."""
    return "".join(f"# image: {name}=={version}\n" for name, version in sorted(packages.items()))


def of_comments(text: str) -> dict[str, str]:
    """The packages that the comments of requirements name."""
    return dict(_LINE.findall(text))


def encode(packages: Mapping[str, str]) -> bytes:
    """The file in the image."""
    return json.dumps(dict(sorted(packages.items())), indent=0).encode() + b"\n"


def parse(data: bytes) -> dict[str, str]:
    """The packages that the file in the image names. Raises BundleError."""
    try:
        found = json.loads(data) if len(data) <= MAX_SIZE else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(version, str) for version in found.values()):
        raise BundleError(f"{FILE} in the image does not name packages.", hint="Build the image again.")
    return found


def missing(packages: Mapping[str, str], image: Mapping[str, str]) -> str:
    """The ``packages`` that ``image`` does not have in these versions, for a sentence; "" if it has all."""
    absent = []
    for name, version in sorted(packages.items()):
        found = image.get(name)
        if found != version:
            absent.append(f"{name} {version} ({'not there' if found is None else f'there: {found}'})")
    more = f" and {len(absent) - _SAID} more" if len(absent) > _SAID else ""
    return f"{', '.join(absent[:_SAID])}{more}"


def require(requirements: str, image: Path) -> None:
    """Raise BundleError unless the image with the file ``image`` has the packages that a bundle counts on."""
    counted = of_comments(requirements)
    if not counted:
        return
    try:
        there = parse(image.read_bytes())
    except OSError as error:
        raise BundleError(f"The bundle counts on packages of an image, and {image} cannot be read.") from error
    if said := missing(counted, there):
        raise BundleError(
            f"The bundle counts on packages that this image does not have: {said}.",
            hint="Make it again for this image: bundle REQUIREMENTS --image MANIFEST.",
        )
