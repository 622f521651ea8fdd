"""What the client remembers stays remembered."""

import os
import stat

import pytest

from cloister.client.files import state
from cloister.client.history.history import log_path
from cloister.errors import InputError


def test_file_and_its_name_are_on_the_disk(tmp_path, monkeypatch):
    """Else a power failure could bring back an earlier count of a rule's uses."""
    synced, fsync = [], os.fsync

    def noted(descriptor):
        there = (tmp_path / "count.json").exists()
        synced.append(("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file", there))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    state.write(tmp_path / "count.json", b"[]")

    assert synced == [("file", False), ("folder", True)]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where a history is, of which no folder exists yet; every new folder is open to all."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "local" / "state"))
    before = os.umask(0)
    yield log_path("trial", "0" * 64)
    os.umask(before)


def test_every_folder_that_is_made_is_for_this_user_alone(kept, tmp_path):
    with state.locked(kept, "busy"):
        pass
    made = [one for one in tmp_path.rglob("*") if one.is_dir()]
    assert [one.name for one in made] == ["local", "state", "cloister", "history"]
    assert {one.stat().st_mode & 0o777 for one in made} == {0o700}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777, 0o720])
@pytest.mark.parametrize("which", ["history", "cloister"])
def test_nothing_is_remembered_where_others_may_write(kept, which, mode):
    """They could put another folder in its place, and everything would count as accepted for the first time."""
    with state.locked(kept, "busy"):
        pass
    folder = next(one for one in kept.parents if one.name == which)
    folder.chmod(mode)

    with pytest.raises(InputError, match=f"{which} can be written by") as caught, state.locked(kept, "busy"):
        raise AssertionError

    assert caught.value.hint == f"chmod go-w {folder}"
