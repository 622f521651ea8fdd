"""Files beside a party's own, in a folder that others may write to: nothing that they put there is written to."""

import os
import stat

import pytest

from cloister.client.files import exclusive

PLANTS = {
    "link": lambda at, kept: at.symlink_to(kept),
    "link to nothing": lambda at, kept: at.symlink_to(kept.with_name("nothing")),
    "hard link": lambda at, kept: at.hardlink_to(kept),
    "pipe": lambda at, kept: os.mkfifo(at),
}


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "kept"
    path.write_bytes(b"kept")
    return path


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_part_is_a_new_file_where_something_else_lies(tmp_path, kept, plant):
    at = tmp_path / "part"
    plant(at, kept)
    with exclusive.resumed(at) as file:
        file.write(b"part")
        assert exclusive.is_at(file.fileno(), at)
    assert (at.read_bytes(), kept.read_bytes(), stat.S_IMODE(at.stat().st_mode)) == (b"part", b"kept", 0o600)
    assert not kept.with_name("nothing").exists()


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_description_is_not_written_over_something_else(tmp_path, kept, plant):
    at = tmp_path / "description"
    plant(at, kept)
    with pytest.raises(OSError, match="description"):
        exclusive.rewrite(at, b"new")
    assert kept.read_bytes() == b"kept"
    assert not kept.with_name("nothing").exists()


def test_file_of_another_user_is_not_used(tmp_path, kept, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: kept.stat().st_uid + 1)
    with pytest.raises(OSError, match="Is another user's"):
        exclusive.rewrite(kept, b"new")
    number = kept.stat().st_ino
    with kept.open("rb") as held, exclusive.resumed(kept) as file:
        assert (held.read(), file.read(), os.fstat(file.fileno()).st_ino != number) == (b"kept", b"", True)


def test_own_files_are_continued_and_rewritten_in_place(tmp_path, kept):
    number = kept.stat().st_ino
    with exclusive.resumed(kept) as file:
        assert file.read() == b"kept"
        file.write(b" and more")
    assert kept.read_bytes() == b"kept and more"
    exclusive.rewrite(kept, b"new")
    exclusive.rewrite(tmp_path / "other", b"other")
    assert (kept.read_bytes(), kept.stat().st_ino, (tmp_path / "other").read_bytes()) == (b"new", number, b"other")
