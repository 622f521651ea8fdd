"""Options that several verbs of the collection ``image`` have, and what they make of them."""

import json
import sys
from pathlib import Path
from typing import Any

from cloister.errors import InputError
from cloister.protocol.text import printable

RECIPE = {
    "flavor": "one of the project's recipes: base, debug or pytorch",
    "recipe": "instead of --flavor, the path of a recipe of your own (docs/own-image.md)",
}
IMAGE = {
    "image": "flavor, or the folder of an image",
    "recipe": "instead of --image, the path of a recipe of your own; its image is that in out/image",
}
BASE = "base"
FROM = {"from_": "take all inputs from this tar from `invoke image.vendor` and nothing from the network"}
JSON = {"json": "print JSON"}
DATA = {
    "debian": "file with the data of Debian's security tracker (its JSON)",
    "osv": "file with OSV data (a zip or JSON)",
    "fetch": "fetch both from the addresses in CLOISTER_DEBIAN_TRACKER and CLOISTER_OSV",
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def chosen(flavor: str, recipe: str) -> str:
    """The recipe that a verb takes: its name or path."""
    from image.inputs import chain

    if not recipe:
        return flavor
    if flavor != BASE:
        raise InputError(f"--flavor {flavor} and --recipe {recipe} name two recipes.", hint="Pass one of them.")
    # A file in the working directory has no slash.
    return recipe if chain.is_path(recipe) else f"./{recipe}"


def folder(image: str, recipe: str) -> Path:
    """The folder of the image that a verb takes."""
    from image.build import output
    from image.inputs import chain

    if not recipe:
        return output.locate(image)
    if image != BASE:
        raise InputError(f"--image {image} and --recipe {recipe} name two images.", hint="Pass one of them.")
    return output.folder(chain.find(chosen(BASE, recipe)).flavor)


def databases(debian: str, osv: str, fetch: bool) -> Any:
    """The files of data about vulnerabilities that a verb takes."""
    from image.audit.databases import Databases

    return Databases.gather(debian, osv, fetch=fetch, say=say)


def print_plain(text: str) -> None:
    """Print text that quotes others, such as changelogs and databases, without characters that steer a terminal."""
    print(printable(text, keep="\n\t"))


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1))
