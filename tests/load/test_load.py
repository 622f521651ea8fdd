"""Many peers at one time, honest and not: the agent serves, its memory is bounded, and the honest ones finish."""

import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.limits import Limits
from cloister.client.computation.asset import describe_asset
from cloister.client.computation.asset_upload import consent, upload_asset
from cloister.client.computation.events import follow_events
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.client.files.keys import Key
from cloister.client.result.fetch import fetch_result
from cloister.errors import CloisterError
from cloister.protocol import canonical
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import Phase
from cloister.v1 import agent_pb2
from tests.agent_runtime.world import new_key
from tests.faults.guest_machine import GuestMachine, guest_machine
from tests.faults.invariants import assert_no_fault
from tests.load import peers, unfinished

MIB = 1024 * 1024
RESULT = 3 * MIB
CONSUMERS = ("lab", "h0")
ALGORITHM = f"open('results/model.bin', 'wb').write(bytes({RESULT}))\n"


@dataclass(frozen=True)
class Scale:
    """How many of each."""

    idle: int
    half_open: int
    unbound: int
    abandoned: int
    uploads: int
    size: int
    slow: int
    rounds: int
    """How often malformed input is sent."""


SMALL = Scale(idle=60, half_open=30, unbound=8, abandoned=12, uploads=6, size=2 * MIB + 1, slow=3, rounds=1)
LARGE = Scale(idle=1000, half_open=200, unbound=150, abandoned=200, uploads=32, size=8 * MIB + 1, slow=16, rounds=10)


@dataclass(frozen=True)
class Crowd:
    """A machine, and a manifest with as many hospitals as there are uploads."""

    guest: GuestMachine
    folder: Path
    scale: Scale
    keys: dict[str, Key]
    manifest: Manifest

    @classmethod
    def make(cls, guest: GuestMachine, folder: Path, scale: Scale, owner: Key) -> "Crowd":
        hospitals = [f"h{number}" for number in range(scale.uploads)]
        keys = {"lab": owner, **{name: new_key() for name in hospitals}}
        (folder / "algorithm").write_text(ALGORITHM)
        for number, name in enumerate(hospitals):
            (folder / name).write_bytes(random.Random(number).randbytes(scale.size))
        manifest = Manifest.from_value(manifest_value(folder, keys, hospitals))
        with Connection(Target(guest.address, guest.policy()), owner) as connection:
            connection.session().submit_manifest(manifest.encode())
        return cls(guest, folder, scale, keys, manifest)

    def connection(self, party: str) -> Connection:
        target = Target(self.guest.address, self.guest.policy(), manifest_digest=self.manifest.digest())
        return Connection(target, self.keys[party])

    def upload(self, name: str) -> None:
        (asset,) = [one for one in self.manifest.assets() if one.name == name]
        with self.connection(asset.provider) as connection:
            upload_asset(connection, self.manifest, asset, describe_asset(self.folder / name, unpack=False))

    def honest(self) -> None:
        """Everything that honest parties do, all uploads at one time."""
        hospitals = [name for name in self.keys if name != "lab"]
        with ThreadPoolExecutor(len(hospitals)) as pool:
            for done in [pool.submit(self.upload, name) for name in [*hospitals, "algorithm"]]:
                done.result()
        with self.connection("lab") as connection:
            for _ in follow_events(connection, until=frozenset({Phase.COMPLETED})):
                pass

    def fetch(self, consumer: str) -> None:
        """The proven result, with its files."""
        output = self.folder / f"{consumer}.zip"
        found = fetch_result(
            lambda: self.connection(consumer), self.manifest, self.guest.policy(), output, unpack=self.folder / "out"
        )
        assert found.proof.accepted
        assert (self.folder / "out" / "model.bin").stat().st_size == RESULT


def manifest_value(folder: Path, keys: dict[str, Key], hospitals: list[str]) -> dict[str, Any]:
    def described(name: str) -> dict[str, Any]:
        found = describe_asset(folder / name)
        return {"file": name, "digest": found.digest, "size": found.size}

    return {
        "version": 1,
        "id": hashlib.sha256(str(folder).encode()).hexdigest()[:32],
        "name": "crowd",
        "description": "",
        "parties": {name: {"key": canonical.to_base64(key.public)} for name, key in keys.items()},
        "algorithm": {"provider": "lab", "kind": "python", **described("algorithm"), "args": [], "environment": {}},
        "datasets": [{"name": one, "provider": one, "unpack": False, **described(one)} for one in hospitals],
        "results": {"consumers": list(CONSUMERS), "expires": 3600, "max": 8 * MIB},
        "logs": {"readers": ["lab"], "max": 4096, "release": "end"},
        "limits": {"time": 60, "memory": 1 << 28, "cpus": 1, "processes": 64},
    }


@contextmanager
def crowd(folder: Path, scale: Scale) -> Iterator[Crowd]:
    owner = new_key()
    (folder / "files").mkdir()
    store = scale.uploads * scale.size + 128 * MIB
    with guest_machine(folder / "guest", (owner.id,), store=store) as guest:
        yield Crowd.make(guest, folder / "files", scale, owner)


@contextmanager
def abandoned_sessions(made: Crowd) -> Iterator[None]:
    """Bound sessions of all parties, of which many follow events and read nothing; none is ever closed."""
    with ExitStack() as stack:
        names = list(made.keys)
        for number in range(made.scale.abandoned):
            connection = made.connection(names[number % len(names)])
            stack.callback(connection.close)
            session = connection.session()
            if number % 3 == 0:
                with suppress(CloisterError):
                    next(session.events(0, follow=True))
        yield


@contextmanager
def slow_writers(made: Crowd) -> Iterator[None]:
    """Uploads of which a piece arrives now and then."""
    ended, begun = threading.Event(), threading.Semaphore(0)

    def trickle(data: bytes) -> Iterator[bytes]:
        begun.release()
        for start in range(0, len(data), 1000):
            ended.wait(0.05)
            yield data[start : start + 1000]
            if ended.is_set():
                return

    def upload(name: str) -> None:
        (asset,) = [one for one in made.manifest.assets() if one.name == name]
        data = (made.folder / name).read_bytes()
        with made.connection(name) as connection, suppress(CloisterError):
            session = connection.session()
            given = consent(connection.key, made.manifest, asset, session)
            start = agent_pb2.UploadStart(asset=name, consent=given, offset=session.upload_offset(name).offset)
            session.upload_asset(start, lambda: trickle(data[start.offset :]), len(data))

    with ThreadPoolExecutor(made.scale.slow) as pool:
        for number in range(made.scale.slow):
            pool.submit(upload, f"h{number}")
        try:
            for _ in range(made.scale.slow):
                begun.acquire()
            yield
        finally:
            ended.set()


@contextmanager
def slow_readers(made: Crowd) -> Iterator[None]:
    """Downloads of the result that stop after the first piece."""
    with ExitStack() as stack:
        for number in range(made.scale.slow):
            consumer = CONSUMERS[number % 2]
            connection = made.connection(consumer)
            stack.callback(connection.close)
            _, pieces = stack.enter_context(connection.session().fetch_result(consumer, 0, RESULT))
            next(pieces)
        yield


@pytest.mark.parametrize(
    "scale", [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large", marks=pytest.mark.load)]
)
def test_crowd_changes_nothing_for_honest_parties(tmp_path: Path, scale: Scale) -> None:
    chance = random.Random(12)
    with crowd(tmp_path, scale) as made, ExitStack() as around:
        address = made.guest.address
        for load in (
            peers.idle(address, scale.idle),
            peers.half_open(address, scale.half_open),
            abandoned_sessions(made),
            slow_writers(made),
        ):
            around.enter_context(load)
        for _ in range(scale.rounds):
            peers.probes(address, chance)
            peers.malformed_http2(address, chance)
            peers.malformed_calls(address, chance)
        peers.unbound_sessions(address, scale.unbound)
        made.honest()
        around.enter_context(slow_readers(made))
        for consumer in CONSUMERS:
            made.fetch(consumer)
        peak = made.guest.memory("VmHWM")
        assert peak < Limits().reserved_memory, f"{peak >> 20} MiB"
        assert_no_fault(made.guest.log())


@pytest.mark.load
@pytest.mark.parametrize(("connections", "streams"), [(160, 4), (40, 16), (400, 2)])
def test_calls_that_are_never_finished_do_not_fill_the_memory(tmp_path: Path, connections: int, streams: int) -> None:
    """By peers without a key. With a window of 2 MiB the agent took 500 MiB for what it had not yet read."""
    owner = new_key()
    with guest_machine(tmp_path / "guest", (owner.id,)) as guest:
        assert unfinished.unfinished(guest.address, connections, streams, seconds=5) > 32 * MIB
        peak = guest.memory("VmHWM")
        assert peak < Limits().reserved_memory, f"{peak >> 20} MiB"
        with Connection(Target(guest.address, guest.policy()), owner) as connection:
            assert connection.session().status().state == "Idle"
