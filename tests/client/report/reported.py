"""A proven result and event logs to make reports of, and the same with what an attacker or a long run would put in."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from cloister.attestation.policy.policy import Policy
from cloister.client.computation.events import EventReader, save_events
from cloister.client.result.download import fetch_ciphertext, finish_result
from cloister.client.result.proof import Proof, verify_result
from cloister.protocol.events import Event, EventKind, State
from cloister.protocol.manifest import Manifest
from tests.agent_fixture import running_agent
from tests.client.machine import FINISHED, Machine
from tests.client.parties import Parties

LONG = "a-name-without-a-space-" * 12

_OURS = re.compile(r"|[0-9a-f]{40,}|\d{4}-\d\d-\d\dT[0-9:.]+Z|python")


@dataclass(frozen=True)
class Reported:
    """``started`` and ``waiting`` are logs saved before the manifest and while data were missing, with evidence."""

    result: Path
    policy: Policy
    manifest: Manifest
    started: Path
    waiting: Path

    @classmethod
    def make(cls, folder: Path, machine_folder: Path) -> "Reported":
        """Run a whole computation, and save its log on the way."""
        parties = Parties.make(folder)
        with running_agent(machine_folder, (parties.keys["lab"].id,)) as running:
            machine = Machine.of(running, parties)
            started = _save(machine, folder / "started.jsonl")
            manifest = machine.submit()
            machine.upload(manifest, manifest.algorithm.asset)
            waiting = _save(machine, folder / "waiting.jsonl", manifest)
            for asset in manifest.datasets:
                machine.upload(manifest, asset)
            with machine.connection("lab", manifest) as connection:
                for _ in EventReader(connection).records(follow=True, until=FINISHED):
                    pass
                fetch_ciphertext(connection, manifest, folder / "results.zip")
            finish_result(manifest, machine.policy, folder / "results.zip", "lab")
            return cls(folder / "results.zip", machine.policy, manifest, started, waiting)


def _save(machine: Machine, log: Path, manifest: Manifest | None = None) -> Path:
    with machine.connection("lab", manifest) as connection:
        save_events(connection, log, list(EventReader(connection).records(follow=False)))
    return log


def hostile(proof: Proof, name: str) -> Proof:
    """A proof whose names, as far as another party chooses them, are all ``name``."""
    documents = proof.documents
    if documents is None:
        raise ValueError("the result is not proven")
    return dataclasses.replace(
        proof,
        notes=(name,),
        claims=tuple(dataclasses.replace(claim, detail=name) for claim in proof.claims),
        documents=dataclasses.replace(
            documents,
            manifest=dataclasses.replace(documents.manifest, name=name, description=name),
            receipt=dataclasses.replace(documents.receipt, files={name: "00" * 32}, created=name),
            events=tuple(dataclasses.replace(event, actor=name) for event in documents.events),
        ),
    )


def many(proof: Proof, count: int = 10_000) -> Proof:
    """A proof with ``count`` events and as many files."""
    documents = proof.documents
    if documents is None:
        raise ValueError("the result is not proven")
    event = Event(0, "00" * 32, "2026-11-30T12:00:00Z", 0, EventKind.CONSENT, State.RECEIVING, detail={"asset": "h1"})
    events = tuple(dataclasses.replace(event, sequence=number, uptime=number) for number in range(count))
    files = {f"{number}.png": "00" * 32 for number in range(count)}
    receipt = dataclasses.replace(documents.receipt, files=files)
    return dataclasses.replace(proof, documents=dataclasses.replace(documents, events=events, receipt=receipt))


def proven(made: Reported) -> Proof:
    """The proof of the result, as of now."""
    return verify_result(made.result, made.policy)


def poisoned(value: Any, name: str) -> Any:
    """``value`` with ``name`` in place of every text in it that is not a digest, a time or one of our own words."""
    if isinstance(value, str):
        return value if isinstance(value, Enum) or _OURS.fullmatch(value) else name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {one.name: poisoned(getattr(value, one.name), name) for one in dataclasses.fields(value) if one.init}
        return dataclasses.replace(value, **changed)
    if isinstance(value, Mapping):
        return {poisoned(key, name): poisoned(one, name) for key, one in value.items()}
    return type(value)(poisoned(one, name) for one in value) if isinstance(value, tuple | list) else value
