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
from typing import Self, TypeAlias

from cloister.protocol.imagemanifest import ImageManifest
from image import cache, disk_space
from image.build import manifest, measure, output, source
from image.build.steps import Steps
from image.errors import ImageError
from image.formats import disk, targz, uki, verity, vhd
from image.formats.contents import Contents
from image.inputs.recipe import GuestFile, Recipe
from image.rootfs import bytecode, erofs, initrd, kernel, templates, tree, wheels
from image.rootfs.tree import Tree, TreeEntry

_STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
_STUB_PACKAGE = "systemd-boot-efi"
_MODULES = "usr/lib/modules"
_ALWAYS = ""
# Mount points of the guest and its sandbox.
_MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp", "var", "work")

Modules: TypeAlias = tuple[kernel.Module, ...]


@dataclass(frozen=True)
class Inputs:
    """Everything that decides the outputs of a build.

    recipe: of the flavor.
    packages, wheels: files by name.
    digests: SHA-256 (hex) of each package and wheel, by name.
    lock: digest of the flavor's lock.
    tool: returns the start of a command line for a locked host tool.
    tools: digest of the host tools' lock.
    checkout: folder of the sources.
    """

    recipe: Recipe
    packages: Mapping[str, Path]
    wheels: Mapping[str, Path]
    digests: Mapping[str, str]
    lock: str
    tool: Callable[[str], list[str]]
    tools: str
    checkout: Path = source.CHECKOUT

    @classmethod
    def gather(cls, flavor: str, vendored: Path | None = None, *, relock: bool = False) -> Self:
        """Fetch what the locks name and the cache does not have; ``vendored`` is a tar from `invoke image.vendor`."""
        # Imported late: they load the code that verifies archives, which is not needed to read a manifest.
        from image.inputs import host_tools, recipe
        from image.inputs.relock import obtain

        chosen = recipe.load(flavor)
        lock, files = obtain(chosen.lock, vendored, relock=relock)
        host = host_tools.ensure(vendored, relock=relock)
        entries = (*lock.packages, *lock.wheels)
        return cls(
            recipe=chosen,
            packages={package.name: files[package.sha256] for package in lock.packages},
            wheels={wheel.name: files[wheel.sha256] for wheel in lock.wheels},
            digests={entry.name: entry.sha256 for entry in entries},
            lock=lock.digest(),
            tool=host.argv,
            tools=host.digest,
        )

    def kernel_package(self) -> str:
        """The name of the one package that starts with the recipe's prefix; it contains the kernel's version."""
        prefix = self.recipe.kernel.package
        found = [name for name in self.packages if name.startswith(prefix)]
        if len(found) != 1:
            raise ImageError(f"The lock must have one package {prefix}*, not {len(found)}: {', '.join(found)}.")
        return found[0]

    def system_packages(self) -> list[str]:
        """The packages of the root: all but those of the kernel and the UKI's stub."""
        return sorted(self.packages.keys() - {self.kernel_package(), _STUB_PACKAGE})


@dataclass(frozen=True)
class Outputs:
    """The files of ``out/image/<flavor>`` by name, with ``manifest.json``; and the parsed manifest."""

    files: Mapping[str, Contents]
    manifest: ImageManifest


def build(
    flavor: str,
    destination: Path,
    *,
    vendored: Path | None = None,
    relock: bool = False,
    fresh: bool = False,
    say: Callable[[str], None] = print,
) -> Outputs:
    """Build the image of ``flavor`` into the folder ``destination``.

    ``vendored`` and ``relock`` are as for ``Inputs.gather``; ``fresh`` reuses no step of an earlier build; ``say``
    receives the name of each step. Raises ImageError, and InputError when a disk is full.
    """
    with disk_space.needed(Path(tempfile.gettempdir()), disk_space.TEMPORARY_HINT):
        inputs = Inputs.gather(flavor, vendored, relock=relock)
        outputs = assemble(inputs, Steps(None if fresh else cache.root() / "steps", say))
        output.write(outputs.files, destination)
    return outputs


def assemble(inputs: Inputs, steps: Steps) -> Outputs:
    """Build all outputs in memory. Raises ImageError and ProcessError."""
    builders = source.builders_digest(inputs.checkout)
    agent = source.agent(inputs.recipe.agent, inputs.checkout)
    keyed = KeyedSteps({"builders": builders, "recipe": inputs.recipe.digest(), "tools": inputs.tools}, inputs, steps)

    vmlinuz, root_modules, initrd_modules = _kernel(keyed)
    system = _system(keyed)
    root = Tree()
    for layer in (system, root_modules, _libraries(keyed, system), _agent(keyed, agent, system)):
        root.update(layer)
    root.remove(tree.matcher(inputs.recipe.prune_root))
    file_system = keyed.run(
        "Writing the root file system",
        {"tree": root.digest().hex()},
        lambda: {"root": erofs.build(root, tool=inputs.tool, identifier=uuid.UUID(bytes=_derive(root, "erofs")[:16]))},
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
            stub=tree.unpack({_STUB_PACKAGE: inputs.packages[_STUB_PACKAGE]}, drop=[])[_STUB].contents,
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
    }
    described = manifest.describe(
        inputs.recipe,
        inputs={
            "recipe": inputs.recipe.digest(),
            "lock": inputs.lock,
            "tools": inputs.tools,
            "source": hashlib.sha256(bytes.fromhex(builders) + agent.digest()).hexdigest(),
        },
        outputs=files,
        registers=registers,
    )
    steps.prune()
    return Outputs(files | {"manifest.json": described.encode()}, described)


@dataclass(frozen=True)
class KeyedSteps:
    """Runs steps whose key contains ``common``, on which every step depends, and the step's own inputs."""

    common: Mapping[str, object]
    inputs: Inputs
    steps: Steps

    def run(self, name: str, own: Mapping[str, object], make: Callable[[], Mapping[str, bytes]]) -> dict[str, bytes]:
        return self.steps.run(name, {**self.common, **own}, make)

    def layer(self, name: str, own: Mapping[str, object], make: Callable[[], Tree]) -> Tree:
        return Tree.from_archive(self.run(name, own, lambda: {"tree": make().archive()})["tree"])


def _kernel(keyed: KeyedSteps) -> tuple[bytes, Tree, Tree]:
    """The kernel, and the modules of root and initrd with the lists of their loading order."""
    inputs, package = keyed.inputs, keyed.inputs.kernel_package()

    def make() -> dict[str, bytes]:
        wanted = inputs.recipe.kernel
        root = {_ALWAYS: wanted.modules, **wanted.needed}
        early = {_ALWAYS: wanted.initrd_modules, **wanted.initrd_needed}
        found = kernel.extract(inputs.packages[package], [*early.values(), *root.values()])
        orders = iter(found.modules)
        in_initrd = {name: next(orders) for name in early}
        in_root = {name: next(orders) for name in root}
        return {
            "vmlinuz": found.vmlinuz,
            "root": _modules(in_root, in_initrd).archive(),
            "initrd": _modules(in_initrd, {}).archive(),
        }

    made = keyed.run("Extracting the kernel and its modules", {"kernel": inputs.digests[package]}, make)
    return made["vmlinuz"], Tree.from_archive(made["root"]), Tree.from_archive(made["initrd"])


def _modules(orders: Mapping[str, Modules], before: Mapping[str, Modules]) -> Tree:
    """The modules of every list, with ``order`` or ``order-NAME``, without those that are already loaded."""
    made = Tree()
    for name, modules in orders.items():
        lists = [before.get(_ALWAYS, ()), before.get(name, ()), orders[_ALWAYS] if name != _ALWAYS else ()]
        loaded = {module.name for modules in lists for module in modules}
        left = [module for module in modules if module.name not in loaded]
        for module in left:
            made.put(f"{_MODULES}/{module.name}.ko", TreeEntry.file(module.contents))
        order = "".join(f"{module.name}\n" for module in left)
        made.put(f"{_MODULES}/order-{name}" if name else f"{_MODULES}/order", TreeEntry.file(order.encode()))
    return made


def _system(keyed: KeyedSteps) -> Tree:
    inputs, names = keyed.inputs, keyed.inputs.system_packages()

    def make() -> Tree:
        system = tree.unpack({name: inputs.packages[name] for name in names}, drop=inputs.recipe.drop)
        for folder in _MOUNT_POINTS:
            system.put(folder, TreeEntry.directory())
        for command in inputs.recipe.commands:
            system.put(f"usr/bin/{command}", TreeEntry.link("busybox"))
        for file in inputs.recipe.files:
            system.put(file.path.lstrip("/"), _file(inputs, file))
        system.put("usr/bin/python3", TreeEntry.link(bytecode.interpreter(system).rpartition("/")[2]))
        system.update(bytecode.compile_sources(system, system))
        return system

    digests = {name: inputs.digests[name] for name in names}
    return keyed.layer("Unpacking the system and compiling its byte code", {"packages": digests}, make)


def _file(inputs: Inputs, file: GuestFile) -> TreeEntry:
    if file.link:
        return TreeEntry.link(file.link)
    if file.template:
        folder = inputs.checkout / "image/templates"
        contents = templates.render(file.template, inputs.recipe.template_values, folder)
    else:
        contents = (inputs.checkout / "image/guest" / file.source).read_bytes()
    return TreeEntry.file(contents, executable=bool(file.mode & 0o100))


def _libraries(keyed: KeyedSteps, system: Tree) -> Tree:
    inputs = keyed.inputs

    def make() -> Tree:
        unpacked = wheels.unpack(inputs.wheels, folder=source.PACKAGES, drop=inputs.recipe.drop)
        unpacked.update(bytecode.compile_sources(unpacked, system))
        return unpacked

    own = {"wheels": {name: inputs.digests[name] for name in inputs.wheels}, "system": system.digest().hex()}
    return keyed.layer("Unpacking the wheels and compiling their byte code", own, make)


def _agent(keyed: KeyedSteps, agent: Tree, system: Tree) -> Tree:
    def make() -> Tree:
        compiled = bytecode.compile_sources(agent, system)
        compiled.update(agent)
        return compiled

    return keyed.layer("Compiling the agent", {"agent": agent.digest().hex(), "system": system.digest().hex()}, make)


def _derive(root: Tree, label: str) -> bytes:
    """32 bytes derived from the root's contents, so that equal trees get equal salts and identifiers."""
    return hashlib.sha256(f"cloister/v1/image/{label}\0".encode() + root.digest()).digest()
