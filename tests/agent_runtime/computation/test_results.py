"""The files collected from a run, and concurrent changes of slots."""

import os
import threading
from pathlib import Path

import pytest

from agent_runtime.computation.results import ResultSlots, collect_files
from agent_runtime.errors import AgentError
from agent_runtime.limits import Limits
from cloister.protocol.archives.errors import ArchiveError


def test_unreadable_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    really = os.open

    def fail(path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
        if path == "deep":
            raise OSError(24, "Too many open files")
        return really(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match="Too many"):
        collect_files(tmp_path, max_size=10, limits=Limits())


def test_name_too_long_for_the_zip_is_refused(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d" * 200] * 5)
    folder.mkdir(parents=True)
    (folder / ("f" * 19)).touch()
    with pytest.raises(ArchiveError):
        collect_files(tmp_path, max_size=10, limits=Limits())


@pytest.mark.parametrize("name", ["cloister", "cloister/receipt.json", "Cloister. /x", "cloister:x"])
def test_file_in_the_place_of_the_proof_is_refused_by_the_agent_itself(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(AgentError, match="where the proof will be"):
        collect_files(tmp_path, max_size=10, limits=Limits())


def test_a_slot_does_not_appear_while_all_are_being_wiped(tmp_path: Path) -> None:
    slots = ResultSlots(tmp_path / "slots")
    filling = threading.Thread(target=slots.fill, args=(("lab",), {"results/a": b"x"}))
    with slots._lock:
        filling.start()
        filling.join(0.3)
        assert slots.all() == []
    filling.join()
    assert [slot.consumer for slot in slots.all()] == ["lab"]
