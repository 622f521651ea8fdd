"""The files collected from a run, and concurrent changes of slots."""

import errno
import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from agent_runtime.computation.results import ResultSlots, _SlotFile, collect_files
from agent_runtime.errors import AgentError, CallRefusal
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


@pytest.mark.parametrize("at", ["plain zip", "first slot", "second slot"])
@pytest.mark.parametrize("why", ["wiped", "full"])
def test_slots_that_are_not_finished_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, why: str
) -> None:
    """The computation is stopped while they are made, or the store is full: no key, no plaintext, no ciphertext."""
    slots, large = ResultSlots(tmp_path / "slots"), b"x" * (3 << 20)
    made: list[Path] = []
    writes = Counter[Path]()
    write = _SlotFile.write

    def interrupted(file: _SlotFile, data: bytes) -> int:
        path = Path(str(file.name))
        made.extend([path] if path not in made else [])
        writes[path] += 1
        if made.index(path) == ["plain zip", "first slot", "second slot"].index(at) and writes[path] == 2:
            if why == "full":
                raise OSError(errno.ENOSPC, "No space left on device")
            slots.wipe()
        return write(file, data)

    monkeypatch.setattr(_SlotFile, "write", interrupted)
    with pytest.raises(OSError, match="No space" if why == "full" else "wiped"):
        slots.fill(("lab", "hospital"), {"results/a": large})
    assert [slot for slot in slots.all() if slot.key is not None] == []
    assert not (tmp_path / "slots").exists()
    with pytest.raises(OSError, match="wiped"):
        slots.fill(("lab", "hospital"), {"results/a": large})
    assert not (tmp_path / "slots").exists()


def test_slot_is_opened_before_it_is_deleted_or_not_at_all(tmp_path: Path) -> None:
    """A download that begins while another session of the consumer gets the key."""
    slots = ResultSlots(tmp_path / "slots")
    slots.fill(("lab",), {"results/a": b"x" * 1000})
    whole = b"".join(slots.read("lab", 0))
    found: list[bytes | str] = []
    go = threading.Event()

    def read() -> None:
        go.set()
        while True:
            try:
                found.append(b"".join(slots.read("lab", 0)))
            except CallRefusal as refusal:
                found.append(refusal.reason)
                return

    reader = threading.Thread(target=read)
    reader.start()
    go.wait(30)
    slots.release("lab", "now")
    reader.join()
    assert set(found) <= {whole, "CONSUMED"}
    assert found[-1] == "CONSUMED"
