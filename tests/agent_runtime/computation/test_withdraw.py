"""A provider takes its consent back: who can, until when, and what is left afterwards."""

from collections.abc import Callable

import pytest

from agent_runtime.computation.assets import AssetStore
from agent_runtime.errors import CallRefusal
from cloister.client.connection.refusal import Refusal
from cloister.client.connection.session import Session
from cloister.protocol import canonical, signingkey, transcript
from tests.agent_runtime.decisions import events, files, release, withdraw, withdrawal
from tests.agent_runtime.world import World, refused

ENDLESS = b"print('secret', flush=True)\nwhile True: pass"


def submitted(world: World) -> None:
    world.submit()


def receiving(world: World) -> None:
    world.submit()
    world.upload("hospital", "h1")


def held(world: World) -> None:
    with world.session("owner") as session:
        session.submit_manifest(world.compose().encode(), hold=True)
    world.upload_all()


def running(world: World) -> None:
    world.files["algorithm"] = ENDLESS
    world.submit()
    world.upload_all()
    world.wait_for("run-started")


def ready(world: World) -> None:
    world.submit()
    world.upload_all()
    world.wait_for("results-ready")


IN_TIME = [submitted, receiving, held, running, ready]


@pytest.mark.parametrize("until", IN_TIME)
@pytest.mark.parametrize("name", ["lab", "hospital"])
def test_every_provider_can_withdraw_until_the_first_release(
    world: World, until: Callable[[World], None], name: str
) -> None:
    until(world)
    withdraw(world, name)

    last = events(world)[-1]
    assert (last["kind"], last["state"], last["actor"]) == ("withdrawn", "Stopped", world.keys[name].id)
    assert last["detail"].keys() == {"party", "transcript", "withdrawal"}
    message = transcript.withdrawal_message(
        manifest_digest=world.known().digest(),
        party=last["detail"]["party"],
        transcript=canonical.from_base64(last["detail"]["transcript"], what="a transcript"),
    )
    signature = canonical.from_base64(last["detail"]["withdrawal"], what="a withdrawal")
    assert signingkey.verify(world.keys[name].public, signature, message)


@pytest.mark.parametrize("until", IN_TIME)
def test_withdrawal_wipes_everything_of_all_parties(world: World, until: Callable[[World], None]) -> None:
    until(world)
    withdraw(world)

    since = {"state": "Stopped", "event": "withdrawn", "sequence": str(len(events(world)) - 1)}
    assert files(world) == []
    assert all(slot.key is None for slot in world.running.agent.computation.slots.all())
    with world.session("lab") as lab:
        status = lab.status()
        assert (status.state, status.detail) == ("Stopped", "WITHDRAWN")
        with refused("NOT_READY", **since), lab.fetch_result("lab", 0, 1 << 22):
            pass
        with refused("NOT_READY", **since):
            lab.release_result("lab", bytes(32))
        with refused("NOT_READY", **since):
            lab.proof()
    with world.session("reader") as reader:
        for follow in (False, True):
            with refused("NOT_READY", **since):
                list(reader.logs(follow=follow))
    if until is running:
        assert world.running.executor.cleaned.wait(30)


def completed(world: World) -> str:
    ready(world)
    release(world, "lab")
    release(world, "hospital")
    return "result-consumed"


def released(world: World) -> str:
    ready(world)
    release(world, "lab")
    return "result-consumed"


def expired(world: World) -> str:
    ready(world)
    world.running.clock.pass_time(3600)
    return "results-expired"


def failed(world: World) -> str:
    world.files["algorithm"] = b"raise SystemExit(1)"
    world.submit()
    world.upload_all()
    world.wait_for("failed")
    return "failed"


def stopped(world: World) -> str:
    receiving(world)
    with world.session("owner") as session:
        session.stop()
    return "stopped"


def withdrawn_by_another(world: World) -> str:
    receiving(world)
    withdraw(world, "lab")
    return "withdrawn"


@pytest.mark.parametrize("until", [completed, released, expired, failed, stopped, withdrawn_by_another])
def test_late_withdrawal_is_refused_with_the_event_that_came_first(world: World, until: Callable[[World], str]) -> None:
    kind = until(world)
    with world.session("hospital") as session:
        try:
            session.withdraw(withdrawal(world, session, "hospital"))
            raise AssertionError("the withdrawal was accepted")
        except Refusal as error:
            found = error
    first = next(event for event in events(world) if event["kind"] == kind)
    assert found.reason == "TOO_LATE"
    assert found.metadata["event"] == kind
    assert (found.metadata["sequence"], found.metadata["time"]) == (str(first["sequence"]), first["time"])
    assert f"event {first['sequence']} ({kind}) came first" in found.message


def test_stop_after_a_withdrawal_is_refused_with_the_withdrawal(world: World) -> None:
    receiving(world)
    withdraw(world)
    with world.session("owner") as session, refused("ALREADY_ENDED", event="withdrawn"):
        session.stop()


def test_withdrawing_twice_is_as_good_as_once(world: World) -> None:
    receiving(world)
    withdraw(world)
    withdraw(world)
    assert [event["kind"] for event in events(world)].count("withdrawn") == 1


@pytest.mark.parametrize("name", ["owner", "reader"])
def test_who_provides_nothing_cannot_withdraw(world: World, name: str) -> None:
    receiving(world)
    with world.session(name) as session, refused("NOT_AUTHORIZED"):
        session.withdraw(world.keys[name].sign(b"anything"))
    assert events(world)[-1]["kind"] == "asset-received"


def test_there_is_nothing_to_withdraw_from_without_a_manifest(world: World) -> None:
    with world.session("owner") as session, refused("NOT_READY", state="Idle"):
        session.withdraw(b"")


FORGED = {
    "nothing": lambda world, session: b"",
    "too long": lambda world, session: bytes(100_000),
    "another manifest": lambda world, session: withdrawal(world, session, "hospital", manifest_digest=bytes(32)),
    "another session": lambda world, session: withdrawal(world, session, "hospital", transcript=bytes(64)),
    "another party": lambda world, session: withdrawal(world, session, "hospital", party="lab"),
    "another party's key": lambda world, session: world.keys["lab"].sign(
        transcript.withdrawal_message(
            manifest_digest=world.known().digest(), party="hospital", transcript=session.transcript
        )
    ),
    "a consent": lambda world, session: world.consent(session, "h1", world.keys["hospital"]),
}


@pytest.mark.parametrize("what", FORGED)
def test_withdrawal_that_is_not_signed_for_this_session_changes_nothing(world: World, what: str) -> None:
    receiving(world)
    with world.session("hospital") as session, refused("WRONG_SIGNATURE"):
        session.withdraw(FORGED[what](world, session))
    assert events(world)[-1]["kind"] == "asset-received"


def test_recorded_withdrawal_of_an_earlier_session_is_refused(world: World) -> None:
    receiving(world)
    with world.session("hospital") as earlier:
        recorded = withdrawal(world, earlier, "hospital")
    with world.session("hospital") as session, refused("WRONG_SIGNATURE"):
        session.withdraw(recorded)


def test_reader_of_the_logs_is_told_that_they_were_wiped_meanwhile(world: World) -> None:
    """It must not take what it has for the whole."""
    world.files["algorithm"] = b"print('x' * 300_000); open('results/a', 'w').write('x')"
    world.submit(logs__max=1 << 20)
    world.upload_all()
    world.wait_for("results-ready")
    computation = world.running.agent.computation
    with world.session("reader") as session:
        logs = computation.logs_for(session_of(world, session), follow=False)
        pieces = logs.read(0)
        assert next(pieces)
        withdraw(world)
        assert list(pieces) == []
        assert logs.wiped
        with pytest.raises(CallRefusal):
            computation.logs_for(session_of(world, session), follow=False)


@pytest.mark.parametrize("first", ["withdrawal", "writer"])
@pytest.mark.parametrize(("name", "asset"), [("lab", "algorithm"), ("hospital", "h1")])
def test_upload_that_begins_while_all_is_wiped_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, asset: str, first: str
) -> None:
    submitted(world)
    begin = AssetStore.begin

    def meanwhile(store: AssetStore, name: str) -> int:
        if first == "withdrawal":
            withdraw(world)
        writer = begin(store, name)
        if first == "writer":
            withdraw(world)
        return writer

    monkeypatch.setattr(AssetStore, "begin", meanwhile)
    with refused("NOT_READY", event="withdrawn"):
        world.upload(name, asset)
    assert files(world) == []


def test_ciphertext_that_is_on_the_way_ends_with_a_withdrawal(world: World) -> None:
    world.files["algorithm"] = b"import os; open('results/a', 'wb').write(os.urandom(3 << 20))"
    world.submit(results__max=1 << 22)
    world.upload_all()
    world.wait_for("results-ready")
    computation = world.running.agent.computation
    with world.session("lab") as session:
        _, pieces = computation.ciphertext("lab", 0, session_of(world, session))
        assert next(pieces)
        withdraw(world)
        with pytest.raises(CallRefusal) as caught:
            next(pieces)
    assert caught.value.metadata["event"] == "withdrawn"


def session_of(world: World, session: Session):
    """The agent's end of a session."""
    (found,) = [one for one in world.running.agent.sessions._bound.values() if one.transcript == session.transcript]
    return found
