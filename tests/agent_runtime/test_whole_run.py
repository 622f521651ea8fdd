"""One computation from beginning to end."""

import hashlib
import io
import json
import zipfile

from cloister.protocol import events, receipt, slot
from tests.agent_runtime.world import World


def fetch(world: World, name: str) -> tuple[bytes, bytes]:
    """A consumer's ciphertext and key."""
    with world.session(name) as session:
        ciphertext = b"".join(chunk.data for chunk in session.fetch_result(name, 0, 1 << 22))
        return ciphertext, session.release_result(name, hashlib.sha256(ciphertext).digest())


def test_computation_from_manifest_to_result_and_receipt(world: World) -> None:
    world.submit()
    world.upload_all()
    world.wait_for("results-ready")

    plain = {}
    for name in ("lab", "hospital"):
        ciphertext, key = fetch(world, name)
        plain[name] = b"".join(slot.decrypt(key, io.BytesIO(ciphertext), len(ciphertext)))
    assert plain["lab"] == plain["hospital"]

    archive = zipfile.ZipFile(io.BytesIO(plain["lab"]))
    assert archive.namelist() == [
        "cloister/boot-configuration.json",
        "cloister/events.jsonl",
        "cloister/evidence.json",
        "cloister/manifest.json",
        "cloister/receipt.dsse.json",
        "results/deep/metrics.txt",
        "results/model.json",
    ]
    assert json.loads(archive.read("results/model.json")) == {"bytes": len(world.files["h1"])}

    key = world.running.agent.computation._context.attester.event_log_key
    made = receipt.Receipt.parse(receipt.open_envelope(archive.read("cloister/receipt.dsse.json"), key))
    assert made.assets == {one.name: one.digest for one in world.known().assets()}
    assert [(one.asset, one.party) for one in made.consents] == [("algorithm", "lab"), ("h1", "hospital")]
    assert made.files["results/model.json"] == hashlib.sha256(archive.read("results/model.json")).hexdigest()

    chain = events.EventChain(key)
    kinds = []
    for line in world.events():
        record = events.Record.parse(line)
        chain.add(record)
        kinds.append(record.event.kind.value)
        if record.event.kind is events.EventKind.RUN_FINISHED:
            assert chain.head.hex() == made.log_head
    assert kinds == [
        "agent-started",
        "manifest-accepted",
        "consent-given",
        "asset-received",
        "consent-given",
        "asset-received",
        "run-started",
        "run-finished",
        "results-ready",
        "result-consumed",
        "result-consumed",
        "completed",
    ]
