"""One table names the states of a computation for people; events and status give the same names."""

import itertools

import pytest

from cloister.client.computation.status import ComputationStatus
from cloister.protocol.events import Event, EventKind, State
from cloister.protocol.progress import FINAL_STATES, ComputationProgress, Phase, Tally, format_elapsed
from cloister.v1 import agent_pb2

MANIFEST = (EventKind.MANIFEST, State.RECEIVING, 2000, {"algorithm": "2", "datasets": "3", "consumers": "2"})
PROGRAM = (EventKind.ASSET, State.RECEIVING, 3000, {"asset": "algorithm", "kind": "algorithm"})
BUNDLE = (EventKind.ASSET, State.RECEIVING, 3000, {"asset": "bundle", "kind": "bundle"})
DATA = (EventKind.ASSET, State.RECEIVING, 4000, {"asset": "h1", "kind": "dataset"})
READ = [MANIFEST, PROGRAM, BUNDLE, DATA, DATA, DATA]
BEGUN = (EventKind.RUN_STARTED, State.RUNNING, 10_000, {})
RUN = [*READ, BEGUN, (EventKind.RUN_FINISHED, State.RUNNING, 82_999, {"outcome": "OK"})]
READY = [*RUN, (EventKind.RESULTS_READY, State.CONSUMING, 90_000, {})]
WAITING = [
    (EventKind.MANIFEST, State.RECEIVING, 2000, {**MANIFEST[3], "approvals": "2"}),
    *RUN[1:],
    (EventKind.RESULTS_READY, State.APPROVAL, 90_000, {}),
]
APPROVED = (EventKind.APPROVED, State.APPROVAL, 90_500, {})
RELEASED = (EventKind.APPROVED, State.CONSUMING, 90_600, {})
FETCHED = (EventKind.RESULT_CONSUMED, State.CONSUMING, 91_000, {"consumer": "lab"})

HISTORIES = {
    "nothing": ([], "Waiting for a Manifest"),
    "a manifest": ([MANIFEST], "Receiving Algorithm"),
    "data first": ([MANIFEST, DATA, DATA, DATA], "Receiving Algorithm"),
    "a part of the algorithm": ([MANIFEST, PROGRAM], "Receiving Algorithm"),
    "the algorithm": ([MANIFEST, PROGRAM, BUNDLE], "Receiving Data (0 of 3)"),
    "some data": ([MANIFEST, DATA, PROGRAM, DATA, BUNDLE], "Receiving Data (2 of 3)"),
    "held": ([*READ, (EventKind.RUN_HELD, State.HELD, 5000, {})], "Ready (waiting for start)"),
    "begun": ([*READ, BEGUN], "Running 0:00"),
    "run": (RUN, "Running 1:12"),
    "ready": (READY, "Completed (0 of 2 fetched)"),
    "to be approved": (WAITING, "Awaiting Approval (0 of 2)"),
    "one has approved": ([*WAITING, APPROVED], "Awaiting Approval (1 of 2)"),
    "an approver has it": (
        [*WAITING, (EventKind.RESULT_PREVIEWED, State.APPROVAL, 90_400, {}), APPROVED],
        "Awaiting Approval (1 of 2)",
    ),
    "approved": ([*WAITING, APPROVED, RELEASED], "Completed (0 of 2 fetched)"),
    "rejected": ([*WAITING, (EventKind.REJECTED, State.STOPPED, 90_700, {})], "Stopped"),
    "withdrawn": ([*WAITING, (EventKind.WITHDRAWN, State.STOPPED, 90_700, {})], "Stopped"),
    "one has it": ([*READY, FETCHED], "Completed (1 of 2 fetched)"),
    "all have it": ([*READY, FETCHED, FETCHED], "Completed"),
    "complete": (
        [*READY, FETCHED, FETCHED, (EventKind.COMPLETED, State.COMPLETE, 92_000, {})],
        "Completed",
    ),
    "expired": (
        [*READY, FETCHED, (EventKind.COMPLETED, State.COMPLETE, 92_000, {"reason": "EXPIRED"})],
        "Completed (1 of 2 fetched)",
    ),
    "failed": ([*READ, BEGUN, (EventKind.FAILED, State.FAILED, 20_000, {"reason": "EXIT_STATUS"})], "Failed"),
    "stopped": ([MANIFEST, (EventKind.STOPPED, State.STOPPED, 20_000, {})], "Stopped"),
}


def progress(history) -> ComputationProgress:
    now = ComputationProgress()
    for number, (kind, state, uptime, detail) in enumerate(history):
        now = now.after(Event(number, "", "", uptime, kind, state, detail=detail))
    return now


@pytest.mark.parametrize("what", HISTORIES)
def test_events_give_the_state_its_name(what: str) -> None:
    history, shown = HISTORIES[what]

    assert str(progress(history)) == shown


@pytest.mark.parametrize("what", HISTORIES)
def test_status_gives_the_state_the_same_name_as_the_events(what: str) -> None:
    history, shown = HISTORIES[what]
    now = progress(history)
    done = [*[kind for kind, *_ in history]].count(EventKind.RESULT_CONSUMED)
    kinds = ["algorithm", "bundle", "dataset", "dataset", "dataset"] if history else []
    left = [detail["kind"] for kind, _, _, detail in history if kind is EventKind.ASSET]
    answer = agent_pb2.StatusResponse(state=now.state.value, run_seconds=now.seconds)
    for kind in kinds:
        answer.assets.add(kind=kind, complete=kind in left)
        if kind in left:
            left.remove(kind)
    if now.state is State.APPROVAL:
        for number in range(2):
            answer.approvals.add(party=str(number), approved=number < now.approved.done)
    if now.state in (State.CONSUMING, State.COMPLETE):
        for number in range(2):
            answer.results.add(consumer=str(number), consumed=number < done)

    status = ComputationStatus(answer)

    assert str(status.progress) == shown
    assert next(status.lines()) == f"State     {shown}"
    assert (status.value()["state"], status.value()["shown"]) == (now.phase, shown)


def test_computation_without_data_receives_its_algorithm_only() -> None:
    none = (EventKind.MANIFEST, State.RECEIVING, 0, {"algorithm": "1", "datasets": "0", "consumers": "1"})

    assert [str(progress(history)) for history in ([none], [none, PROGRAM])] == ["Receiving Algorithm"] * 2


def test_every_state_has_a_name_and_every_name_a_state() -> None:
    found = {
        ComputationProgress(state, algorithm, Tally(0, 1)).phase
        for state, algorithm in itertools.product(State, (Tally(0, 1), Tally(1, 1)))
    }

    assert found == set(Phase)
    assert {state for state in State if ComputationProgress(state).final} == set(FINAL_STATES)


@pytest.mark.parametrize("detail", [{}, {"datasets": "-1"}, {"datasets": "1" * 9}, {"datasets": "\u0663"}])
def test_strange_numbers_in_an_event_count_as_none(detail) -> None:
    assert str(progress([(EventKind.MANIFEST, State.RECEIVING, 0, detail)])) == "Receiving Algorithm"


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (72, "1:12"), (3599, "59:59"), (7384, "2:03:04")])
def test_time_of_a_run_is_written_as_on_a_clock(seconds: int, shown: str) -> None:
    assert format_elapsed(seconds) == shown
