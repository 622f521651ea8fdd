"""One computation from beginning to end."""

import hashlib
import io
import json
import zipfile

from cloister.protocol import events, receipt, slot
from tests.agent_runtime.world import World, describe, refused


def fetch(world: World, name: str) -> tuple[bytes, bytes]:
    """A consumer's ciphertext and key."""
    with world.session(name) as session:
        with session.fetch_result(name, 0, 1 << 22) as (_, pieces):
            ciphertext = b"".join(pieces)
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
        "deep/metrics.txt",
        "model.json",
    ]
    assert json.loads(archive.read("model.json")) == {"bytes": len(world.files["h1"])}

    key = world.running.agent.computation._context.attester.event_log_key
    made = receipt.Receipt.parse(receipt.open_envelope(archive.read("cloister/receipt.dsse.json"), key))
    assert made.assets == {one.name: one.digest for one in world.known().assets()}
    assert [(one.asset, one.party) for one in made.consents] == [("algorithm", "lab"), ("h1", "hospital")]
    assert made.files["model.json"] == hashlib.sha256(archive.read("model.json")).hexdigest()

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


USES_FILES = b"""\
import os, pathlib
import helper
import package.part
weights = pathlib.Path(os.environ["WEIGHTS"]).read_bytes()
pathlib.Path("results/model.json").write_text(f"{helper.NAME} {package.part.NAME} {len(weights)}")
"""
FILES = {
    "helper-py": ("helper.py", b"NAME = 'helper'\n"),
    "part": ("package/part.py", b"NAME = 'part'\n"),
    "weights": ("weights/hub/w.pth", b"\0" * 70_000),
    "empty": ("weights/.empty", b""),
}


def test_algorithm_imports_and_reads_its_files(world: World) -> None:
    world.files |= {"algorithm": USES_FILES, **{name: content for name, (_, content) in FILES.items()}}
    world.submit(
        algorithm__files=[
            {"name": name, "at": at, "file": at.rpartition("/")[2].lstrip("."), **describe(content)}
            for name, (at, content) in FILES.items()
        ],
        algorithm__environment={"WEIGHTS": "weights/hub/w.pth"},
    )
    with world.session("lab") as session:
        missing = {one.name: (one.kind, one.provider, one.complete) for one in session.status().assets}
    assert missing == {
        "algorithm": ("algorithm", "lab", False),
        **dict.fromkeys(FILES, ("file", "lab", False)),
        "h1": ("dataset", "hospital", False),
    }
    world.upload_all()
    world.wait_for("results-ready")

    ciphertext, key = fetch(world, "lab")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(slot.decrypt(key, io.BytesIO(ciphertext), len(ciphertext)))))
    assert archive.read("model.json") == b"helper part 70000"
    event_log_key = world.running.agent.computation._context.attester.event_log_key
    made = receipt.Receipt.parse(receipt.open_envelope(archive.read("cloister/receipt.dsse.json"), event_log_key))
    assert made.assets == {one.name: one.digest for one in world.known().assets()}
    assert {(one.asset, one.party) for one in made.consents} == {
        *((name, "lab") for name in ("algorithm", *FILES)),
        ("h1", "hospital"),
    }
    assert not (world.running.agent.computation.store.folder / "files").exists()


def test_run_waits_for_every_file(world: World) -> None:
    world.files["weights"] = b"w"
    world.submit(
        algorithm__files=[{"name": "weights", "at": "w.pth", "file": "w.pth", **describe(world.files["weights"])}]
    )
    for asset in ("algorithm", "h1"):
        world.upload({"h1": "hospital"}.get(asset, "lab"), asset)
    with world.session("lab") as session:
        assert session.status().state == "ReceivingAssets"
    with refused("NOT_AUTHORIZED"):
        world.upload("hospital", "weights")
    world.upload("lab", "weights")
    world.wait_for("results-ready")
