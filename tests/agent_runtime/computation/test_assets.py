"""The store of assets when the file system fails."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

import pytest

from agent_runtime.computation.assets import FILES, AssetStore, Progress
from agent_runtime.computation.scratch import Scratch
from agent_runtime.runner.client import RunnerClient
from cloister.protocol.manifest import Asset

NO_DISK = Scratch(RunnerClient(Path("runner.sock"), results=Path("results"), output=Path("output")), 0)
DATA = b"abcdefgh"


class Full(FileIO):
    """A file whose file system has two more bytes."""

    def write(self, data: bytes | bytearray | memoryview) -> int:  # ty: ignore[invalid-method-override]
        if self.tell() >= 6:
            raise OSError(28, "No space left on device")
        return super().write(bytes(data)[:2])


def test_failed_write_can_be_repeated(tmp_path: Path) -> None:
    asset = Asset("h1", "dataset", "hospital", "h1.csv", hashlib.sha256(DATA).hexdigest(), len(DATA))
    store = AssetStore(tmp_path, NO_DISK)
    store.declare([asset])
    writer = store.begin("h1")
    store.start("h1", writer, 0)
    store.write("h1", writer, DATA[:4])
    upload = store._uploads["h1"]
    whole = upload.file
    assert whole is not None
    with Full(upload.path, "r+") as upload.file:
        upload.file.seek(4)
        with pytest.raises(OSError, match="space"):
            store.write("h1", writer, DATA[4:])
        whole.seek(upload.file.tell())
    upload.file = whole
    assert store.progress("h1") == Progress(4, False)
    assert store.write("h1", writer, DATA[4:]) == Progress(8, True)
    assert upload.path.read_bytes() == DATA


def test_failed_wipe_raises_and_deletes_the_rest(tmp_path: Path) -> None:
    def asset(name: str) -> Asset:
        return Asset(name, "dataset", "hospital", f"{name}.csv", hashlib.sha256(DATA).hexdigest(), len(DATA))

    store = AssetStore(tmp_path, NO_DISK)
    store.declare([asset("h1"), asset("h2")])
    for name in ("h1", "h2"):
        writer = store.begin(name)
        store.start(name, writer, 0)
        store.write(name, writer, DATA)
    # A folder cannot be unlinked, not even by root.
    store._uploads["h1"].path.unlink()
    (store._uploads["h1"].path / "stays").mkdir(parents=True)
    with pytest.raises(OSError, match=r"h1\.csv"):
        store.wipe()
    assert not store._uploads["h2"].path.exists()
    store.wipe()


def test_wipes_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    """A run that ends and an agent that is closed both wipe."""
    store = AssetStore(tmp_path, NO_DISK)
    together = threading.Barrier(4)

    def wipe() -> None:
        together.wait()
        store.wipe()

    for _ in range(20):
        store.declare([])
        for number in range(20):
            (tmp_path / FILES / str(number)).touch()
        with ThreadPoolExecutor(4) as pool:
            wipes = [pool.submit(wipe) for _ in range(4)]
        assert [one.exception() for one in wipes] == [None] * 4
