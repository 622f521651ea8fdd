"""Uploads: complete, from the provider, with its consent; interrupted and resumed."""

import hashlib
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent_runtime.limits import Limits
from cloister.client.connection.session import Session
from cloister.errors import CloisterError, RefusedError
from cloister.protocol import canonical
from cloister.v1 import agent_pb2
from tests.agent_fixture import running_agent
from tests.agent_runtime.world import DATA, TRAIN, World, describe, new_key, pieces, refused


@pytest.fixture
def receiving(world: World) -> World:
    """A machine in the state ReceivingAssets."""
    world.submit()
    return world


def send(world: World, session: Session, asset: str, data: bytes, /, offset: int = 0, **changes: bytes) -> None:
    start = agent_pb2.UploadStart(
        asset=asset, consent=world.consent(session, asset, world.keys["hospital"], **changes), offset=offset
    )
    session.upload_asset(start, lambda: pieces(data), len(data))


def offset(world: World) -> tuple[int, bool]:
    with world.session("hospital") as session:
        at = session.upload_offset("h1")
        return at.offset, at.complete


def test_one_flipped_bit_discards_the_asset(receiving: World) -> None:
    data = bytearray(DATA)
    data[-1] ^= 1
    found = hashlib.sha256(data).hexdigest()
    with refused("DIGEST_MISMATCH", expected=hashlib.sha256(DATA).hexdigest(), found=found):
        receiving.upload("hospital", "h1", bytes(data))
    assert offset(receiving) == (0, False)
    assert receiving.upload("hospital", "h1").complete


def test_more_than_declared_discards_the_asset(receiving: World) -> None:
    with receiving.session("hospital") as session, refused("TOO_LARGE", size=str(len(DATA))):
        send(receiving, session, "h1", DATA[:-1] + b"xx")
    assert offset(receiving) == (0, False)


def test_upload_resumes_in_another_session_with_its_own_consent(receiving: World) -> None:
    with receiving.session("hospital") as session:
        send(receiving, session, "h1", DATA[:1000])
    assert offset(receiving) == (1000, False)
    assert receiving.upload("hospital", "h1", offset=1000).complete
    consents = [
        event["detail"]["transcript"]
        for event in (canonical.parse(line, what="a line", limit=1 << 20)["event"] for line in receiving.events())
        if event["kind"] == "consent-given"
    ]
    assert len(set(consents)) == len(consents) == 2


def test_wrong_offset_is_refused_with_the_right_one(receiving: World) -> None:
    with receiving.session("hospital") as session:
        send(receiving, session, "h1", DATA[:1000])
        with refused("WRONG_OFFSET", offset="1000"):
            send(receiving, session, "h1", DATA, offset=0)


def test_a_newer_upload_cancels_the_older(receiving: World) -> None:
    parts: queue.Queue[bytes | None] = queue.Queue()
    failures: list[CloisterError] = []
    sent = threading.Event()

    def data() -> Iterator[bytes]:
        while (part := parts.get()) is not None:
            yield part
            sent.set()

    def older() -> None:
        with receiving.session("hospital") as session:
            consent = receiving.consent(session, "h1", receiving.keys["hospital"])
            try:
                session.upload_asset(agent_pb2.UploadStart(asset="h1", consent=consent), data, len(DATA))
            except CloisterError as error:
                failures.append(error)

    thread = threading.Thread(target=older)
    thread.start()
    parts.put(DATA[:500])
    sent.wait()
    while offset(receiving)[0] != 500:
        pass
    assert receiving.upload("hospital", "h1", offset=500).complete
    parts.put(None)
    thread.join()
    (failure,) = failures
    assert isinstance(failure, RefusedError)


def test_complete_asset_is_not_uploaded_again(receiving: World) -> None:
    receiving.upload("hospital", "h1")
    assert receiving.upload("hospital", "h1", b"other").complete
    assert offset(receiving) == (len(DATA), True)


def test_upload_of_complete_asset_succeeds_after_the_run(receiving: World) -> None:
    receiving.upload_all()
    receiving.wait_for("results-ready")
    assert offset(receiving) == (len(DATA), True)


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "algorithm"},
        {"asset_digest": bytes(32)},
        {"manifest_digest": bytes(32)},
        {"transcript": bytes(64)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_consent_to_other_values_is_refused(receiving: World, change: dict[str, bytes]) -> None:
    with receiving.session("hospital") as session, refused("WRONG_CONSENT", asset="h1"):
        send(receiving, session, "h1", DATA, **change)
    assert offset(receiving) == (0, False)


def test_a_consent_of_another_key_is_refused(receiving: World) -> None:
    with receiving.session("hospital") as session:
        consent = receiving.consent(session, "h1", receiving.keys["lab"])
        with refused("WRONG_CONSENT"):
            session.upload_asset(agent_pb2.UploadStart(asset="h1", consent=consent), lambda: iter(()), 0)


def test_consent_is_valid_in_its_session_only(receiving: World) -> None:
    with receiving.session("hospital") as session:
        consent = receiving.consent(session, "h1", receiving.keys["hospital"])
    with receiving.session("hospital") as session, refused("WRONG_CONSENT"):
        session.upload_asset(agent_pb2.UploadStart(asset="h1", consent=consent), lambda: iter(()), 0)


@pytest.mark.parametrize("name", ["lab", "reader", "owner"])
def test_only_its_provider_uploads_an_asset(receiving: World, name: str) -> None:
    with refused("NOT_AUTHORIZED"):
        receiving.upload(name, "h1")
    with receiving.session(name) as session, refused("NOT_AUTHORIZED"):
        session.upload_offset("h1")


@pytest.mark.parametrize("asset", ["h2", "", "../h1", "bundle"])
def test_an_asset_that_the_manifest_does_not_name_is_refused(receiving: World, asset: str) -> None:
    with receiving.session("hospital") as session, refused("UNKNOWN_ASSET"):
        session.upload_asset(agent_pb2.UploadStart(asset=asset), lambda: iter(()), 0)


def test_nothing_is_uploaded_before_a_manifest(world: World) -> None:
    with world.session("owner") as session, refused("NOT_READY"):
        session.upload_offset("h1")


def test_empty_asset_is_complete_immediately(world: World) -> None:
    value = world.value()
    value["datasets"][0] |= describe(b"")
    world.files["h1"] = b""
    world.submit(datasets=value["datasets"])
    assert world.upload("hospital", "h1").complete
    assert offset(world) == (0, True)


def test_an_asset_is_received_once_when_two_uploads_find_it_complete(receiving: World) -> None:
    receiving.upload("hospital", "h1")
    # What a second upload does that began before the first one ended: an empty asset is complete when it begins.
    receiving.running.agent.computation.received("h1", SimpleNamespace(key_id=receiving.keys["hospital"].id))

    kinds = [canonical.parse(line, what="a line", limit=1 << 20)["event"]["kind"] for line in receiving.events()]
    assert kinds.count("asset-received") == 1


def test_too_many_uploads_of_an_asset_are_refused(tmp_path: Path) -> None:
    keys = {name: new_key() for name in ("owner", "lab", "hospital", "reader")}
    with running_agent(tmp_path, (keys["owner"].id,), limits=Limits(consents_per_asset=2)) as running:
        world = World(running, keys, {"algorithm": TRAIN, "h1": DATA})
        world.submit()
        for at in (0, 10):
            with world.session("hospital") as session:
                send(world, session, "h1", DATA[at : at + 10], offset=at)
        with refused("LOG_FULL"):
            world.upload("hospital", "h1", offset=20)


def test_uploads_of_one_asset_do_not_use_up_others_share(tmp_path: Path) -> None:
    keys = {name: new_key() for name in ("owner", "lab", "hospital", "reader")}
    with running_agent(tmp_path, (keys["owner"].id,), limits=Limits(consents=2)) as running:
        world = World(running, keys, {"algorithm": TRAIN, "h1": DATA})
        world.submit()
        with world.session("hospital") as session:
            send(world, session, "h1", DATA[:10])
        with refused("LOG_FULL"):
            world.upload("hospital", "h1", offset=10)
        assert world.upload("lab", "algorithm").complete


def test_a_large_asset_arrives_in_frames(world: World) -> None:
    world.files["h1"] = bytes(range(256)) * (12 * 1024 + 1)
    value = world.value()
    world.submit(datasets=value["datasets"])
    assert world.upload("hospital", "h1").complete
    stored = world.running.config.store / "datasets" / "h1.csv"
    assert stored.read_bytes() == world.files["h1"]


def test_status_shows_missing_assets(receiving: World) -> None:
    receiving.upload("hospital", "h1")
    with receiving.session("lab") as session:
        status = session.status()
    assert status.state == "ReceivingAssets"
    assert [(one.name, one.kind, one.received, one.complete) for one in status.assets] == [
        ("algorithm", "algorithm", 0, False),
        ("h1", "dataset", len(DATA), True),
    ]


def test_concurrent_assets_are_logged_before_the_run(receiving: World) -> None:
    threads = [
        threading.Thread(target=receiving.upload, args=(name, asset))
        for name, asset in (("lab", "algorithm"), ("hospital", "h1"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    receiving.wait_for("results-ready")
    kinds = [canonical.parse(line, what="a line", limit=1 << 20)["event"]["kind"] for line in receiving.events()]
    assert kinds.count("asset-received") == 2
    assert kinds.index("run-started") > max(at for at, kind in enumerate(kinds) if kind == "asset-received")


def test_an_upload_ends_when_the_owner_stops_the_computation(receiving: World) -> None:
    def data() -> Iterator[bytes]:
        yield DATA[:100]
        with receiving.session("owner") as owner:
            owner.stop()
        yield DATA[100:]

    with receiving.session("hospital") as session:
        consent = receiving.consent(session, "h1", receiving.keys["hospital"])
        with refused("NOT_READY", state="Stopped"):
            session.upload_asset(agent_pb2.UploadStart(asset="h1", consent=consent), data, len(DATA))
