"""Build the disk, manifest and measurements of an image from its recipe and locked inputs.

Every step is a function of bytes that are hashed beforehand. Nothing here reads the clock, the host's name, the
locale or the network.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from cloister.protocol.imagemanifest import KERNEL_IMAGE, ImageManifest
from cloister.protocol.wheels import image_packages
from image.build import built_image, layers, manifest, measure, output, source
from image.build.inputs import STUB_FILE, STUB_PACKAGE, Inputs
from image.build.steps import Steps
from image.formats import disk, targz, uki, verity, vhd
from image.formats.contents import Contents
from image.rootfs import distributions, erofs, initrd
from image.rootfs.bytecode import Compiler
from image.rootfs.packages import unpack
from image.rootfs.tree import Tree, TreeEntry, Unwanted
from image.rootfs.workers import Workers
from image.rootfs.xz import Xz
from image.sbom import declared, document


@dataclass(frozen=True)
class Outputs:
    """The files of ``out/image/<flavor>`` by name, with ``manifest.json``; and the parsed manifest."""

    files: Mapping[str, Contents]
    manifest: ImageManifest


def assemble(inputs: Inputs, steps: Steps, kept: Path | None) -> Outputs:
    """Build all outputs in memory. ``kept`` is as for ``declared.debian``. Raises ImageError and ProcessError."""
    with Workers() as workers:
        made = _assemble(inputs, steps, kept, workers)
    steps.prune()
    return made


def _assemble(inputs: Inputs, steps: Steps, kept: Path | None, workers: Workers) -> Outputs:
    builders = source.builders_digest(inputs.checkout)
    agent = source.agent(inputs.recipe.agent, inputs.checkout)
    common = {"builders": builders, "recipe": inputs.recipe.digest(), "tools": inputs.tools}
    keyed = layers.KeyedSteps(common, inputs, steps, workers)
    kernel = workers.layer(layers.kernel_and_modules, keyed)
    root = _root(keyed, agent, kernel)
    hash_tree = verity.hash_tree(
        root.file_system,
        salt=_derive(root.digest, "salt"),
        identifier=uuid.UUID(bytes=_derive(root.digest, "verity")[:16]),
    )
    table = initrd.table(hash_tree.table("DATA", "TREE"))
    initrd_tree, archives = Tree(), list[bytes]()
    for part, archive in [
        *(made.result() for made in root.initrd),
        (table, initrd.compress(initrd.archive(table), tool=inputs.tool)),
    ]:
        initrd_tree.update(part)
        archives.append(archive)
    initrd_archive = b"".join(archives)
    steps.say("Writing the kernel image and the disk in its formats")
    stub = unpack(
        {STUB_PACKAGE: inputs.packages[STUB_PACKAGE]}, unwanted=Unwanted([]), workers=workers, unxz=Xz(inputs.tool)
    )
    vmlinuz = kernel.result()[0]
    kernel_image = uki.build(
        uki.UkiParts(
            stub=stub[STUB_FILE].contents,
            linux=vmlinuz,
            initrd=initrd_archive,
            command_line=" ".join(inputs.recipe.kernel.command_line),
            os_release=root.os_release,
        )
    )
    registers = workers.submit(measure.predict, kernel_image)
    raw = disk.build(kernel_image, root.file_system, hash_tree.contents, hash_tree.root_hash)
    azure, google = workers.submit(vhd.build, raw), workers.submit(targz.build, raw)
    files: dict[str, Contents] = {
        "disk.raw": raw,
        "disk.vhd": azure.result(),
        "disk.tar.gz": google.result(),
        KERNEL_IMAGE: kernel_image,
        "root.erofs": root.file_system,
        "root.verity": hash_tree.contents,
        "initrd.cpio.zst": initrd_archive,
        "vmlinuz": vmlinuz,
        built_image.LISTING: manifest.listing(
            {"root": root.listing, "initrd": initrd_tree.listing(), "uki": uki.listing(kernel_image)}
        ),
        "measurements.json": manifest.measurements(registers.result()),
        built_image.LOCK: inputs.lock.encode(),
    }
    decided_by = {
        "recipe": inputs.recipe.digest(),
        "lock": inputs.lock.digest(),
        "tools": inputs.tools,
        "source": source.digest(builders, agent),
    }
    files[document.FILE] = document.encode(
        document.DescribedImage(
            inputs.recipe.flavor, inputs.recipe.description, hashlib.sha256(kernel_image).hexdigest(), decided_by
        ),
        inputs.lock,
        debian=declared.debian(inputs.packages, inputs.digests, kept),
        wheels=declared.wheels(inputs.wheels),
        agent_wheels=declared.wheels(inputs.agent_wheels),
    )
    described = manifest.describe(
        inputs.recipe,
        packages=root.packages,
        inputs=decided_by,
        outputs=files,
        registers=registers.result(),
        workers=workers,
    )
    return Outputs(files | {output.MANIFEST: described.encode()}, described)


@dataclass(frozen=True)
class _Root:
    """The root, without the trees that it is made of: they would be most of a build's memory.

    file_system: its bytes.
    digest, listing: of its tree.
    packages: the Python packages that algorithms find.
    os_release: for the kernel image.
    initrd: its programs and its modules, each with their compressed archive.
    """

    file_system: bytes
    digest: bytes
    listing: Mapping[str, Mapping[str, str]]
    packages: Mapping[str, str]
    os_release: bytes
    initrd: Sequence[Future[tuple[Tree, bytes]]]


def _root(keyed: layers.KeyedSteps, agent: Tree, kernel: Future[tuple[bytes, Tree, Tree]]) -> _Root:
    inputs, workers = keyed.inputs, keyed.workers
    wheels = workers.layer(layers.unpacked_wheels, keyed, "packages", inputs.wheels, source.ALGORITHM_PACKAGES)
    own_wheels = workers.layer(
        layers.unpacked_wheels, keyed, "the agent's wheels", inputs.agent_wheels, source.PACKAGES
    )
    system, program = layers.system(keyed)
    compressed = [workers.layer(_programs, keyed, system), workers.layer(_modules, keyed, kernel)]
    root = _with_byte_code(keyed, [system, wheels.result(), own_wheels.result(), agent], program)
    root.update(kernel.result()[1])
    root.remove(Unwanted(inputs.recipe.prune_root, inputs.recipe.keep))
    packages = distributions.find(root, (source.ALGORITHM_PACKAGES, source.DEBIAN_PACKAGES))
    root.check()
    root.add(f"{source.PACKAGES}/{image_packages.FILE}", TreeEntry.file(image_packages.encode(packages)))
    digest = root.digest()
    file_system = keyed.file(
        "Writing the root file system",
        {"tree": digest.hex()},
        lambda: erofs.build(
            root,
            tool=inputs.tool,
            identifier=uuid.UUID(bytes=_derive(digest, "erofs")[:16]),
            compression=inputs.recipe.compression,
        ),
    )
    return _Root(file_system, digest, root.listing(), packages, root["etc/os-release"].contents, compressed)


def _programs(keyed: layers.KeyedSteps, system: Tree) -> tuple[Tree, bytes]:
    folder = keyed.inputs.checkout / "image/guest"
    made = initrd.programs(
        system, init=(folder / "initrd-init").read_bytes(), hardware=(folder / "hardware").read_bytes()
    )
    return made, _compressed(keyed, "programs", made)


def _modules(keyed: layers.KeyedSteps, kernel: Future[tuple[bytes, Tree, Tree]]) -> tuple[Tree, bytes]:
    made = kernel.result()[2]
    return made, _compressed(keyed, "modules", made)


def _compressed(keyed: layers.KeyedSteps, what: str, made: Tree) -> bytes:
    return keyed.file(
        f"Compressing the initrd's {what}",
        {"tree": made.digest().hex()},
        lambda: initrd.compress(initrd.archive(made), tool=keyed.inputs.tool),
    )


def _with_byte_code(keyed: layers.KeyedSteps, parts: Sequence[Tree], program: Tree) -> Tree:
    """All of ``parts`` with their byte code; each part's is compiled by itself."""
    root = Tree()
    with Compiler(program, keyed.workers) as compiler:
        names = ("the system's byte code", "the packages", "the agent's wheels", "the agent")
        compiled = [
            keyed.workers.layer(layers.byte_code, keyed, name, part, compiler)
            for name, part in zip(names, parts, strict=True)
        ]
        for part in parts:
            root.update(part)
        for part in compiled:
            root.update(part.result())
    return root


def _derive(root: bytes, label: str) -> bytes:
    """32 bytes derived from the digest of the root's tree, so that equal trees get equal salts and identifiers."""
    return hashlib.sha256(f"cloister/v1/image/{label}\0".encode() + root).digest()
