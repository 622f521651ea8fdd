"""Assets that are not small go to the volume that the runner makes, and are sealed for the run."""

import errno
import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.computation import results
from agent_runtime.computation import scratch as module
from agent_runtime.computation.assets import AssetStore
from agent_runtime.computation.capacity import RequiredCapacity
from agent_runtime.computation.scratch import Scratch
from agent_runtime.errors import AgentError, CallRefusal, Reason
from agent_runtime.runner.client import RunnerClient
from cloister.protocol.manifest import Manifest
from cloister.protocol.scratch import SMALL, ScratchNeed
from tests.agent_runtime.scratch.volume_reader import files
from tests.agent_runtime.world import World, describe, manifest_value, new_key

CONTENT = {
    "algorithm": b"print()\n",
    "h1": random.Random(1).randbytes(SMALL + 1),
    "h2": random.Random(2).randbytes(3 * SMALL),
    "h3": random.Random(3).randbytes(SMALL),
}


@dataclass
class OneVolume(RunnerClient):
    """A runner whose volumes are files."""

    folder: Path
    closed: int = 0
    made: list[int] = field(default_factory=list)

    def make_volume(self, size: int) -> Path:
        self.made.append(size)
        path = self.folder / "device"
        path.write_bytes(b"\xa5" * size)
        return path

    def close_scratch(self) -> None:
        self.closed += 1


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OneVolume]:
    """Test folders may be in a file system without O_DIRECT."""
    monkeypatch.setattr(module, "_FLAGS", os.O_RDWR)
    yield OneVolume(tmp_path)


@pytest.fixture
def manifest() -> Manifest:
    return written()


def written(**changes: Any) -> Manifest:
    keys = {name: new_key() for name in ("lab", "hospital", "reader")}
    datasets = [
        {"name": "h1", "provider": "hospital", "file": "one.csv", "unpack": False, **describe(CONTENT["h1"])},
        {
            "name": "h2",
            "provider": "hospital",
            "file": "two.zip",
            "unpack": True,
            "unpacked_size": 10 * SMALL,
            **describe(CONTENT["h2"]),
        },
        {"name": "h3", "provider": "hospital", "file": "three.csv", "unpack": False, **describe(CONTENT["h3"])},
    ]
    return Manifest.from_value(manifest_value(keys, CONTENT, datasets=datasets, **changes))


def store_of(runner: OneVolume, manifest: Manifest) -> AssetStore:
    store = AssetStore(runner.folder / "store", Scratch(runner, 4 << 30))
    store.scratch.begin(manifest)
    store.declare(manifest.assets())
    return store


def upload(store: AssetStore, name: str, data: bytes) -> bool:
    writer = store.begin(name)
    store.start(name, writer, 0)
    for start in range(0, len(data), 300_000):
        complete = store.write(name, writer, data[start : start + 300_000]).complete
    return complete


def test_large_assets_are_on_the_volume_and_small_ones_in_memory(runner: OneVolume, manifest: Manifest) -> None:
    store = store_of(runner, manifest)
    for name, data in CONTENT.items():
        assert upload(store, name, data)
    job = store.seal(1_700_000_000)
    assert job is not None
    assert job.seal is not None
    found = files((runner.folder / "device").read_bytes(), job.seal, runner.folder / "out")
    assert {path: data for path, (data, _) in found.items() if data} == {
        "datasets/one.csv": CONTENT["h1"],
        "packed/h2": CONTENT["h2"],
    }
    kept = {path.name: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    assert kept == {"algorithm": CONTENT["algorithm"], "three.csv": CONTENT["h3"]}
    assert (job.datasets, job.wheels, job.written) == (("h2",), False, 0)


CONTAINER = {"digest": "ab" * 32, "unpacked_size": 1 << 20}


@pytest.mark.parametrize(
    ("changes", "modes"),
    [({}, {0o644, 0o755}), ({"algorithm__kind": "oci", "algorithm__container": CONTAINER}, {0o666, 0o777})],
    ids=["python", "oci"],
)
def test_any_user_of_a_container_image_may_write_to_datasets(
    runner: OneVolume, changes: dict[str, Any], modes: set[int]
) -> None:
    """Datasets are on the volume before it is known who that user is."""
    store = store_of(runner, written(**changes))
    for name, data in CONTENT.items():
        assert upload(store, name, data)
    job = store.seal(1_700_000_000)
    assert job is not None
    assert job.seal is not None
    found = files((runner.folder / "device").read_bytes(), job.seal, runner.folder / "out")
    assert {mode for _, mode in found.values()} == modes


def test_an_upload_that_was_wrong_begins_again_in_the_same_place(runner: OneVolume, manifest: Manifest) -> None:
    store = store_of(runner, manifest)
    with pytest.raises(CallRefusal, match="SHA-256 differs"):
        upload(store, "h2", bytes(3 * SMALL))
    assert store.progress("h2").offset == 0
    for name, data in CONTENT.items():
        assert upload(store, name, data)
    job = store.seal(1_700_000_000)
    assert job is not None
    assert job.seal is not None
    found = files((runner.folder / "device").read_bytes(), job.seal, runner.folder / "out")
    assert hashlib.sha256(found["packed/h2"][0]).hexdigest() == describe(CONTENT["h2"])["digest"]


def test_a_disk_that_fails_makes_the_upload_begin_again(
    runner: OneVolume, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(runner, manifest)
    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(CallRefusal, match="h1: the scratch disk failed") as caught:
            upload(store, "h1", CONTENT["h1"])
    assert caught.value.reason is Reason.SCRATCH_FAILED
    assert store.progress("h1").offset == 0
    assert upload(store, "h1", CONTENT["h1"])


def test_the_key_is_forgotten_with_a_computation_that_never_ran(runner: OneVolume, manifest: Manifest) -> None:
    store = store_of(runner, manifest)
    upload(store, "h1", CONTENT["h1"])
    store.wipe()
    store.wipe()
    assert runner.closed == 1


def test_a_key_that_may_not_be_forgotten_fails_the_wipe(
    runner: OneVolume, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the machine powers off."""
    store = store_of(runner, manifest)

    def fail() -> None:
        raise AgentError("The scratch disk failed: Device or resource busy.")

    monkeypatch.setattr(runner, "close_scratch", fail)
    with pytest.raises(OSError, match="Device or resource busy"):
        store.wipe()
    with pytest.raises(OSError, match="scratch disk is closed"):
        store.start("h1", store.begin("h1"), 0)


def test_a_manifest_reserves_room_on_the_disk_and_not_in_memory(manifest: Manifest) -> None:
    needed, without = (RequiredCapacity.of(manifest, scratch=scratch) for scratch in (True, False))
    assert without.store - needed.store == len(CONTENT["h1"]) + len(CONTENT["h2"])
    assert needed.scratch == ScratchNeed.of(manifest).total > 14 * SMALL
    machine = {"store": needed.store, "memory": needed.store + needed.run, "processes": needed.processes}
    needed.check(**machine, scratch=needed.scratch)
    with pytest.raises(
        CallRefusal, match=f"needs {needed.scratch} bytes of the scratch disk. This machine has 5 bytes"
    ):
        needed.check(**machine, scratch=5)


@pytest.mark.parametrize(
    ("error", "scratch", "reason"),
    [
        (errno.EIO, 1, "SCRATCH"),
        (errno.EILSEQ, 1, "SCRATCH"),
        (errno.EUCLEAN, 1, "SCRATCH"),
        (errno.EIO, 0, "INTERNAL"),
    ],
)
def test_results_that_the_disk_does_not_return_are_its_fault(
    world: World, monkeypatch: pytest.MonkeyPatch, error: int, scratch: int, reason: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    world.running.agent.computation.store.scratch.size = 4 << 30
    monkeypatch.setattr(results, "_read", fail)
    limits = {"time": 60, "memory": 1 << 28, "cpus": 1, "processes": 64}
    world.submit(limits=limits | ({"scratch": scratch << 24} if scratch else {}))
    world.upload_all()
    assert world.wait_for("failed")["detail"] == {"reason": reason}
