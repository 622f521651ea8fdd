"""What a manifest needs of a scratch disk, on either end."""

from dataclasses import replace

import pytest

from cloister.protocol.archives.limits import MAX_ENTRIES
from cloister.protocol.manifest import Asset, DeclaredContainer, Manifest
from cloister.protocol.scratch import SMALL, ScratchNeed, end_group, first_groups
from cloister.protocol.volume import BLOCK, GROUP, volume_size
from tests.agent_runtime.world import manifest_value, new_key

FILES = {"algorithm": b"print()", "h1": b"1"}


def dataset(name: str, size: int, unpacked: int = 0) -> Asset:
    return Asset(name, "dataset", "hospital", f"{name}.bin", "00" * 32, size, unpacked > 0, unpacked)


@pytest.fixture
def manifest() -> Manifest:
    keys = {name: new_key() for name in ("lab", "hospital", "reader")}
    return Manifest.from_value(manifest_value(keys, FILES))


def test_a_small_computation_needs_nothing(manifest: Manifest) -> None:
    assert ScratchNeed.of(manifest).total == 0
    small = replace(manifest, datasets=(dataset("h1", SMALL, SMALL),))
    assert ScratchNeed.of(small).total == 0


@pytest.mark.parametrize("size", [SMALL + 1, 300 << 30])
def test_a_large_asset_needs_its_size_and_little_more(manifest: Manifest, size: int) -> None:
    need = ScratchNeed.of(replace(manifest, datasets=(dataset("h1", size),)))
    assert [asset.name for asset in need.assets] == ["h1"]
    assert size < need.total < size * 1.01 + 4 * GROUP


def test_unpacking_reserves_a_block_for_each_file_that_may_be_there(manifest: Manifest) -> None:
    size = 10 << 30
    need = ScratchNeed.of(replace(manifest, datasets=(dataset("h1", 1, size),)))
    assert (need.assets, [data.name for data in need.unpacked]) == ((), ["h1"])
    assert size + MAX_ENTRIES * BLOCK < need.unpacked_size < size * 1.01 + 1.5 * (1 << 30)


@pytest.mark.parametrize("size", [SMALL + 1, 3 << 30, 40 << 30])
def test_an_image_reserves_its_size_and_a_block_for_each_folder_that_may_be_there(
    manifest: Manifest, size: int
) -> None:
    image = DeclaredContainer("ab" * 32, size)
    need = ScratchNeed.of(replace(manifest, algorithm=replace(manifest.algorithm, container=image)))
    assert need.image == size
    assert size < need.unpacked_size < min(6 * size + (8 << 20), 1.01 * size + (3 << 30))
    small = DeclaredContainer("ab" * 32, SMALL)
    assert ScratchNeed.of(replace(manifest, algorithm=replace(manifest.algorithm, container=small))).total == 0


def test_written_data_have_room_for_the_file_system(manifest: Manifest) -> None:
    limits = replace(manifest.limits, scratch=50 << 30)
    need = ScratchNeed.of(replace(manifest, limits=limits))
    assert need.total == need.written_size > 51 << 30
    assert need.written_size % BLOCK == 0


def test_assets_follow_each_other_from_the_second_group_on() -> None:
    assets = [dataset("a", 3 * GROUP), dataset("b", 3 * GROUP + 1), dataset("c", 1)]
    assert first_groups(assets) == {"a": 1, "b": 4, "c": 8}
    assert end_group(assets) == 9
    assert volume_size(end_group(assets)) > 9 * GROUP
