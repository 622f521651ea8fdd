"""The scratch disk on a real machine, whose host changes it while the machine runs, and reads what memory is left."""

import errno
import hashlib
import io
import itertools
import json
import random
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent_runtime.runner.disk import scratchdisk
from cloister.client.connection.refusal import ConnectionLost
from cloister.client.result.proof import verify_result
from cloister.process import run
from cloister.protocol import slot
from cloister.protocol.events import State
from cloister.protocol.scratch import SMALL
from cloister.v1 import agent_pb2
from infra.configuration.image import Image
from infra.provider.errors import ProviderError
from tests.agent_runtime.world import World, describe, pieces, refused
from tests.e2e.hostile.host import HostileHost
from tests.e2e.scratch.dm_crypt_key import candidates
from tests.e2e.scratch.machine import BLOCK, ScratchMachine, counts, put, written
from tests.protocol.test_wheels import make
from tests.small_wheels import SmallWheel

pytestmark = [pytest.mark.vm, pytest.mark.scratch]

SIZE = 8 << 30
LIMITS = {"time": 240, "memory": 1 << 28, "cpus": 1, "processes": 64}
LOGS = {"readers": ["reader"], "max": 65536, "release": "live"}
MARK = bytes(random.Random(0).choices(b"abcdefghijklmnop", k=64))
"""What data of the parties looks like in memory."""

USES_EVERYTHING = b"""
import demo, hashlib, json, os, pathlib
found = {"wheel": demo.VALUE, "unpacked": {}, "flags": {}}
found["plain"] = hashlib.sha256(pathlib.Path("datasets/h1.bin").read_bytes()).hexdigest()
for place, _, names in os.walk("datasets/h2"):
    for name in names:
        path = pathlib.Path(place, name)
        found["unpacked"][path.relative_to("datasets/h2").as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
for path in ("datasets/h2/a/1", "datasets/h1.bin"):
    with open(path, "ab") as out:
        out.write(b"more")
os.rename("datasets/h2/a", "datasets/h2/z")
pathlib.Path("/tmp/much").write_bytes(bytes(80 << 20))
try:
    with open("/tmp/more", "wb", buffering=0) as out:
        while out.write(bytes(1 << 20)):
            pass
except OSError as error:
    found["full"] = error.errno
os.unlink("/tmp/more")
for line in open("/proc/self/mountinfo"):
    words = line.split()
    kind = words[words.index("-") + 1]
    found["flags"][words[4]] = [kind, sorted({"ro", "nosuid", "nodev", "noexec"} & set(words[5].split(",")))]
pathlib.Path("results/found.json").write_text(json.dumps(found))
"""

IGNORES_ERRORS = b"""
import os, pathlib, time
print("ready", flush=True)
for name in ("flipped", "older", "exchanged", "deleted", "kept"):
    while not pathlib.Path("datasets", name + ".bin").exists():
        pass
    end, said = time.monotonic() + 60, "never failed"
    while time.monotonic() < end:
        try:
            with open(f"datasets/{name}.bin", "rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                data = file.read(1 << 30)
            if name == "kept" or set(data) != {ord(name[0])}:
                said = f"{len(data)} bytes, {sorted(set(data))}"
                break
        except OSError as error:
            said = f"errno {error.errno}"
            break
    print(name, said, flush=True)
pathlib.Path("results/model").write_text("made in spite of all")
"""


@pytest.fixture(scope="module")
def machine(base_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScratchMachine]:
    with ScratchMachine.booted(tmp_path_factory.mktemp("scratch"), base_image, SIZE) as machine:
        yield machine


def dataset(name: str, data: bytes, unpacked: int = 0) -> dict[str, object]:
    more = {"unpack": True, "unpacked_size": unpacked} if unpacked else {"unpack": False}
    return {"name": name, "provider": "hospital", "file": f"{name}.bin", **describe(data), **more}


def fetch(world: World, name: str) -> tuple[bytes, bytes]:
    """A consumer's ciphertext, and its key."""
    with world.session(name) as session:
        with session.fetch_result(name, 0, 1 << 24) as (_, pieces):
            data = b"".join(pieces)
        return data, session.release_result(name, hashlib.sha256(data).digest())


def test_everything_is_there_and_nothing_is_left(machine: ScratchMachine, tmp_path: Path) -> None:
    """A run with assets, wheels, unpacked and written data on the disk; then the memory after the machine's end."""
    plain = MARK * (4 * SMALL // len(MARK))
    members = {f"{'ab'[number % 2]}/{number}": MARK * (1 + number * 11) for number in range(200)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    wheel = SmallWheel(files={"demo/__init__.py": b"VALUE = 7\n", "demo/large": bytes(2 * SMALL)})
    bundle = make(tmp_path / "bundle.tar", {f"wheels/{wheel.file}": wheel.build()}).read_bytes()
    files = {"algorithm": USES_EVERYTHING, "h1": plain, "h2": packed.getvalue(), "bundle": bundle}
    world = machine.world(files)
    datasets = [dataset("h1", plain), dataset("h2", files["h2"], sum(map(len, members.values())))]
    world.submit(
        datasets=datasets,
        limits=LIMITS | {"scratch": 128 << 20},
        logs=LOGS,
        algorithm__bundle={"file": "demo.bundle", **describe(bundle)},
    )
    with machine.stopped() as memory:
        keys = candidates(memory)
    assert keys
    world.upload_all()
    ended = world.wait_for("run-finished")
    assert ended["detail"] == {"outcome": "OK"}, printed(world)
    world.wait_for("results-ready")
    with machine.stopped() as memory:
        assert min(counts(memory, MARK, *keys)) > 0
    lab, (ciphertext, hospital) = fetch(world, "lab")[1], fetch(world, "hospital")
    world.wait_for("completed")
    with machine.stopped() as memory:
        assert min(counts(memory, lab, hospital)) > 0

    (tmp_path / "results.zip").write_bytes(b"".join(slot.decrypt(hospital, io.BytesIO(ciphertext), len(ciphertext))))
    proven = verify_result(tmp_path / "results.zip", machine.policy())
    assert proven.accepted
    assert any("The host can put back an older state" in note for note in proven.notes)
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        found = json.loads(archive.read("found.json"))
    assert found["full"] == errno.ENOSPC
    assert found["wheel"] == 7
    assert found["plain"] == hashlib.sha256(plain).hexdigest()
    assert found["unpacked"] == {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    assert found["flags"]["/work/datasets"] == ["overlay", ["nodev", "nosuid"]]
    assert found["flags"]["/run/wheels"] == ["erofs", ["nodev", "nosuid", "ro"]]
    assert found["flags"]["/tmp"] == ["ext4", ["nodev", "nosuid"]]
    assert found["flags"]["/work/results"] == ["ext4", ["nodev", "noexec", "nosuid"]]
    written = b"".join(content for _, content in sorted(machine.blocks().items()))
    assert len(written) > 80 << 20
    assert MARK not in written

    machine.reset_and_keep()
    assert counts(machine.memory, MARK, lab, hospital, *keys) == [0] * (3 + len(keys))


def printed(world: World) -> str:
    """What the algorithm printed."""
    with world.session("reader") as session:
        return b"".join(chunk.data for chunk in session.logs()).decode()


def test_changed_data_is_an_error_and_never_a_wrong_byte(machine: ScratchMachine) -> None:
    """Bits are flipped, older data with its tags is put back, blocks are exchanged and deleted.

    The algorithm goes on after each error, and still there is no result.
    """
    machine.start_again()
    names = ("flipped", "older", "exchanged", "deleted", "kept")
    contents = {name: name[0].encode() * (2 * SMALL) for name in names}
    world = machine.world({"algorithm": IGNORES_ERRORS, "h1": b"", **contents})
    world.submit(datasets=[dataset(name, contents[name]) for name in names], limits=LIMITS, logs=LOGS)
    # The host keeps what an upload left that was not what the manifest says, with valid tags.
    with refused("DIGEST_MISMATCH"):
        world.upload("hospital", "older", b"X" * (2 * SMALL))
    states = [machine.blocks()]
    for name in (*names, "algorithm"):
        world.upload("lab" if name == "algorithm" else "hospital", name)
        states.append(machine.blocks())
    lines = _lines(world)
    assert next(lines) == "ready"
    now = machine.blocks()
    own = _blocks_of_one_upload(dict(zip(names, itertools.pairwise(states), strict=False)))
    machine.put({block: bytes([now[block][0] ^ 1]) + now[block][1:] for block in own["flipped"]})
    assert next(lines) == "flipped errno 5"
    # After the next upload, which made the machine write its caches.
    machine.put({block: states[1][block] for block in own["older"] if block in states[1]})
    assert next(lines) == "older errno 5"
    machine.put({to: now[at] for at, to in zip(own["exchanged"], reversed(own["exchanged"]), strict=True)})
    assert next(lines) == "exchanged errno 5"
    machine.put(dict.fromkeys(own["deleted"], bytes(BLOCK)))
    assert next(lines) == "deleted errno 5"
    assert next(lines) == f"kept {2 * SMALL} bytes, [{ord('k')}]"
    event = world.wait_for("failed")
    assert event["detail"] == {"reason": "SCRATCH"}
    assert "The scratch disk returned data that was changed" in " ".join(lines)


def _blocks_of_one_upload(states: dict[str, tuple[dict[int, bytes], dict[int, bytes]]]) -> dict[str, list[int]]:
    """The blocks that an upload changed and no other, by name; ``states`` are the disk's before and after it."""
    changed = {
        name: {block for block, content in after.items() if content != before.get(block)}
        for name, (before, after) in states.items()
    }
    return {
        name: sorted(blocks - set().union(*(others for other, others in changed.items() if other != name)))
        for name, blocks in changed.items()
    }


def _lines(world: World) -> Iterator[str]:
    """The lines that the algorithm prints."""
    rest = b""
    with world.session("reader") as session:
        for chunk in session.logs(follow=True):
            *whole, rest = (rest + chunk.data).split(b"\n")
            yield from (line.decode() for line in whole if line)


def test_a_machine_that_was_killed_while_it_wrote_begins_again(machine: ScratchMachine) -> None:
    """Nothing of before is there, and the same upload goes through."""
    content = random.Random(1).randbytes(8 * SMALL)
    world = machine.world({"algorithm": b"print()", "h1": content})
    machine.reset()
    world.submit(datasets=[dataset("h1", content)], limits=LIMITS, logs=LOGS)

    def half() -> Iterator[bytes]:
        yield from pieces(content[: 4 * SMALL])
        machine.host.kill()
        yield from pieces(content[4 * SMALL :])

    with pytest.raises(ConnectionLost), world.session("hospital") as session:
        start = agent_pb2.UploadStart(asset="h1", consent=world.consent(session, "h1", world.keys["hospital"]))
        session.upload_asset(start, half, len(content))
    machine.host.start_again()
    with world.session("owner") as session:
        assert session.status().state == State.IDLE
    world.submit(datasets=[dataset("h1", content)], limits=LIMITS, logs=LOGS)
    assert world.upload("hospital", "h1").complete


@pytest.mark.parametrize(
    ("disk", "declared", "why"),
    [
        (0, SIZE, "The machine must have one disk besides that of its image, for scratch, not 0."),
        (SIZE, 2 * SIZE, f"The scratch disk must have {2 * SIZE} bytes, but has {SIZE}."),
    ],
    ids=["absent", "smaller"],
)
def test_a_machine_does_not_start_without_the_disk_that_is_declared(
    base_image: Image, tmp_path: Path, disk: int, declared: int, why: str
) -> None:
    with HostileHost.create(tmp_path, base_image, scratch=disk) as host, pytest.raises(ProviderError, match=why):
        host.boot(configuration=replace(host.configuration(), scratch=declared))


def test_only_superblocks_are_written_in_parts_of_blocks(tree: Path, tmp_path: Path) -> None:
    """By the image's mke2fs, which could not read the rest of another block on the disk."""
    words = [tree / "usr/bin/busybox", *scratchdisk.mke2fs_words(Path("disk"), 2 << 30)]
    disk, old = tmp_path / "disk", b"\xa5" * BLOCK
    with disk.open("xb") as file:
        file.truncate(2 << 30)
    run(words, cwd=tmp_path)
    put(disk, dict.fromkeys(written(disk), old))
    run(words, cwd=tmp_path)
    in_part = [block for block, content in written(disk).items() if content != old and old[:64] in content]
    assert in_part == [group * 8 * BLOCK for group in scratchdisk.superblock_groups(16)]
