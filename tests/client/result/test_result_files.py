"""Files of a result are written completely, and inside the folder."""

import os
import stat
from pathlib import Path

import pytest

from cloister.client.result.result_files import require_folder, unpack_result
from cloister.errors import InputError
from cloister.protocol import archive
from tests.protocol.test_names import TOGETHER


def packed(folder, *files):
    path = folder / "results.zip"
    with path.open("wb") as out:
        archive.write_zip(out, [("cloister/events.jsonl", b"proof"), *((name, name.encode()) for name in files)])
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


@pytest.mark.parametrize("at", ["d", "d/e"])
@pytest.mark.parametrize("there", [True, False])
def test_no_file_is_written_through_the_link_of_a_folder(tmp_path, at, there):
    """Else the algorithm, and someone who may write to the folder, could together write anywhere."""
    victim, out = tmp_path / "victim", tmp_path / "out"
    if there:
        (victim / "e").mkdir(parents=True)
    (out / at).parent.mkdir(parents=True)
    (out / at).symlink_to(victim)

    with pytest.raises(InputError, match=r"out/d/e/a cannot be written: .* is a link or a file, not a folder"):
        unpack_result(packed(tmp_path, "d/e/a"), out)

    assert not [path for path in victim.rglob("*") if not path.is_dir()]
    assert victim.exists() == there


@pytest.mark.parametrize("files", [("a", ".a.part"), ("x" * 255,)], ids=["a name like a part's", "a long name"])
def test_every_valid_file_name_is_unpacked(tmp_path, files):
    unpack_result(packed(tmp_path, *files), tmp_path / "out")

    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        name: name.encode() for name in files
    }
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600 for path in (tmp_path / "out").iterdir())


def test_files_have_exactly_the_names_of_the_result(tmp_path):
    paths = [f"{name}/{name}" for name in TOGETHER]

    written = unpack_result(packed(tmp_path, *paths), tmp_path / "out")

    assert sorted(str(path.relative_to(tmp_path / "out")) for path in written) == sorted(paths)
    for path in paths:
        assert (tmp_path / "out" / path).read_bytes() == path.encode()
    assert sorted(os.listdir(tmp_path / "out")) == sorted(TOGETHER)


def test_no_file_of_a_result_replaces_another(tmp_path, monkeypatch):
    out = tmp_path / "out"
    really = os.replace

    # A file system on which upper and lower case are the same.
    monkeypatch.setattr(Path, "lstat", lambda path: os.lstat(path.with_name(path.name.lower())))
    monkeypatch.setattr(os, "replace", lambda part, name, **folders: really(part, name.lower(), **folders))

    with pytest.raises(InputError, match=r"out/A and .*out/a are one file on this file system") as caught:
        unpack_result(packed(tmp_path, "a", "A"), out)
    assert "results.zip" in caught.value.hint
    assert (out / "a").read_bytes() == b"A"


@pytest.mark.parametrize("name", ["policy.json", "linked.pem", "deep/key.pem", "results.zip"])
def test_no_file_of_a_result_replaces_what_the_party_relies_on(tmp_path, name):
    """The algorithm chooses the names, and a party may unpack into the folder that it works in."""
    (tmp_path / "deep").mkdir()
    for kept in ("policy.json", "deep/key.pem"):
        (tmp_path / kept).write_text("mine")
    (tmp_path / "linked.pem").symlink_to("deep/key.pem")
    keep = [tmp_path / "policy.json", tmp_path / "linked.pem", tmp_path / "absent"]
    results = packed(tmp_path, "a", name)
    before = results.read_bytes()

    with pytest.raises(InputError, match=f"a file {name}, which would replace your ") as caught:
        unpack_result(results, tmp_path, keep)

    assert (caught.value.exit_code, (tmp_path / "a").exists()) == (2, False)
    assert [(tmp_path / kept).read_text() for kept in ("policy.json", "deep/key.pem")] == ["mine", "mine"]
    assert results.read_bytes() == before
    assert (tmp_path / "linked.pem").is_symlink()
    assert len(unpack_result(results, tmp_path / "elsewhere", keep)) == 2


def test_unpacking_again_replaces_what_is_there(tmp_path):
    for _ in range(2):
        assert unpack_result(packed(tmp_path, "a", "b"), tmp_path / "out")


def test_place_that_cannot_take_a_result_is_refused_before_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").symlink_to("nowhere")
    for name in ("file", "file/results", "broken", "broken/results"):
        with pytest.raises(InputError, match="cannot be unpacked into") as caught:
            require_folder(tmp_path / name)
        assert caught.value.hint.startswith("Nothing was fetched.")
    require_folder(tmp_path / "new" / "results")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["broken", "file"]
