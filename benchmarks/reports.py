"""Processor time of ``cloister report`` for a log of 10,000 events, each of which is verified and then described."""

import resource
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measurement import BenchmarkResult, seconds

EVENTS = 10_000


def measure(repeat: int) -> list[BenchmarkResult]:
    """Seconds of the whole command, beside those of a Python that does nothing."""
    with tempfile.TemporaryDirectory(prefix="cloister-reports-") as made:
        log, policy, page = (Path(made) / name for name in ("events.jsonl", "policy.json", "page.html"))
        _write(log, policy)
        command = [Path(sys.executable).with_name("cloister"), "report", log, "--policy", policy, "--output", page]
        seconds(command)
        values, empty = [], []
        for _ in range(repeat):
            values.append(_processor(command))
            empty.append(_processor([sys.executable, "-c", "pass"]))
        size = page.stat().st_size / 1000
    how = f"processor time of the whole process, page of {size:.0f} kB"
    ratios = tuple(value / bare for value, bare in zip(values, empty, strict=True))
    return [
        BenchmarkResult("`report` of a log of 10,000 events", tuple(values), "s", 2, how),
        BenchmarkResult("the same, times `python -c pass`", ratios, "x", None, f"{how}; in turns"),
    ]


def _processor(command: Sequence[str | Path]) -> float:
    """Seconds of processor time of a command: it waits for nothing, and other load changes this little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _write(log: Path, policy: Path) -> None:
    """A log that a simulated machine signed, with its evidence beside it, and a policy that accepts the machine."""
    from cryptography.hazmat.primitives.asymmetric import ed25519

    from cloister.attestation.testkit import LocalMachine
    from cloister.client.files.event_log import evidence_path
    from cloister.protocol import canonical, signingkey
    from cloister.protocol.events import FIRST_PREVIOUS, Event, EventKind, State, sign

    now, key, digest = datetime.now(UTC), ed25519.Ed25519PrivateKey.generate(), bytes(range(32))
    machine = replace(
        LocalMachine.create(now, manifest_digest=digest), event_log_key=signingkey.spki_of(key.public_key())
    )
    policy.write_bytes(machine.policy().encode())
    evidence_path(log).write_bytes(
        machine.session(nonce=digest, tls_key_digest=digest, hpke_key_digest=digest).encode_json()
    )
    previous, actor, parts = FIRST_PREVIOUS, "ab" * 32, {"algorithm": "1", "datasets": str(EVENTS)}
    with log.open("wb") as file:
        for number in range(EVENTS):
            kind = {0: EventKind.STARTED, 1: EventKind.MANIFEST}.get(number, EventKind.CONSENT)
            event = Event(
                sequence=number,
                previous=previous.hex(),
                time=canonical.to_time(now),
                uptime=number,
                kind=kind,
                state=State.RECEIVING if number else State.IDLE,
                manifest=digest.hex() if number else None,
                actor=actor if number else None,
                detail={EventKind.CONSENT: {"asset": f"dataset-{number}"}, EventKind.MANIFEST: parts}.get(kind, {}),
            )
            file.write(sign(event, key).encode() + b"\n")
            previous = event.digest()
