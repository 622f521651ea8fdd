"""Only genuine events are shown, with names, local time and seconds."""

import time

import pytest

from cloister.client.computation.events import EventReader
from cloister.client.computation.logs import read_logs
from cloister.client.computation.status import ComputationStatus
from cloister.client.computation.timeline import Timeline
from cloister.client.connection.refusal import ConnectionLost
from cloister.client.connection.session import Session
from cloister.errors import ProofError
from cloister.protocol.events import Event, EventKind, State
from cloister.v1 import agent_pb2


def test_timeline_entry_has_time_actor_and_description(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        shown = Timeline({"ab" * 32: "hospital-1"})
        first, _, third = (
            shown.entry(
                Event(3, "00" * 32, "2026-03-01T12:00:00.000Z", uptime, kind, state, actor="ab" * 32, detail=detail)
            ).text()
            for uptime, kind, state, detail in [
                (1000, EventKind.STARTED, State.IDLE, {}),
                (2000, EventKind.MANIFEST, State.RECEIVING, {"algorithm": "1", "datasets": "2", "consumers": "1"}),
                (4500, EventKind.CONSENT, State.RECEIVING, {"asset": "h1\x1b[2J"}),
            ]
        )
    finally:
        monkeypatch.undo()
        time.tzset()

    assert first.startswith("2026-03-01 17:30:00+05:30      0.0 s  Waiting for a Manifest      hospital-1    ")
    assert third == (
        "2026-03-01 17:30:00+05:30      3.5 s  Receiving Algorithm         hospital-1    consents to the use of h1 [2J"
    )


def test_reboot_while_reading_events_is_an_error(machine):
    machine.submit()
    with machine.connection("lab") as connection:
        follower = EventReader(connection)
        assert [record.event.kind for record in follower.records(follow=False)] == [
            EventKind.STARTED,
            EventKind.MANIFEST,
        ]
        follower._key = b"of an earlier life"
        with pytest.raises(ProofError, match="was restarted"):
            list(follower.records(follow=False))


def test_event_with_an_invalid_signature_is_not_returned(machine):
    with machine.connection("lab") as connection:
        log = machine.running.agent.log
        line = log._lines[0]
        log._lines[0] = line.replace(b'"uptime":', b'"uptime":1', 1)
        with pytest.raises(ProofError, match="Event 0 is not signed"):
            list(EventReader(connection).records(follow=False))


def test_status_lists_missing_assets():
    status = agent_pb2.StatusResponse(
        state="ReceivingAssets",
        manifest_digest=b"\xab" * 32,
        assets=[
            agent_pb2.AssetStatus(
                name="algorithm", kind="algorithm", provider="lab", size=10, received=10, complete=True
            ),
            agent_pb2.AssetStatus(name="h1", kind="dataset", provider="hospital-1", size=2048, received=1024),
        ],
        results=[agent_pb2.SlotStatus(consumer="lab")],
        events=4,
    )

    assert list(ComputationStatus(status).lines()) == [
        "State     Receiving Data (0 of 1)",
        f"Manifest  {'ab' * 32}",
        "Asset     algorithm (algorithm, from lab): complete",
        "Asset     h1 (dataset, from hospital-1): 1 KiB of 2 KiB",
        "Result    lab: not ready",
        "Events    4",
    ]


def test_consent_of_a_resumed_upload_is_told_as_its_continuation():
    """Every session of an upload has its own consent, and each is an event."""
    shown = Timeline({"ab" * 32: "hospital-1", "cd" * 32: "hospital-2"})
    said = [
        shown.entry(
            Event(1, "00" * 32, "2026-03-01T12:00:00.000Z", 1, kind, State.RECEIVING, actor=actor * 32, detail=detail)
        ).what
        for kind, actor, detail in [
            (EventKind.CONSENT, "ab", {"asset": "h1"}),
            (EventKind.CONSENT, "ab", {"asset": "h3"}),
            (EventKind.CONSENT, "cd", {"asset": "h2"}),
            (EventKind.CONSENT, "ab", {"asset": "h1\x1b"}),
            (EventKind.CONSENT, "ab", {"asset": "h1"}),
            (EventKind.ASSET, "ab", {"asset": "h1"}),
            (EventKind.CONSENT, "ab", {"asset": "h1"}),
        ]
    ]
    assert said == [
        "consents to the use of h1",
        "consents to the use of h3",
        "consents to the use of h2",
        "consents to the use of h1 ",
        "goes on with the upload of h1",
        "h1 is complete",
        "goes on with the upload of h1",
    ]


def test_status_of_a_machine_cannot_write_to_the_terminal():
    odd = "\x1b]0;evil\x07\u202e\n"
    answer = agent_pb2.StatusResponse(state="Running", detail=odd, run_seconds=2**64 - 1)
    answer.assets.add(name=odd, kind=odd, provider=odd, size=2**64 - 1, received=2**64 - 1)
    answer.results.add(consumer=odd, ready=True)
    for line in ComputationStatus(answer).lines():
        assert line.isprintable(), line


@pytest.mark.parametrize(
    ("state", "hold", "said"),
    [
        (State.RECEIVING, True, True),
        (State.HELD, True, True),
        (State.RECEIVING, False, False),
        (State.RUNNING, True, False),
        (State.STOPPED, True, False),
    ],
)
def test_status_says_before_an_upload_that_the_run_is_held(state, hold, said):
    lines = list(ComputationStatus(agent_pb2.StatusResponse(state=state.value, hold=hold)).lines())
    assert ("Start     by an owner, within 24 hours after the last asset" in lines) is said


@pytest.mark.parametrize("call", ["events", "logs"])
def test_machine_that_is_late_at_once_is_not_asked_without_a_pause(machine, monkeypatch, call):
    class Ended(Exception):
        """Enough was seen."""

    asked, paused = [], []

    def late(self, *words, **options):
        asked.append(call)
        raise ConnectionLost("Late.", hint="", deadline=True)

    def pause(seconds):
        paused.append(seconds)
        if len(paused) == 20:
            raise Ended

    machine.submit()
    monkeypatch.setattr(Session, call, late)
    with machine.connection("lab") as connection:
        connection.session()
        monkeypatch.setattr("time.sleep", pause)
        with pytest.raises(Ended):
            if call == "events":
                list(EventReader(connection).records(follow=True))
            else:
                read_logs(connection, lambda printed: None, follow=True)
    assert len(asked) == len(paused)
    assert min(paused) > 0
