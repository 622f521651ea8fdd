"""Results that must be approved: who sees what before, who decides, and what the others get when."""

import io
import threading
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from cloister.client.connection.session import Session
from cloister.protocol import canonical, receipt, signingkey, slot, transcript
from cloister.v1 import agent_pb2
from tests.agent_runtime.decisions import (
    approve,
    decision,
    digest,
    events,
    fetch,
    files,
    kinds,
    reject,
    release,
    state,
    withdraw,
)
from tests.agent_runtime.world import World, refused

HOSPITAL = {"by": ["hospital"], "sees": "names"}
BOTH = {"by": ["hospital", "reader"], "sees": "names"}
FILES = {"by": ["reader"], "sees": "files"}


def wait(world: World, approval: dict[str, Any], **changes: Any) -> World:
    """Everything up to a result that waits for approval."""
    value = {"consumers": ["lab", "hospital"], "expires": 3600, "max": 1 << 20, "approval": approval}
    world.submit(results=value, **changes)
    world.upload_all()
    world.wait_for("results-ready")
    return world


@pytest.fixture
def waiting(world: World) -> World:
    return wait(world, HOSPITAL)


def nothing_is_released(world: World) -> None:
    """No consumer, log reader, member or owner gets anything of the result."""
    for name in ("lab", "hospital"):
        with world.session(name) as session:
            with refused("NOT_READY"):
                fetch(session, name)
            with refused("NOT_READY"):
                session.release_result(name, bytes(32))
            with refused("NOT_READY"):
                session.proof()
            assert not [one for one in session.status().results if one.ready and one.consumer == name]
    with world.session("reader") as session, refused("NOT_READY"):
        list(session.logs())


def test_nothing_is_released_before_the_approval(waiting: World) -> None:
    assert state(waiting) == "AwaitingApproval"
    nothing_is_released(waiting)
    with waiting.session("lab") as session:
        assert [(one.party, one.approved) for one in session.status().approvals] == [("hospital", False)]


def test_approval_releases_results_and_logs(waiting: World) -> None:
    approve(waiting)

    assert state(waiting) == "ConsumingResults"
    (event,) = [event for event in events(waiting) if event["kind"] == "result-approved"]
    assert (event["state"], event["actor"]) == ("ConsumingResults", waiting.keys["hospital"].id)
    assert event["detail"].keys() == {"party", "transcript", "approval"}
    with waiting.session("reader") as session:
        assert b"".join(chunk.data for chunk in session.logs()) == b"trained\n"
        assert [one.approved_at for one in session.status().approvals] == [event["time"]]
    for name in ("lab", "hospital"):
        key, ciphertext, approvals = release(waiting, name)
        assert slot.decrypt(key, io.BytesIO(ciphertext), len(ciphertext))
        (one,) = approvals
        given = {"manifest_digest": waiting.known().digest(), "payload_digest": digest(waiting)}
        assert (one.party, one.is_signed(waiting.keys["hospital"].public, **given)) == ("hospital", True)
    assert (state(waiting), files(waiting)) == ("Complete", [])


def test_every_party_named_must_approve(world: World) -> None:
    wait(world, BOTH)
    approve(world)
    assert state(world) == "AwaitingApproval"
    nothing_is_released(world)
    approve(world, "reader")
    *_, approvals = release(world, "lab")
    assert [one.party for one in approvals] == ["hospital", "reader"]


def test_approver_sees_names_and_sizes_and_no_one_else_does(waiting: World) -> None:
    with waiting.session("hospital") as session:
        found = session.preview()
    assert {one.name: one.size for one in found.files} == {"deep/metrics.txt": 4, "model.json": 15}
    assert (found.receipt_digest, found.log_size) == (digest(waiting), 8)
    for name in ("lab", "reader", "owner"):
        with waiting.session(name) as session, refused("NOT_AUTHORIZED"):
            session.preview()
    said = b"".join(waiting.events("owner"))
    assert b"metrics" not in said
    assert b"model.json" not in said


def test_digest_of_the_receipt_tells_nothing_of_the_files(waiting: World) -> None:
    """All of the receipt but the files is known to everyone: without a salt, a short result could be guessed."""
    approve(waiting)
    key, ciphertext, _ = release(waiting, "lab")
    plain = io.BytesIO(b"".join(slot.decrypt(key, io.BytesIO(ciphertext), len(ciphertext))))
    with zipfile.ZipFile(plain) as archive:
        envelope = archive.read("cloister/receipt.dsse.json")
    event_log_key = waiting.running.agent.computation._context.attester.event_log_key
    found = receipt.Receipt.parse(receipt.open_envelope(envelope, event_log_key))
    assert len(bytes.fromhex(found.salt)) == 32
    with waiting.session("lab") as session:
        assert found.salt.encode() not in b"".join(session.events(0, follow=False))


def test_rejection_wipes_everything_and_names_the_party(waiting: World) -> None:
    reject(waiting)

    last = events(waiting)[-1]
    assert (last["kind"], last["state"], last["actor"]) == (
        "result-rejected",
        "Stopped",
        waiting.keys["hospital"].id,
    )
    message = transcript.rejection_message(
        manifest_digest=waiting.known().digest(),
        payload_digest=digest(waiting),
        transcript=canonical.from_base64(last["detail"]["transcript"], what="a transcript"),
    )
    signature = canonical.from_base64(last["detail"]["rejection"], what="a rejection")
    assert signingkey.verify(waiting.keys["hospital"].public, signature, message)
    assert files(waiting) == []
    nothing_is_released(waiting)
    with waiting.session("hospital") as session, refused("NOT_READY", event="result-rejected"):
        session.preview()


def test_no_decision_in_time_is_a_rejection(world: World) -> None:
    wait(world, BOTH)
    approve(world)
    world.running.clock.pass_time(3600)
    with world.session("reader") as session, refused("TOO_LATE", event="result-rejected"):
        session.approve(decision(world, session, "reader", transcript.approval_message))
    last = events(world)[-1]
    assert (last["kind"], last.get("actor"), last["detail"]) == ("result-rejected", None, {"reason": "NOT_DECIDED"})
    with world.session("lab") as session:
        assert (session.status().state, session.status().detail) == ("Stopped", "NOT_DECIDED")
    assert files(world) == []
    nothing_is_released(world)


def test_result_that_no_one_decides_on_is_wiped_without_a_call(waiting: World) -> None:
    waiting.running.clock.pass_time(3601)
    waiting.running.agent.sweep()
    assert kinds(waiting)[-1] == "result-rejected"


def test_time_left_after_the_approval_is_that_of_the_manifest(waiting: World) -> None:
    waiting.running.clock.pass_time(3000)
    approve(waiting)
    waiting.running.clock.pass_time(500)
    release(waiting, "lab")
    waiting.running.clock.pass_time(101)
    with waiting.session("hospital") as session, refused("EXPIRED"):
        fetch(session, "hospital")


DECISIONS = {"approve": approve, "reject": reject}


@pytest.mark.parametrize("first", DECISIONS)
@pytest.mark.parametrize("then", DECISIONS)
def test_first_decision_of_a_party_counts(world: World, first: str, then: str) -> None:
    wait(world, BOTH)
    DECISIONS[first](world)
    before = kinds(world)
    if first == then:
        DECISIONS[then](world)  # its answer may have been lost
    else:
        event = {"approve": "result-approved", "reject": "result-rejected"}[first]
        with refused("TOO_LATE", event=event, sequence=str(len(before) - 1)):
            DECISIONS[then](world)
    assert kinds(world) == before


@pytest.mark.parametrize("then", DECISIONS)
def test_decision_after_the_end_is_refused_with_the_event_that_came_first(world: World, then: str) -> None:
    wait(world, BOTH)
    approve(world, "reader")
    withdraw(world, "lab")
    for name in ("hospital", "reader"):
        event = "result-approved" if (name, then) == ("reader", "reject") else "withdrawn"
        with refused("TOO_LATE", event=event):
            DECISIONS[then](world, name)
    assert kinds(world)[-1] == "withdrawn"


@pytest.mark.parametrize("name", ["lab", "reader", "owner"])
@pytest.mark.parametrize("what", DECISIONS)
def test_only_the_parties_named_decide(waiting: World, name: str, what: str) -> None:
    with refused("NOT_AUTHORIZED"):
        DECISIONS[what](waiting, name)
    assert state(waiting) == "AwaitingApproval"


FORGED: dict[str, Callable[[World, Session], bytes]] = {
    "nothing": lambda world, session: b"",
    "too long": lambda world, session: bytes(100_000),
    "another manifest": lambda world, session: decision(
        world, session, "hospital", transcript.approval_message, manifest_digest=bytes(32)
    ),
    "another receipt": lambda world, session: decision(
        world, session, "hospital", transcript.approval_message, payload_digest=bytes(32)
    ),
    "another session": lambda world, session: decision(
        world, session, "hospital", transcript.approval_message, transcript=bytes(64)
    ),
    "another party": lambda world, session: decision(world, session, "lab", transcript.approval_message),
    "a rejection": lambda world, session: decision(world, session, "hospital", transcript.rejection_message),
    "a consent": lambda world, session: world.consent(session, "h1", world.keys["hospital"]),
}


@pytest.mark.parametrize("what", FORGED)
def test_approval_that_is_not_signed_for_this_result_and_session_releases_nothing(waiting: World, what: str) -> None:
    with waiting.session("hospital") as session, refused("WRONG_SIGNATURE"):
        session.approve(FORGED[what](waiting, session))
    nothing_is_released(waiting)
    assert state(waiting) == "AwaitingApproval"


def test_approval_rejects_nothing_and_an_empty_decision_neither(waiting: World) -> None:
    with waiting.session("hospital") as session:
        given = decision(waiting, session, "hospital", transcript.approval_message)
        with refused("WRONG_SIGNATURE"):
            session.reject(given)
        with refused("WRONG_SIGNATURE"):
            session.calls.unary("Decide", agent_pb2.DecideRequest(), agent_pb2.DecideResponse, "deciding")
    assert state(waiting) == "AwaitingApproval"


def test_there_is_nothing_to_decide_before_the_result(world: World) -> None:
    world.submit(results={"consumers": ["lab"], "expires": 3600, "max": 1 << 20, "approval": HOSPITAL})
    with world.session("hospital") as session:
        for call in (session.approve, session.reject):
            with refused("NOT_READY", state="ReceivingAssets"):
                call(b"x" * 64)
        with refused("NOT_READY"):
            session.preview()


def test_manifest_without_approval_lets_no_one_decide(world: World) -> None:
    world.submit()
    world.upload_all()
    for name in ("hospital", "reader"):
        with refused("NOT_AUTHORIZED"):
            approve(world, name)


def test_approver_of_files_has_a_slot_of_its_own(world: World) -> None:
    wait(world, FILES)
    nothing_is_released(world)
    with world.session("reader") as session:
        assert [one.consumer for one in session.status().results if one.ready] == ["reader"]
    key, ciphertext, approvals = release(world, "reader")
    assert slot.decrypt(key, io.BytesIO(ciphertext), len(ciphertext))
    assert approvals == ()
    assert events(world)[-1]["kind"] == "result-previewed"
    assert events(world)[-1]["detail"] == {"consumer": "reader"}
    assert state(world) == "AwaitingApproval"
    with refused("CONSUMED"):
        release(world, "reader")
    approve(world, "reader")
    for name in ("lab", "hospital"):
        release(world, name)
    assert state(world) == "Complete"


def test_approver_of_files_may_also_read_them_afterwards(world: World) -> None:
    wait(world, FILES)
    approve(world, "reader")
    *_, approvals = release(world, "reader")
    assert [one.party for one in approvals] == ["reader"]
    assert kinds(world)[-1] == "result-consumed"


def test_approver_that_is_the_only_consumer_completes_with_its_approval(world: World) -> None:
    value = {"consumers": ["lab"], "expires": 3600, "max": 1 << 20, "approval": {"by": ["lab"], "sees": "files"}}
    world.submit(results=value)
    world.upload_all()
    world.wait_for("results-ready")
    release(world, "lab")
    approve(world, "lab")
    assert (state(world), kinds(world)[-1]) == ("Complete", "completed")


def test_consumer_that_approves_by_names_reads_nothing_before(waiting: World) -> None:
    with waiting.session("hospital") as session, refused("NOT_READY", state="AwaitingApproval"):
        fetch(session, "hospital")


def test_provider_can_withdraw_while_the_result_waits(waiting: World) -> None:
    withdraw(waiting, "lab")
    assert (state(waiting), files(waiting)) == ("Stopped", [])
    nothing_is_released(waiting)


def test_provider_cannot_withdraw_after_a_preview(world: World) -> None:
    wait(world, FILES)
    release(world, "reader")
    with refused("TOO_LATE", event="result-previewed"):
        withdraw(world, "lab")


def test_logs_of_a_failed_run_are_not_shown_if_they_needed_approval(world: World) -> None:
    """Else an algorithm could print what it may not put into its result, and fail."""
    world.files["algorithm"] = b"raise SystemExit('secret')"
    world.submit(results={"consumers": ["lab"], "expires": 3600, "max": 1 << 20, "approval": HOSPITAL})
    world.upload_all()
    world.wait_for("failed")
    with world.session("reader") as session:
        for follow in (False, True):
            with refused("NOT_READY", state="Failed"):
                list(session.logs(follow=follow))
    assert world.running.agent.computation._run.logs.wiped  # not only held back


def test_logs_of_a_stopped_run_are_not_shown_before_the_approval(waiting: World) -> None:
    with waiting.session("owner") as session:
        session.stop()
    nothing_is_released(waiting)
    run = waiting.running.agent.computation._run
    assert (run.logs.wiped, run.receipt) == (True, None)


def test_reader_that_follows_the_logs_gets_them_with_the_approval(waiting: World) -> None:
    said: list[bytes] = []
    with waiting.session("reader") as session:
        chunks = session.logs(follow=True)
        reading = threading.Thread(target=lambda: said.extend(chunk.data for chunk in chunks))
        reading.start()
        approve(waiting)
        reading.join()
    assert b"".join(said) == b"trained\n"
