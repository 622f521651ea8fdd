"""The verbs of the collection ``image``: each parses, calls one function and prints."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from invoke.collection import Collection

from cloister.cli.shell.verb import verb
from cloister.errors import InputError

_FLAVOR = "flavor of the image: base or debug"
_VENDORED = "take all inputs from this tar of `invoke image.vendor` and nothing from the network"
_RELOCK = "when a locked package is gone everywhere, build from a new lock under out/"
_JSON = "print facts as JSON"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1))


def _folder(image: str) -> Path:
    """A flavor's folder under out/, or what is written with a slash: the path of another. Raises InputError."""
    from image.build import output
    from image.inputs import recipe

    if "/" in image:
        return Path(image)
    if image not in (known := recipe.flavors()):
        raise InputError(
            f"There is no flavor {image!r}; there are {', '.join(known)}.",
            hint="An image's folder is written with a slash, for example ./out/image/base.",
        )
    return output.folder(image)


@verb(help={"flavor": _FLAVOR, "tools": "lock the host tools instead"})
def lock(_: Any, flavor: str = "base", tools: bool = False) -> None:
    """Write the lock of a flavor, or of the host tools, from Debian's signed index of today."""
    from image.inputs import relock

    path = relock.write("tools" if tools else flavor)
    print(f"{path} is written; `git diff` shows what changed, `invoke image.diff` as a changelog.")


@verb(
    help={
        "flavor": _FLAVOR,
        "from_": _VENDORED,
        "relock": _RELOCK,
        "fresh": "trust no step of an earlier build",
        "json": _JSON,
    },
)
def build(
    _: Any,
    flavor: str = "base",
    from_: str = "",
    relock: bool = False,
    fresh: bool = False,
    json: bool = False,
) -> None:
    """Build the guest image into out/image/FLAVOR (10 s once its inputs are in the cache)."""
    from image import disk_space
    from image.build import builder, output

    folder = output.folder(flavor)
    vendored = Path(from_) if from_ else None
    with disk_space.needed(Path(tempfile.gettempdir()), disk_space.TEMPORARY):
        made = builder.build(flavor, folder, vendored=vendored, relock=relock, fresh=fresh, say=_say)
    if json:
        print(made.manifest.encode().decode())
        return
    for name, file in made.manifest.outputs.items():
        print(f"{name:18}{file.size:>10}  {file.sha256}")
    print(f"The image is in {folder}; its name is {made.manifest.digest().hex()}.")


@verb(help={"image": "flavor, or an image's folder", "json": _JSON})
def measure(_: Any, image: str = "base", json: bool = False) -> None:
    """Show what a machine booted from the image will measure, event by event."""
    from image.build import manifest
    from image.build import measure as measurement
    from image.errors import ImageError

    path = _folder(image) / "uki.efi"
    if not path.is_file():
        hint = "" if "/" in image else f"Make it with `invoke image.build --flavor {image}`."
        raise InputError(f"There is no kernel image {path}.", hint=hint)
    try:
        registers = measurement.predict(path.read_bytes())
    except KeyError as error:
        raise InputError(f"{path} is no kernel image of Cloister's: it has no section {error}.") from error
    except (ImageError, UnicodeError) as error:
        raise InputError(f"{path} is no kernel image of Cloister's: {error}") from error
    if json:
        print(manifest.measurements(registers).decode(), end="")
        return
    for index, register in registers.items():
        print(f"PCR {index:<3} {register.value.hex()}")
        for event in register.events:
            print(f"        {event.digest.hex()}  {event.event}")


@verb(
    help={
        "flavor": _FLAVOR,
        "against": "manifest to compare with; default: that of the image in out/",
        "from_": _VENDORED,
        "json": _JSON,
    },
)
def verify(_: Any, flavor: str = "base", against: str = "", from_: str = "", json: bool = False) -> None:
    """Rebuild the image elsewhere, under other circumstances, and compare every output (20 s)."""
    from image.build import output
    from image.build import verify as verification

    target = Path(against) if against else output.folder(flavor)
    result = verification.verify(flavor, target, vendored=Path(from_) if from_ else None, say=_say)
    if json:
        rows = [{"name": row.name, "expected": row.expected, "found": row.found} for row in result.comparisons]
        _print_json(
            {"same": result.same, "outputs": rows, "damaged": result.damaged, "differences": result.differences}
        )
    else:
        for row in result.comparisons:
            print(f"{row.name:18} {row.found} {'identical' if row.same else f'differs, expected {row.expected}'}")
        for line in (*result.damaged, *result.differences):
            print(line)
    if not result.same:
        raise verification.DiffersError(f"The rebuilt image {flavor} is not the one of {target}.")
    _say(f"Every output of the rebuilt image {flavor} is identical.")


@verb(
    positional=["before", "after"], help={"before": "lock, manifest or image's folder", "after": "what came after it"}
)
def diff(_: Any, before: str, after: str) -> None:
    """Show what changed between two locks or two images, as a changelog."""
    from image.build import diff as difference

    lines = difference.compare(Path(before), Path(after))
    print("\n".join(lines) if lines else "They are the same.")


@verb(help={"flavor": _FLAVOR, "into": "the tar to write"})
def vendor(_: Any, flavor: str = "base", into: str = "out/image-inputs.tar") -> None:
    """Pack all inputs of an image and the host tools into one tar that --from reads years later."""
    from image.inputs import lockfile, recipe
    from image.inputs import vendor as vendoring

    path = vendoring.pack([lockfile.load(recipe.load(flavor).lock), lockfile.load("tools")], Path(into))
    print(f"{path} holds all inputs; `invoke image.build --from {path}` needs no network.")


@verb(
    help={
        "to": "azure or gcp",
        "destination": "https://ACCOUNT.blob.core.windows.net/CONTAINER, or gs://BUCKET",
        "image": "flavor, or an image's folder",
        "check": "read back what is there even when it is marked as whole",
        "json": _JSON,
    },
    required=("to", "destination"),
    interrupted="What was sent stays; the same command goes on there.",
)
def publish(
    _: Any,
    to: str = "",
    destination: str = "",
    image: str = "base",
    check: bool = False,
    json: bool = False,
) -> None:
    """Bring an image to a cloud, from which the registry takes it; an image that is there already is not sent again."""
    from cloister.cli.shell.show import transfer
    from image import publish as publishing

    done = publishing.publish(to, destination, _folder(image), transfer, check=check)
    if json:
        _print_json({"url": done.url, "sha256": done.sha256, "size": done.size, "sent": done.sent})
        return
    sent = f"{done.sent / 1e6:.1f} MB were sent" if done.sent else "nothing had to be sent"
    print(f"The image is at {done.url}; {sent}.")


namespace = Collection("image", lock, build, measure, verify, diff, vendor, publish)
