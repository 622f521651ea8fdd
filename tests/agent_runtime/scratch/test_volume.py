"""Volumes hold what was written, under a tree that the kernel accepts, in a file system that it mounts."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime.scratch.erofs import DataExtent, DirectoryEntry, FileEntry
from agent_runtime.scratch.packing import Packer
from agent_runtime.scratch.volume import Layout, Seal, Volume
from cloister.protocol.volume import BLOCK, GROUP, PER_BLOCK, groups_of, most_blocks, upper_blocks, volume_size
from tests.agent_runtime.scratch.volume_reader import contents, files

SIZE = volume_size(80)
OWNER, SECONDS = 101_000, 1_700_000_000


@pytest.fixture
def device(tmp_path: Path) -> Iterator[int]:
    """A device that was full of something else."""
    path = tmp_path / "device"
    path.write_bytes(b"\xa5" * SIZE)
    descriptor = os.open(path, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def everything(device: int) -> bytes:
    return os.pread(device, SIZE, 0)


@pytest.mark.parametrize(
    "size",
    [0, 1, BLOCK - 1, BLOCK, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP, 70 * GROUP],
    ids=lambda size: f"{size} bytes",
)
def test_a_file_of_any_size_is_read_back(device: int, tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    packer = Packer(Volume(device, SIZE))
    packer.tree("folder").file("file", iter([data]), True)
    seal = packer.seal(owner=OWNER, seconds=SECONDS)
    found = files(everything(device), seal, tmp_path / "out")
    assert found == {"folder": (b"", 0o755), "folder/file": (data, 0o755)}


def test_names_of_all_kinds_and_many_files_are_found(device: int, tmp_path: Path) -> None:
    """More than one block of a folder, names that sort before and after the dots, equal beginnings, non-ASCII."""
    choose = random.Random(1)
    packer = Packer(Volume(device, SIZE))
    names = ["!", "-", ".a", "..a", "a", "a" * 255, "A", "\u00fc", "z\udcff"]
    names += [f"{choose.randrange(10**9)}-{number}" for number in range(1500)]
    expected: dict[str, tuple[bytes, int]] = {"top": (b"", 0o755)}
    tree = packer.tree("top")
    for number, name in enumerate(names):
        data = choose.randbytes(choose.choice([0, 1, 100, 5000]))
        tree.file(name, iter([data[:50], data[50:]]), bool(number % 2))
        expected[f"top/{name}"] = (data, 0o755 if number % 2 else 0o644)
    tree.folder("empty")
    expected["top/empty"] = (b"", 0o755)
    tree.copy("a", "copy")
    expected["top/copy"] = expected["top/a"]
    seal = packer.seal(owner=OWNER, seconds=SECONDS)
    assert files(everything(device), seal, tmp_path / "out") == expected


def test_regions_that_are_written_in_any_order_have_one_tree(device: int, tmp_path: Path) -> None:
    volume = Volume(device, SIZE)
    data = {name: random.Random(name).randbytes(size) for name, size in (("a", 3 * GROUP + 5), ("b", 7), ("c", GROUP))}
    root, group, regions, rest = DirectoryEntry(), 1, {}, {}
    for name, content in data.items():
        root.entries[name.encode()] = FileEntry(DataExtent(group * PER_BLOCK, len(content)), executable=False)
        regions[name], rest[name] = volume.region(group), memoryview(content)
        group += groups_of(len(content))
    while any(rest.values()):
        for name in ("c", "a", "b"):
            rest[name] = rest[name][regions[name].write(rest[name][:100_000]) :]
    for region in regions.values():
        region.finish()
    seal = volume.seal(root, group, owner=OWNER, seconds=SECONDS)
    assert files(everything(device), seal, tmp_path / "out") == {name: (data[name], 0o644) for name in data}


def test_a_region_that_is_written_again_replaces_the_first(device: int, tmp_path: Path) -> None:
    """An upload whose digest was wrong begins again."""
    volume = Volume(device, SIZE)
    volume.region(1).write_all(b"wrong" * GROUP)
    again = volume.region(1)
    again.write_all(b"right" * 200_000)
    again.finish()
    root = DirectoryEntry({b"file": FileEntry(DataExtent(PER_BLOCK, 1_000_000), executable=False)})
    seal = volume.seal(root, 3, owner=OWNER, seconds=SECONDS)
    assert files(everything(device), seal, tmp_path / "out") == {"file": (b"right" * 200_000, 0o644)}


def test_any_changed_block_of_data_or_metadata_breaks_the_tree(device: int) -> None:
    packer = Packer(Volume(device, SIZE))
    packer.tree().file("file", iter([b"x" * 3 * GROUP]), False)
    seal = packer.seal(owner=OWNER, seconds=SECONDS)
    good = everything(device)
    contents(good, seal)
    for block in (0, PER_BLOCK, 3 * PER_BLOCK, 4 * PER_BLOCK, seal.blocks - 1, seal.tree):
        changed = bytearray(good)
        changed[block * BLOCK + 7] ^= 1
        with pytest.raises(AssertionError):
            contents(bytes(changed), seal)


def test_a_full_volume_says_so(device: int) -> None:
    packer = Packer(Volume(device, SIZE))
    with pytest.raises(OSError, match="no room is left on the scratch disk"):
        packer.tree().file("file", iter([bytes(SIZE)]), False)


def test_a_region_goes_on_only_where_it_is(device: int) -> None:
    region = Volume(device, SIZE).region(1)
    region.write_all(bytes(GROUP + 5))
    assert region.seek(GROUP + 5) == region.size
    with pytest.raises(ValueError, match="in order"):
        region.seek(GROUP)


@pytest.mark.parametrize("groups", [2, 3, 127, 128, 129, 16_384, 16_385, 400_000])
def test_a_device_of_the_computed_size_has_room(groups: int) -> None:
    layout = Layout.of(volume_size(groups))
    assert layout.groups == groups
    assert layout.lowest - upper_blocks(groups) - 64 >= groups * PER_BLOCK


@pytest.mark.parametrize("files_", [0, 1, 60, 61, 5000])
@pytest.mark.parametrize("length", [1, 255])
def test_the_most_blocks_of_a_tree_are_enough(device: int, files_: int, length: int) -> None:
    """As a reservation for an archive of which only the limits are known."""
    packer = Packer(Volume(device, SIZE))
    names = [f"{number:x}".zfill(length) for number in range(min(files_, 16**length))]
    tree = packer.tree("folder")
    for name in names:
        tree.file(name, iter([b"x"]), False)
    seal = packer.seal(owner=OWNER, seconds=SECONDS)
    groups = (
        2 + groups_of(len(names)) + groups_of(most_blocks(len(names) + 1, sum(map(len, names)) + len("folder")) * BLOCK)
    )
    assert seal.blocks // PER_BLOCK <= groups


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"root": "0" * 64, "blocks": 1},
        {"root": "0" * 63, "blocks": 1, "tree": 1},
        {"root": "0" * 63 + "G", "blocks": 1, "tree": 1},
        {"root": "0" * 64, "blocks": 0, "tree": 1},
        {"root": "0" * 64, "blocks": True, "tree": 1},
        {"root": "0" * 64, "blocks": 1.0, "tree": 1},
        {"root": "0" * 64, "blocks": 1, "tree": 1 << 32},
        {"root": "0" * 64, "blocks": 1, "tree": 1, "salt": ""},
    ],
)
def test_an_invalid_seal_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="A seal has"):
        Seal.from_value(value)
