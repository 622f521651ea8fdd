"""Build the disk, manifest and measurements of an image from its recipe and locked inputs.

Every step is a function of bytes that are hashed beforehand. Nothing here reads the clock, the host's name, the
locale or the network.
"""

import hashlib
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.wheels import image_packages
from image import cache, disk_space
from image.build import layers, manifest, measure, output, source
from image.build.inputs import STUB_FILE, STUB_PACKAGE, Inputs
from image.build.steps import Steps
from image.formats import disk, targz, uki, verity, vhd
from image.formats.contents import Contents
from image.rootfs import distributions, erofs, initrd, tree
from image.rootfs.tree import Tree, TreeEntry, Unwanted


@dataclass(frozen=True)
class Outputs:
    """The files of ``out/image/<flavor>`` by name, with ``manifest.json``; and the parsed manifest."""

    files: Mapping[str, Contents]
    manifest: ImageManifest


def build(
    words: str,
    destination: Path,
    *,
    vendored: Path | None = None,
    relock: bool = False,
    fresh: bool = False,
    say: Callable[[str], None] = print,
) -> Outputs:
    """Build the image of a recipe, by name or path, into the folder ``destination``.

    ``vendored`` and ``relock`` are as for ``Inputs.gather``; ``fresh`` reuses no step of an earlier build; ``say``
    receives the name of each step. Raises ImageError, and InputError when a disk is full.
    """
    with disk_space.needed(Path(tempfile.gettempdir()), disk_space.TEMPORARY_HINT):
        inputs = Inputs.gather(words, vendored, relock=relock)
        outputs = assemble(inputs, Steps(None if fresh else cache.root() / "steps", say))
        output.write(outputs.files, destination)
    return outputs


def assemble(inputs: Inputs, steps: Steps) -> Outputs:
    """Build all outputs in memory. Raises ImageError and ProcessError."""
    builders = source.builders_digest(inputs.checkout)
    agent = source.agent(inputs.recipe.agent, inputs.checkout)
    common = {"builders": builders, "recipe": inputs.recipe.digest(), "tools": inputs.tools}
    keyed = layers.KeyedSteps(common, inputs, steps)

    vmlinuz, root_modules, initrd_modules = layers.kernel_and_modules(keyed)
    system, program = layers.system(keyed)
    root = Tree()
    for layer in (
        system,
        root_modules,
        layers.unpacked_wheels(keyed, program, "packages", inputs.wheels, source.ALGORITHM_PACKAGES),
        layers.unpacked_wheels(keyed, program, "the agent's wheels", inputs.agent_wheels, source.PACKAGES),
        layers.agent(keyed, agent, program),
    ):
        root.update(layer)
    root.remove(Unwanted(inputs.recipe.prune_root, inputs.recipe.keep))
    packages = distributions.find(root, (source.ALGORITHM_PACKAGES, source.DEBIAN_PACKAGES))
    root.check()
    root.add(f"{source.PACKAGES}/{image_packages.FILE}", TreeEntry.file(image_packages.encode(packages)))
    file_system = keyed.run(
        "Writing the root file system",
        {"tree": root.digest().hex()},
        lambda: {
            "root": erofs.build(
                root,
                tool=inputs.tool,
                identifier=uuid.UUID(bytes=_derive(root, "erofs")[:16]),
                compression=inputs.recipe.compression,
            )
        },
    )["root"]
    hash_tree = verity.hash_tree(
        file_system, salt=_derive(root, "salt"), identifier=uuid.UUID(bytes=_derive(root, "verity")[:16])
    )
    initrd_tree = initrd.tree(
        system,
        initrd_modules,
        init=(inputs.checkout / "image/guest/initrd-init").read_bytes(),
        hardware=(inputs.checkout / "image/guest/hardware").read_bytes(),
        root_table=hash_tree.table("DATA", "TREE"),
    )
    initrd_archive = keyed.run(
        "Writing the initrd",
        {"tree": initrd_tree.digest().hex()},
        lambda: {"initrd": initrd.compress(initrd.archive(initrd_tree), tool=inputs.tool)},
    )["initrd"]
    steps.say("Writing the kernel image and the disk in its formats")
    kernel_image = uki.build(
        uki.UkiParts(
            stub=tree.unpack({STUB_PACKAGE: inputs.packages[STUB_PACKAGE]}, unwanted=Unwanted([]))[STUB_FILE].contents,
            linux=vmlinuz,
            initrd=initrd_archive,
            command_line=" ".join(inputs.recipe.kernel.command_line),
            os_release=root["etc/os-release"].contents,
        )
    )
    registers = measure.predict(kernel_image)
    raw = disk.build(kernel_image, file_system, hash_tree.contents, hash_tree.root_hash)
    files: dict[str, Contents] = {
        "disk.raw": raw,
        "disk.vhd": vhd.build(raw),
        "disk.tar.gz": targz.build(raw),
        "uki.efi": kernel_image,
        "root.erofs": file_system,
        "root.verity": hash_tree.contents,
        "initrd.cpio.zst": initrd_archive,
        "vmlinuz": vmlinuz,
        "files.json": manifest.listing(
            {"root": root.listing(), "initrd": initrd_tree.listing(), "uki": uki.listing(kernel_image)}
        ),
        "measurements.json": manifest.measurements(registers),
        "lock.json": inputs.lock.encode(),
    }
    described = manifest.describe(
        inputs.recipe,
        packages=packages,
        inputs={
            "recipe": inputs.recipe.digest(),
            "lock": inputs.lock.digest(),
            "tools": inputs.tools,
            "source": hashlib.sha256(bytes.fromhex(builders) + agent.digest()).hexdigest(),
        },
        outputs=files,
        registers=registers,
    )
    steps.prune()
    return Outputs(files | {"manifest.json": described.encode()}, described)


def _derive(root: Tree, label: str) -> bytes:
    """32 bytes derived from the root's contents, so that equal trees get equal salts and identifiers."""
    return hashlib.sha256(f"cloister/v1/image/{label}\0".encode() + root.digest()).digest()
