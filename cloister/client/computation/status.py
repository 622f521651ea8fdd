"""Where a computation stands, as people and programs read it."""

from collections.abc import Iterator
from typing import Any

from cloister.client.computation.timeline import local_time
from cloister.client.files import units
from cloister.errors import ProofError
from cloister.protocol import canonical
from cloister.protocol.events import State
from cloister.v1 import agent_pb2

_KINDS = {"algorithm": "Algorithm", "bundle": "Algorithm", "dataset": "Data"}


def value(status: agent_pb2.StatusResponse) -> dict[str, Any]:
    """The JSON value."""
    return {
        "version": 1,
        "state": status.state,
        "detail": status.detail,
        "manifest": status.manifest_digest.hex() or None,
        "assets": [
            {
                "name": one.name,
                "kind": one.kind,
                "provider": one.provider,
                "size": one.size,
                "received": one.received,
                "complete": one.complete,
            }
            for one in status.assets
        ],
        "results": [
            {
                "consumer": one.consumer,
                "ready": one.ready,
                "consumed": one.consumed,
                "consumed_at": one.consumed_at or None,
            }
            for one in status.results
        ],
        "events": status.events,
    }


def state(status: agent_pb2.StatusResponse) -> State:
    """The state. Raises ProofError for one that does not exist."""
    try:
        return State(status.state)
    except ValueError as error:
        raise ProofError(f"The agent is in a state that does not exist: {status.state[:40]!r}.") from error


def lines(status: agent_pb2.StatusResponse) -> Iterator[str]:
    """The status for reading: the state, what is missing, who may fetch what."""
    now = state(status)
    yield f"State     {_state(now, status)}"
    yield f"Manifest  {status.manifest_digest.hex() or 'none submitted yet'}"
    for asset in status.assets:
        share = "complete" if asset.complete else f"{units.size(asset.received)} of {units.size(asset.size)}"
        yield f"Asset     {asset.name} ({asset.kind}, from {asset.provider}): {share}"
    for slot in status.results:
        yield f"Result    {slot.consumer}: {_slot(slot)}"
    yield f"Events    {status.events}"


def _state(now: State, status: agent_pb2.StatusResponse) -> str:
    if now is State.RECEIVING:
        missing = list(dict.fromkeys(_KINDS.get(one.kind, one.kind) for one in status.assets if not one.complete))
        return " and ".join(f"Receiving {kind}" for kind in missing) or now.value
    return f"{now.value}: {status.detail}" if status.detail else now.value


def _slot(slot: agent_pb2.SlotStatus) -> str:
    if slot.consumed:
        when = (
            local_time(canonical.from_time(slot.consumed_at, what="The time of consumption"))
            if slot.consumed_at
            else "?"
        )
        return f"consumed at {when}"
    return "ready, not fetched yet" if slot.ready else "not ready"
