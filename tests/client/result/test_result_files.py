"""Files of a result are written completely, and inside the folder."""

import stat

import pytest

from cloister.client.result.result_files import unpack_result
from cloister.protocol import archive


def packed(folder, *files):
    path = folder / "results.zip"
    with path.open("wb") as out:
        archive.write_zip(out, [(f"results/{name}", name.encode()) for name in files])
    return path


def test_unpacking_does_not_follow_links(tmp_path):
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("mine")
    out.mkdir()
    for name in (".a.part", "a"):
        (out / name).symlink_to(victim)

    unpack_result(packed(tmp_path, "a"), out)

    assert victim.read_text() == "mine"
    assert not (out / "a").is_symlink()
    assert (out / "a").read_bytes() == b"a"


@pytest.mark.parametrize("files", [("a", ".a.part"), ("x" * 255,)], ids=["a name like a part's", "a long name"])
def test_every_valid_file_name_is_unpacked(tmp_path, files):
    unpack_result(packed(tmp_path, *files), tmp_path / "out")

    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        name: name.encode() for name in files
    }
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600 for path in (tmp_path / "out").iterdir())
