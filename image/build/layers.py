"""The layers of an image's root: the kernel's modules, Debian's packages, wheels, the agent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from image.build.inputs import Inputs
from image.build.steps import Steps
from image.errors import ImageError
from image.inputs.parts import GuestFile
from image.rootfs import bytecode, kernel, packages, templates, wheels
from image.rootfs.bytecode import Compiler
from image.rootfs.tree import Tree, TreeEntry, Unwanted
from image.rootfs.workers import Workers
from image.rootfs.xz import Xz

_ALWAYS = ""
_KERNEL = "vmlinuz"
# Mount points of the guest and its sandbox.
_MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp", "var", "work")

Modules: TypeAlias = tuple[kernel.Module, ...]


@dataclass(frozen=True)
class KeyedSteps:
    """Runs steps whose key contains ``common``, on which every step depends, and the step's own inputs."""

    common: Mapping[str, object]
    inputs: Inputs
    steps: Steps
    workers: Workers

    def file(self, name: str, own: Mapping[str, object], make: Callable[[], bytes]) -> bytes:
        return self.steps.file(name, {**self.common, **own}, make)

    def trees(self, name: str, own: Mapping[str, object], make: Callable[[], Mapping[str, Tree]]) -> Mapping[str, Tree]:
        return self.steps.trees(name, {**self.common, **own}, make)

    def tree(self, name: str, own: Mapping[str, object], make: Callable[[], Tree]) -> Tree:
        return self.trees(name, own, lambda: {"tree": make()})["tree"]


def kernel_and_modules(keyed: KeyedSteps) -> tuple[bytes, Tree, Tree]:
    """The kernel, and the modules of root and initrd with the lists of their loading order."""
    inputs, package = keyed.inputs, keyed.inputs.kernel_package()

    def make() -> dict[str, Tree]:
        wanted = inputs.recipe.kernel
        root = {_ALWAYS: wanted.modules, **wanted.needed}
        early = {_ALWAYS: wanted.initrd_modules, **wanted.initrd_needed}
        found = kernel.extract(inputs.packages[package], [*early.values(), *root.values()], Xz(inputs.tool))
        orders = iter(found.modules)
        in_initrd = {name: next(orders) for name in early}
        in_root = {name: next(orders) for name in root}
        program = Tree()
        program.put(_KERNEL, TreeEntry.file(found.vmlinuz))
        return {"kernel": program, "root": modules(in_root, in_initrd), "initrd": modules(in_initrd, {})}

    made = keyed.trees(
        "Extracting the kernel and its modules", {"kernel": inputs.digests[inputs.packages[package]]}, make
    )
    return made["kernel"][_KERNEL].contents, made["root"], made["initrd"]


def modules(orders: Mapping[str, Modules], before: Mapping[str, Modules]) -> Tree:
    """The modules of every list, with ``order`` or ``order-NAME``, without those that are already loaded."""
    made = Tree()
    for name, modules in orders.items():
        lists = [before.get(_ALWAYS, ()), before.get(name, ()), orders[_ALWAYS] if name != _ALWAYS else ()]
        loaded = {module.name for modules in lists for module in modules}
        left = [module for module in modules if module.name not in loaded]
        for module in left:
            made.put(kernel.place(module.name), TreeEntry.file(module.contents))
        order = "".join(f"{module.name}\n" for module in left)
        made.put(
            f"{kernel.MODULES}/order-{name}" if name else f"{kernel.MODULES}/order", TreeEntry.file(order.encode())
        )
    return made


def system(keyed: KeyedSteps) -> tuple[Tree, Tree]:
    """Debian's packages with the recipe's files, and the interpreter that compiles byte code (``bytecode.program``)."""
    inputs, names = keyed.inputs, keyed.inputs.system_packages()

    def make() -> dict[str, Tree]:
        system = packages.unpack(
            {name: inputs.packages[name] for name in names},
            unwanted=Unwanted(inputs.recipe.drop, inputs.recipe.keep),
            workers=keyed.workers,
            unxz=Xz(inputs.tool),
        )
        program = bytecode.program(system)
        for folder in _MOUNT_POINTS:
            system.put(folder, TreeEntry.directory())
        for command in inputs.recipe.commands:
            system.put(f"usr/bin/{command}", TreeEntry.link("busybox"))
        for file in inputs.recipe.files:
            _put(inputs, system, file)
        system.put("usr/bin/python3", TreeEntry.link(bytecode.interpreter(system).rpartition("/")[2]))
        return {"tree": system, "program": program}

    digests = {name: inputs.digests[inputs.packages[name]] for name in names}
    made = keyed.trees("Unpacking the system", {"packages": digests}, make)
    return made["tree"], made["program"]


def _put(inputs: Inputs, system: Tree, file: GuestFile) -> None:
    path = file.path.lstrip("/")
    if path in system and not file.replace:
        raise ImageError(
            f"The recipe's file {file.path} is already in the image, from a package.",
            hint="Say replace = true to put yours in its place.",
        )
    system.put(path, _file(inputs, file))


def _file(inputs: Inputs, file: GuestFile) -> TreeEntry:
    if file.link:
        return TreeEntry.link(file.link)
    contents = file.contents
    if contents is None:
        folder = "image/guest/templates" if file.template else "image/guest"
        contents = (inputs.checkout / folder / (file.template or file.source)).read_bytes()
    if file.template:
        contents = templates.render(file.template, contents, inputs.recipe.template_values)
    return TreeEntry.file(contents, executable=bool(file.mode & 0o100))


def unpacked_wheels(keyed: KeyedSteps, what: str, files: Mapping[str, Path], folder: str) -> Tree:
    """The ``files`` of wheels (name -> .whl) below ``folder``."""
    recipe = keyed.inputs.recipe
    if not files:
        return Tree()
    digests = {name: keyed.inputs.digests[path] for name, path in files.items()}
    return keyed.tree(
        f"Unpacking {what}",
        {"wheels": digests, "folder": folder},
        lambda: wheels.unpack(files, folder=folder, unwanted=Unwanted(recipe.drop, recipe.keep), workers=keyed.workers),
    )


def byte_code(keyed: KeyedSteps, what: str, layer: Tree, compiler: Compiler) -> Tree:
    """The byte code of the sources in ``layer``."""
    sources = bytecode.sources(layer)
    if not any(True for _ in sources):
        return sources
    own = {"sources": sources.digest().hex(), "program": compiler.digest}
    return keyed.tree(f"Compiling {what}", own, lambda: compiler.compile(sources))
