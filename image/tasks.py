"""The verbs of the collection ``image``. Each one parses its options, calls one function and prints the result."""

from pathlib import Path
from typing import Any

from invoke.collection import Collection

from cloister.cli.shell.verb import verb
from image.verbs import options
from image.verbs.change import audit, diff, lock
from image.verbs.signing import keys, sign
from image.verbs.statements import inspect, lifecycle, provenance


@verb(
    help={
        **options.RECIPE,
        **options.FROM,
        **options.JSON,
        "relock": "if a locked package is no longer available, build from a new lock under out/",
        "fresh": "do not reuse steps of earlier builds",
    },
    example="invoke image.build --flavor base",
)
def build(
    _: Any,
    flavor: str = options.BASE,
    recipe: str = "",
    from_: str = "",
    relock: bool = False,
    fresh: bool = False,
    json: bool = False,
) -> None:
    """Build the guest image into out/image/FLAVOR (some ten seconds once its inputs are in the cache)."""
    from image.build import incremental, output
    from image.inputs import chain

    words = options.chosen(flavor, recipe)
    folder, vendored = output.folder(chain.find(words).flavor), Path(from_) if from_ else None
    manifest = incremental.build(words, folder, vendored=vendored, relock=relock, fresh=fresh, say=options.say)
    if json:
        print(manifest.encode().decode())
        return
    for name, file in manifest.outputs.items():
        print(f"{name:18}{file.size:>10}  {file.sha256}")
    print(f"Built the image {manifest.digest().hex()} in {folder}.")


@verb(
    help={
        **options.IMAGE,
        **options.JSON,
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
    image: str = options.BASE,
    recipe: str = "",
    firmware: str = "",
    vcpus: int = 2,
    model: str = "",
    platform: str = "",
    explain: bool = False,
    json: bool = False,
) -> None:
    """Show what a CVM booted from the image will measure."""
    from image.platforms.measurements import measure

    values = measure(options.folder(image, recipe), firmware, vcpus, model, platform)
    if json:
        options.print_json({"version": 1, "values": [value.to_dict(explain=explain) for value in values]})
        return
    print("\n".join(line for value in values for line in value.lines(explain=explain)))


@verb(
    help={
        **options.RECIPE,
        **options.FROM,
        **options.JSON,
        "against": "manifest to compare with (default: that of the image in out/)",
    },
    example="invoke image.verify --against image.json",
)
def verify(
    _: Any, flavor: str = options.BASE, recipe: str = "", against: str = "", from_: str = "", json: bool = False
) -> None:
    """Rebuild the image in another environment and compare every output (20 s)."""
    from image.build import output
    from image.build.verify import DiffersError, verify
    from image.inputs import chain

    words = options.chosen(flavor, recipe)
    name = chain.find(words).flavor
    target = Path(against) if against else output.folder(name)
    result = verify(words, target, vendored=Path(from_) if from_ else None, say=options.say)
    if json:
        options.print_json(result.to_dict())
    else:
        print("\n".join(result.lines()))
    if not result.same:
        raise DiffersError(f"The rebuilt image {name} differs from {target}.")
    options.say(f"Every output of the rebuilt image {name} is identical.")


@verb(help={**options.RECIPE, "output": "the tar to write"}, example="invoke image.vendor --output vendor.tar")
def vendor(_: Any, flavor: str = options.BASE, recipe: str = "", output: str = "out/image-inputs.tar") -> None:
    """Pack all inputs of an image and the host tools into one tar, for a later build without a network."""
    from image.inputs.vendor import vendor

    vendor(options.chosen(flavor, recipe), Path(output))
    print(f"Wrote all inputs to {output}. `invoke image.build --from {output}` needs no network.")


@verb(
    help={
        **options.IMAGE,
        **options.JSON,
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
    image: str = options.BASE,
    recipe: str = "",
    check: bool = False,
    json: bool = False,
) -> None:
    """Upload an image to a cloud, where the registry uses it. An image that is already there is not sent again."""
    from cloister.cli.shell.show import transfer
    from image.publish import publish

    done = publish(to, destination, options.folder(image, recipe), transfer, check=check)
    if json:
        options.print_json({"url": done.url, "sha256": done.sha256, "size": done.size, "sent": done.sent})
        return
    sent = f"{done.sent / 1e6:.1f} MB sent" if done.sent else "nothing to send"
    print(f"The image is at {done.url} ({sent}).")


@verb(
    help={**options.IMAGE, **options.JSON, "output": "the file to write (default: the image's root.tar.gz)"},
    example="invoke image.export --output root.tar.gz",
)
def export(_: Any, image: str = options.BASE, recipe: str = "", output: str = "", json: bool = False) -> None:
    """Write an image's root file system as a tar, for `cloister try` on a machine without a checkout."""
    from image.build import root_tree

    folder = options.folder(image, recipe)
    target = Path(output) if output else folder / "root.tar.gz"
    size = root_tree.export(folder, target)
    if json:
        options.print_json({"file": str(target), "size": size})
        return
    print(f"Wrote {target}, {size / 1e6:.1f} MB. A party runs `cloister try computation.yaml --root {target.name}`.")


def trial_root(image: str, recipe: str) -> Path:
    """The root file system on which `invoke try` runs an algorithm: that of an image, as for the verbs above."""
    from image.build import root_tree

    return root_tree.unpacked(options.folder(image or options.BASE, recipe))


namespace = Collection(
    *("image", lock, build, measure, verify, keys, sign, diff, audit, vendor, publish, export),
    *(provenance, lifecycle, inspect),
)
