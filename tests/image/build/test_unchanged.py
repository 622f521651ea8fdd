"""An image that is built already is not built again, and only then: every byte of it is compared."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from image.build import output, source, unchanged
from image.inputs import recipe
from image.inputs.recipe import Recipe

LOCK, TOOLS = "1" * 64, "2" * 64


@pytest.fixture
def base() -> Recipe:
    return recipe.load("base").recipe


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Recipe) -> Path:
    """The folder of an image, and the record of its build in an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = {"disk.raw": b"disk", "uki.efi": b"kernel"}
    manifest = ImageManifest(
        flavor="base",
        debug=False,
        inputs=dict.fromkeys(("recipe", "lock", "tools", "source"), "0" * 64),
        outputs={name: ImageOutput(hashlib.sha256(data).hexdigest(), len(data)) for name, data in made.items()},
        pcrs=dict.fromkeys((4, 9, 11, 12, 13), "0" * 64),
    )
    output.write(made | {"manifest.json": manifest.encode()}, tmp_path / "image")
    unchanged.keep(base, lock=LOCK, tools=TOOLS, manifest=manifest)
    return tmp_path / "image"


def find(base: Recipe, folder: Path, lock: str = LOCK, tools: str = TOOLS) -> ImageManifest | None:
    return unchanged.find(base, lock=lock, tools=tools, destination=folder)


def test_unchanged_image_is_found(built: Path, base: Recipe) -> None:
    found = find(base, built)
    assert found is not None
    assert found.encode() == (built / "manifest.json").read_bytes()


@pytest.mark.parametrize("what", ["recipe", "lock", "tools", "source"])
def test_a_changed_input_is_noticed(built: Path, base: Recipe, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(base, description="another") if what == "recipe" else base
    if what == "source":
        monkeypatch.setattr(source, "digest_of_all", lambda: "3" * 64)
    lock, tools = ("4" * 64 if what == name else kept for name, kept in (("lock", LOCK), ("tools", TOOLS)))
    assert find(changed, built, lock, tools) is None


def _one_bit_with_the_old_times(folder: Path) -> None:
    before = (folder / "disk.raw").stat()
    (folder / "disk.raw").write_bytes(b"disj")
    os.utime(folder / "disk.raw", ns=(before.st_atime_ns, before.st_mtime_ns))


def _missing(folder: Path) -> None:
    (folder / "uki.efi").unlink()


def _longer(folder: Path) -> None:
    (folder / "uki.efi").write_bytes(b"kernel\0")


def _manifest_of_another_image(folder: Path) -> None:
    """One that is true of the files beside it."""
    (folder / "disk.raw").write_bytes(b"evil")
    manifest = output.read_manifest(folder)
    other = {**manifest.outputs, "disk.raw": ImageOutput(hashlib.sha256(b"evil").hexdigest(), 4)}
    (folder / "manifest.json").write_bytes(replace(manifest, outputs=other).encode())


def _no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    "change", [_one_bit_with_the_old_times, _missing, _longer, _manifest_of_another_image, _no_manifest]
)
def test_a_changed_output_is_noticed(built: Path, base: Recipe, change: Callable[[Path], None]) -> None:
    change(built)
    assert find(base, built) is None


def test_a_damaged_record_is_not_used(built: Path, base: Recipe, tmp_path: Path) -> None:
    (record,) = (tmp_path / "cache/cloister/steps").iterdir()
    (built / "disk.raw").write_bytes(b"evil")
    _manifest_of_another_image(built)
    (record / "manifest.json").write_bytes((built / "manifest.json").read_bytes())
    assert find(base, built) is None
