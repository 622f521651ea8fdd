"""While the next event is awaited, a terminal shows the state, and how long the algorithm runs."""

import contextlib

import pytest

from cloister.cli.shell import event_printer
from cloister.errors import CloisterError
from cloister.protocol.events import Event, EventKind, Record, State
from cloister.protocol.progress import ComputationProgress


def record(kind, state, uptime=1000, **detail):
    return Record(Event(0, "00" * 32, "2026-03-01T12:00:00.000Z", uptime, kind, state, detail=detail), bytes(64))


@pytest.fixture
def said(monkeypatch):
    """What the terminal shows, by the second of a clock that the test moves."""
    clock, shown = [100.0], []

    @contextlib.contextmanager
    def waiting(state):
        shown.append(state)
        yield

    monkeypatch.setattr(event_printer.show, "waiting", waiting)
    monkeypatch.setattr(event_printer.time, "monotonic", lambda: clock[0])

    def at(seconds):
        clock[0] = 100.0 + seconds
        return shown[0]()

    return at


def test_run_that_began_earlier_is_shown_with_its_time(said):
    now = ComputationProgress(State.RUNNING, seconds=70)
    with event_printer.event_printer({}, now) as printed:
        assert said(0) == "Waiting for a Manifest"
        printed(record(EventKind.MANIFEST, State.RECEIVING, algorithm="1", datasets="1", consumers="1"))
        assert said(0) == "Receiving Algorithm"
        printed(record(EventKind.RUN_STARTED, State.RUNNING))
        assert [said(0), said(2.5), said(62)] == ["Running 1:10", "Running 1:12", "Running 2:12"]


def test_run_that_begins_later_is_counted_from_its_begin(said):
    with event_printer.event_printer({}, ComputationProgress(State.RECEIVING)) as printed:
        said(30)
        printed(record(EventKind.RUN_STARTED, State.RUNNING))
        assert [said(30), said(42)] == ["Running 0:00", "Running 0:12"]


def test_failed_computation_is_an_error_when_followed(said, capsys):
    with pytest.raises(CloisterError, match="failed"), event_printer.event_printer({}) as printed:
        printed(record(EventKind.FAILED, State.FAILED, reason="NOT_STARTED"))
    assert "failed: no owner started the run in time" in capsys.readouterr().out
    with event_printer.event_printer({}, follow=False) as printed:
        printed(record(EventKind.FAILED, State.FAILED, reason="EXIT_STATUS"))
