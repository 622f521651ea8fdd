"""Each module is in root and initrd once, in lists by platform."""

from dataclasses import replace

import pytest

from image.build import layers
from image.build.inputs import Inputs
from image.build.steps import Steps
from image.inputs import lockfile, recipe
from image.inputs.parts import GuestFile
from image.rootfs.kernel import Module
from image.rootfs.tree import Tree, TreeEntry
from image.rootfs.workers import Workers
from tests.image.small_programs import elf_program

BUS, DISK, CARD, LOG = (Module(name, name.encode()) for name in ("bus", "disk", "card", "log"))


def test_no_file_of_a_recipe_runs_on_the_machine_that_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone who verifies the image of someone else would run that author's code."""
    debian = Tree()
    debian.put("usr/lib64/ld-linux-x86-64.so.2", TreeEntry.file(elf_program([]), executable=True))
    debian.put("usr/bin/python3.13", TreeEntry.file(elf_program([]), executable=True))
    debian.put("usr/lib/python3.13/py_compile.py", TreeEntry.file(b"Debian's"))
    monkeypatch.setattr(layers.packages, "unpack", lambda names, unwanted, workers, unxz: debian)
    own = ("usr/lib/python3.13/py_compile.py", "usr/lib/python3.13/encodings/__init__.py", "usr/bin/python3.13")
    files = tuple(GuestFile(f"/{path}", 0o755, "", "theirs", "", True, b"theirs") for path in own)
    made = replace(recipe.load("base").recipe, files=files, commands=())
    inputs = Inputs(made, {}, {}, {}, {}, lockfile.load("base"), lambda name: [], "")
    monkeypatch.setattr(Inputs, "system_packages", lambda self: [])
    with Workers(1) as workers:
        system, program = layers.system(layers.KeyedSteps({}, inputs, Steps(None, lambda said: None), workers))

    assert {path: system[path].contents for path in own} == dict.fromkeys(own, b"theirs")
    assert b"theirs" not in [entry.contents for _, entry in program]
    assert program["usr/lib/python3.13/py_compile.py"].contents == b"Debian's"


def test_module_list_excludes_modules_that_are_already_loaded() -> None:
    initrd = {"": (DISK,), "cloud": (BUS, DISK)}
    root = {"": (LOG, DISK), "cloud": (BUS, CARD), "other": (BUS, LOG)}

    first, then = layers.modules(initrd, {}), layers.modules(root, initrd)

    assert {path: entry.contents.decode() for path, entry in first if "order" in path} == {
        "usr/lib/modules/order": "disk\n",
        "usr/lib/modules/order-cloud": "bus\n",
    }
    assert {path: entry.contents.decode() for path, entry in then if "order" in path} == {
        "usr/lib/modules/order": "log\n",
        "usr/lib/modules/order-cloud": "card\n",
        "usr/lib/modules/order-other": "bus\n",
    }
    assert {path.rpartition("/")[2] for path, _ in then if path.endswith(".ko")} == {"log.ko", "card.ko", "bus.ko"}
