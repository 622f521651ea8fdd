"""A computation step by step, as its parties carry it out: by the API, or by commands in processes of their own."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from cloister.client.computation import decisions, submission
from cloister.client.computation.asset import describe_asset
from cloister.client.computation.asset_upload import upload_asset
from cloister.client.computation.events import EventReader
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.client.result.fetch import fetch_result
from cloister.endpoint import Address
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import Phase
from tests.client.machine import Machine, Running
from tests.client.parties import Parties
from tests.faults.invariants import Observed

COMMAND = (sys.executable, "-c", "from cloister.__main__ import main; main()")
CONSUMERS = ("lab", "hospital-1")
OPENING = 24_000
"""Bytes to the party that opening a session takes, about."""

DATA = 3 * 1024 * 1024
RESULT = 2_500_000
"""Bytes of the large dataset and of the result: more than one frame, and no whole number of them. The run takes a
while, so that faults of the step that waits for it come during it.
"""

ALGORITHM = f"""\
import hashlib, os
hashlib.pbkdf2_hmac("sha256", b"", b"", 800_000)
open("results/model.bin", "wb").write(os.urandom({RESULT}))
"""


class FaultyMachine(Observed, Running, Protocol):
    """A machine whose programs a test can end or stop."""

    def kill(self, program: str) -> None:
        """Kill a program, as a crash would."""

    def pause(self, program: str) -> None:
        """Stop a program until :meth:`resume`."""

    def resume(self, program: str) -> None:
        """Let a stopped program go on."""

    def fill_store(self, left: int) -> None:
        """Leave ``left`` bytes free in the store."""

    def empty_store(self) -> None:
        """Undo :meth:`fill_store`."""


@dataclass(frozen=True)
class Computation:
    """One manifest on one machine."""

    guest: FaultyMachine
    machine: Machine
    manifest: Manifest

    @classmethod
    def prepare(cls, guest: FaultyMachine, parties: Parties) -> "Computation":
        """Nothing is submitted yet."""
        machine = Machine.of(guest, parties)
        return cls(guest, machine, parties.manifest())

    def connection(self, party: str, address: Address) -> Connection:
        """A connection of a party that demands the manifest."""
        target = replace(self.machine.target(self.manifest), address=address)
        return Connection(target, self.machine.parties.keys[party])

    def output(self, consumer: str) -> Path:
        """Where a consumer's result goes."""
        return self.machine.parties.folder / f"{consumer}.zip"


def parties_with_files(folder: Path) -> Parties:
    """The parties, with an algorithm whose result has several frames."""
    folder.mkdir()
    parties = Parties.make(folder, h1=bytes(range(256)) * (DATA // 256) + b"odd")
    parties.edit("max: 1MiB", "max: 4MiB, approval: {by: [hospital-2], sees: names}")
    parties.files["algorithm"].write_text(ALGORITHM)
    return parties


@dataclass(frozen=True)
class Step:
    """A step of a party: by the API, and as the words of a command unless it has no command."""

    name: str
    party: str
    sizes: tuple[int, int]
    """About how many bytes go to the agent and come from it."""
    by_api: Callable[[Computation, Address], None]
    words: tuple[str, ...] = ()


def _submit(computation: Computation, address: Address) -> None:
    target: Target = replace(computation.machine.target(), address=address)
    submission.submit(target, computation.machine.parties.keys["lab"], computation.manifest).close()


def _upload(name: str) -> Callable[[Computation, Address], None]:
    def upload(computation: Computation, address: Address) -> None:
        (asset,) = [one for one in computation.manifest.assets() if one.name == name]
        with computation.connection(asset.provider, address) as connection:
            found = describe_asset(computation.machine.parties.files[name], unpack=False)
            upload_asset(connection, computation.manifest, asset, found)

    return upload


def _wait(computation: Computation, address: Address) -> None:
    with computation.connection("hospital-2", address) as connection:
        for _ in EventReader(connection).records(follow=True, until=frozenset({Phase.APPROVAL, Phase.COMPLETED})):
            pass


def _approve(computation: Computation, address: Address) -> None:
    with computation.connection("hospital-2", address) as connection:
        found = decisions.preview_result(connection, computation.manifest)
        decisions.approve_result(connection, computation.manifest, found)


def _fetch(consumer: str) -> Callable[[Computation, Address], None]:
    def fetch(computation: Computation, address: Address) -> None:
        output = computation.output(consumer)
        if not output.exists():
            fetch_result(
                lambda: computation.connection(consumer, address),
                computation.manifest,
                computation.machine.policy,
                output,
            )

    return fetch


def _words(*words: str, key: str) -> tuple[str, ...]:
    return (*words, "--key", f"{key}.pem", "--manifest", "manifest.json", "--policy", "policy.json")


STEPS = (
    Step("run", "lab", (12_000, 2 * OPENING), _submit, _words("run", "--detach", key="lab")),
    Step("algorithm", "lab", (8_000, OPENING), _upload("algorithm"), _words("upload-algorithm", "train.py", key="lab")),
    Step("h2", "hospital-2", (10_000, OPENING), _upload("h2"), _words("upload-data", "data/h2.csv", key="hospital-2")),
    Step("h1", "hospital-1", (DATA, OPENING), _upload("h1"), _words("upload-data", "data/h1.csv", key="hospital-1")),
    Step("wait", "hospital-2", (6_000, OPENING + 8_000), _wait),
    Step("approve", "hospital-2", (9_000, OPENING), _approve, _words("approve", "--yes", key="hospital-2")),
    *(
        Step(
            f"result {name}",
            name,
            (8_000, RESULT),
            _fetch(name),
            _words("result", "--output", f"{name}.zip", key=name),
        )
        for name in CONSUMERS
    ),
)
