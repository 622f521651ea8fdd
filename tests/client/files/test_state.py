"""What the client remembers stays remembered."""

import os
import stat

from cloister.client.files import state


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
