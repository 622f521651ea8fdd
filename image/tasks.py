"""The verbs of the collection ``image``. Each one parses its options, calls one function and prints the result."""

import json
import sys
from pathlib import Path
from typing import Any

from invoke.collection import Collection

from cloister.cli.shell.verb import verb
from cloister.errors import InputError

# Options that several verbs have.
_RECIPE = {
    "flavor": "one of the project's recipes: base, debug or pytorch",
    "recipe": "instead of --flavor, the path of a recipe of your own (docs/own-image.md)",
}
_IMAGE = {
    "image": "flavor, or the folder of an image",
    "recipe": "instead of --image, the path of a recipe of your own; its image is that in out/image",
}
_BASE = "base"
_FROM = {"from_": "take all inputs from this tar from `invoke image.vendor` and nothing from the network"}
_JSON = {"json": "print JSON"}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _chosen(flavor: str, recipe: str) -> str:
    """The recipe that a verb takes: its name or path."""
    from image.inputs import chain

    if not recipe:
        return flavor
    if flavor != _BASE:
        raise InputError(f"--flavor {flavor} and --recipe {recipe} name two recipes.", hint="Pass one of them.")
    # A file in the working directory has no slash.
    return recipe if chain.is_path(recipe) else f"./{recipe}"


def _folder(image: str, recipe: str) -> Path:
    """The folder of the image that a verb takes."""
    from image.build import output
    from image.inputs import chain

    if not recipe:
        return output.locate(image)
    if image != _BASE:
        raise InputError(f"--image {image} and --recipe {recipe} name two images.", hint="Pass one of them.")
    return output.folder(chain.find(_chosen(_BASE, recipe)).flavor)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1))


@verb(
    help={**_RECIPE, "tools": "lock the host tools instead", "browser": "lock the browser of the tests instead"},
    example="invoke image.lock --recipe hospital/hospital.toml",
)
def lock(_: Any, flavor: str = _BASE, recipe: str = "", tools: bool = False, browser: bool = False) -> None:
    """Write the lock of a recipe, of the host tools or of the browser, from Debian's current signed index."""
    from image.inputs import relock

    words = _chosen(flavor, recipe)
    programs = [name for name, chosen in (("tools", tools), ("browser", browser)) if chosen]
    if programs and (words != _BASE or len(programs) > 1):
        other = f"the recipe {words}" if words != _BASE else f"--{programs[1]}"
        raise InputError(f"--{programs[0]} and {other} have two locks.", hint="Pass one of them.")
    path = relock.write(programs[0] if programs else words)
    print(f"Wrote {path}. See the changes with `git diff`, or as a changelog with `invoke image.diff`.")


@verb(
    help={
        **_RECIPE,
        **_FROM,
        **_JSON,
        "relock": "if a locked package is no longer available, build from a new lock under out/",
        "fresh": "do not reuse steps of earlier builds",
    },
    example="invoke image.build --flavor base",
)
def build(
    _: Any,
    flavor: str = _BASE,
    recipe: str = "",
    from_: str = "",
    relock: bool = False,
    fresh: bool = False,
    json: bool = False,
) -> None:
    """Build the guest image into out/image/FLAVOR (about 14 s once its inputs are in the cache)."""
    from image.build import builder, output
    from image.inputs import chain

    words = _chosen(flavor, recipe)
    folder, vendored = output.folder(chain.find(words).flavor), Path(from_) if from_ else None
    manifest = builder.build(words, folder, vendored=vendored, relock=relock, fresh=fresh, say=_say).manifest
    if json:
        print(manifest.encode().decode())
        return
    for name, file in manifest.outputs.items():
        print(f"{name:18}{file.size:>10}  {file.sha256}")
    print(f"Built the image {manifest.digest().hex()} in {folder}.")


@verb(
    help={
        **_IMAGE,
        **_JSON,
        "firmware": "also what a host measures that launches machines from this file: OVMF or IGVM",
        "vcpus": "virtual processors of such a machine, for SEV-SNP",
        "model": "QEMU's model of them (default: each one with SEV-SNP)",
        "platform": "one platform, such as gcp-tdx: each register that its evidence shows, and who can say its value",
        "explain": "show the events or pages that lead to each value",
    },
    example="invoke image.measure --firmware OVMF.fd --vcpus 4",
)
def measure(
    _: Any,
    image: str = _BASE,
    recipe: str = "",
    firmware: str = "",
    vcpus: int = 2,
    model: str = "",
    platform: str = "",
    explain: bool = False,
    json: bool = False,
) -> None:
    """Show what a CVM booted from the image will measure."""
    from image.platforms.measure import measure

    values = measure(_folder(image, recipe), firmware, vcpus, model, platform)
    if json:
        _print_json({"version": 1, "values": [value.to_dict(explain=explain) for value in values]})
        return
    print("\n".join(line for value in values for line in value.lines(explain=explain)))


@verb(
    help={**_RECIPE, **_FROM, **_JSON, "against": "manifest to compare with (default: that of the image in out/)"},
    example="invoke image.verify --against image.json",
)
def verify(
    _: Any, flavor: str = _BASE, recipe: str = "", against: str = "", from_: str = "", json: bool = False
) -> None:
    """Rebuild the image in another environment and compare every output (20 s)."""
    from image.build import output
    from image.build.verify import DiffersError, verify
    from image.inputs import chain

    words = _chosen(flavor, recipe)
    name = chain.find(words).flavor
    target = Path(against) if against else output.folder(name)
    result = verify(words, target, vendored=Path(from_) if from_ else None, say=_say)
    if json:
        _print_json(result.to_dict())
    else:
        print("\n".join(result.lines()))
    if not result.same:
        raise DiffersError(f"The rebuilt image {name} differs from {target}.")
    _say(f"Every output of the rebuilt image {name} is identical.")


@verb(
    positional=["before", "after"],
    help={"before": "lock, manifest or folder of an image", "after": "the newer one"},
    example="invoke image.diff out/image/before out/image/base",
)
def diff(_: Any, before: str, after: str) -> None:
    """Show what changed between two locks or two images, as a changelog."""
    from image.build.diff import compare

    print("\n".join(compare(Path(before), Path(after)) or ["They are the same."]))


@verb(help={**_RECIPE, "output": "the tar to write"}, example="invoke image.vendor --output vendor.tar")
def vendor(_: Any, flavor: str = _BASE, recipe: str = "", output: str = "out/image-inputs.tar") -> None:
    """Pack all inputs of an image and the host tools into one tar, for a later build without a network."""
    from image.inputs.vendor import vendor

    vendor(_chosen(flavor, recipe), Path(output))
    print(f"Wrote all inputs to {output}. `invoke image.build --from {output}` needs no network.")


@verb(
    help={
        **_IMAGE,
        **_JSON,
        "to": "azure or gcp",
        "destination": "https://ACCOUNT.blob.core.windows.net/CONTAINER, or gs://BUCKET",
        "check": "read an existing image back and compare it, even if it is marked as complete",
    },
    required=("to", "destination"),
    interrupted="What was sent is kept; run the same command to resume.",
    example="invoke image.publish --to gcp --destination gs://BUCKET --image base",
)
def publish(
    _: Any,
    to: str = "",
    destination: str = "",
    image: str = _BASE,
    recipe: str = "",
    check: bool = False,
    json: bool = False,
) -> None:
    """Upload an image to a cloud, where the registry uses it. An image that is already there is not sent again."""
    from cloister.cli.shell.show import transfer
    from image.publish import publish

    done = publish(to, destination, _folder(image, recipe), transfer, check=check)
    if json:
        _print_json({"url": done.url, "sha256": done.sha256, "size": done.size, "sent": done.sent})
        return
    sent = f"{done.sent / 1e6:.1f} MB sent" if done.sent else "nothing to send"
    print(f"The image is at {done.url} ({sent}).")


@verb(
    help={**_IMAGE, **_JSON, "output": "the file to write (default: the image's root.tar.gz)"},
    example="invoke image.export --output root.tar.gz",
)
def export(_: Any, image: str = _BASE, recipe: str = "", output: str = "", json: bool = False) -> None:
    """Write an image's root file system as a tar, for `cloister try` on a machine without a checkout."""
    from image.build import root_tree

    folder = _folder(image, recipe)
    target = Path(output) if output else folder / "root.tar.gz"
    size = root_tree.export(folder, target)
    if json:
        _print_json({"file": str(target), "size": size})
        return
    print(f"Wrote {target}, {size / 1e6:.1f} MB. A party runs `cloister try computation.yaml --root {target.name}`.")


def trial_root(image: str, recipe: str) -> Path:
    """The root file system on which `invoke try` runs an algorithm: that of an image, as for the verbs above."""
    from image.build import root_tree

    return root_tree.unpacked(_folder(image or _BASE, recipe))


namespace = Collection("image", lock, build, measure, verify, diff, vendor, publish, export)
