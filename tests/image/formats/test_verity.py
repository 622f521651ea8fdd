"""The hash tree equals cryptsetup's byte for byte, and a flipped bit changes its root."""

import hashlib
from uuid import UUID

import pytest

from image.errors import ImageError
from image.formats import verity

SALT = b"\x11" * 32
IDENTIFIER = UUID("66666666-6666-4666-8666-666666666666")


def test_the_tree_is_what_veritysetup_writes() -> None:
    # veritysetup 2.7.5: format --salt=1111... --uuid=66666666-... over 1 200 000 times "a" and zeros up to a block.
    data = b"a" * 1_200_000 + bytes(1_228_800 - 1_200_000)

    tree = verity.hash_tree(data, salt=SALT, identifier=IDENTIFIER)

    assert tree.root_hash.hex() == "c18cb09bdd93be6237dd1115f56ce5d4de1a93dfd865eb6e1f93d41a97258530"
    assert (
        hashlib.sha256(tree.contents).hexdigest() == "268fcbe4936748bb8681bf623081064860ecd3ae746aeb39756ca9fbe4591c3b"
    )


def test_one_block_has_one_level() -> None:
    tree = verity.hash_tree(bytes(4096), salt=SALT, identifier=IDENTIFIER)

    assert len(tree.contents) == 2 * 4096
    assert tree.contents[4096:4128] == hashlib.sha256(SALT + bytes(4096)).digest()
    assert tree.root_hash == hashlib.sha256(SALT + tree.contents[4096:]).digest()


def test_one_flipped_bit_changes_the_root_hash() -> None:
    data = bytearray(4096 * 200)
    before = verity.hash_tree(bytes(data), salt=SALT, identifier=IDENTIFIER).root_hash
    data[4096 * 150 + 77] ^= 1

    assert verity.hash_tree(bytes(data), salt=SALT, identifier=IDENTIFIER).root_hash != before


def test_the_table_panics_on_corruption_and_names_everything_but_the_devices() -> None:
    tree = verity.hash_tree(bytes(8192), salt=SALT, identifier=IDENTIFIER)

    assert tree.table("DATA", "TREE") == (
        f"0 16 verity 1 DATA TREE 4096 4096 2 1 sha256 {tree.root_hash.hex()} {SALT.hex()} 1 panic_on_corruption"
    )


@pytest.mark.parametrize("data", [b"", b"x", bytes(4097)])
def test_data_without_whole_blocks_is_rejected(data: bytes) -> None:
    with pytest.raises(ImageError, match="whole blocks"):
        verity.hash_tree(data, salt=SALT, identifier=IDENTIFIER)
