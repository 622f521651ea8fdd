"""The digest of an asset depends on its content alone."""

import hashlib
import os

import pytest

from cloister.client.computation import asset
from cloister.client.computation.asset import describe_asset, open_asset
from cloister.errors import InputError
from tests.protocol.test_names import TAKEN


def test_file_is_named_by_digest_and_size(tmp_path):
    path = tmp_path / "h1.csv"
    path.write_bytes(b"x" * 3_000_000)

    found = describe_asset(path)

    assert found == asset.LocalAsset(path, "h1.csv", hashlib.sha256(b"x" * 3_000_000).hexdigest(), 3_000_000)


def test_folder_digest_does_not_depend_on_time_umask_or_order(tmp_path):
    for name, order, mask in (("one", ("a", "b"), 0o022), ("two", ("b", "a"), 0o077)):
        before = os.umask(mask)
        try:
            folder = tmp_path / name / "data"
            folder.mkdir(parents=True)
            for file in order:
                (folder / file).write_text(file)
                os.utime(folder / file, (len(name), len(file)))
        finally:
            os.umask(before)

    one, two = describe_asset(tmp_path / "one" / "data"), describe_asset(tmp_path / "two" / "data")

    assert (one.file, one.digest, one.size) == (two.file, two.digest, two.size)
    assert one.file == "data.tar"


def test_folder_digest_is_that_of_its_bytes(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a").write_bytes(b"1" * 5000)

    with open_asset(folder) as stream:
        content = stream.read()

    found = describe_asset(folder)
    assert (found.digest, found.size) == (hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize("name", TAKEN)
def test_asset_has_the_name_of_its_file(tmp_path, name):
    (tmp_path / name).write_text("x")

    assert describe_asset(tmp_path / name).file == name


@pytest.mark.parametrize("name", [b"a\nb", b"a\xffb", "a\u200bb".encode(), b"c:"])
def test_name_that_no_manifest_can_have_is_refused(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_text("x")

    with pytest.raises(InputError, match="cannot be the name of an asset: it ") as caught:
        describe_asset(path)
    assert caught.value.message.isprintable()


def test_folder_whose_tar_has_too_long_a_name_is_refused(tmp_path):
    (tmp_path / ("x" * 252)).mkdir()

    with pytest.raises(InputError, match="has 256 bytes; a name has at most 255"):
        describe_asset(tmp_path / ("x" * 252))


def test_missing_asset_is_an_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        describe_asset(tmp_path / "absent")
