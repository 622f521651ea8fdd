"""A TPM that fails: parties are told so, and no evidence is made that could not match the runtime log."""

from collections.abc import Callable

import pytest

from agent_runtime.errors import AgentError
from agent_runtime.platform.machine import PlatformMachine
from cloister.attestation.errors import MalformedEvidence, TpmError
from cloister.client.connection.opening import Target, attest
from tests.agent_runtime.world import World, refused

FAULTS = [
    OSError(5, "Input/output error"),
    TimeoutError(110, "Connection timed out"),
    TpmError("TPM2_Quote", 0x921),
    MalformedEvidence("a response", 0, "is empty"),
    AgentError("The metadata service does not answer."),
]


@pytest.fixture
def machine(world: World) -> PlatformMachine:
    return world.running.agent.sessions._attester._machine


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_party_is_told_that_there_is_no_evidence(
    world: World, machine: PlatformMachine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(machine, "attest", failing(error))
    with refused("NO_EVIDENCE"):
        attest(Target(world.running.address, world.running.policy()))
    monkeypatch.undo()
    with world.session("owner") as session:
        assert session.status().state == "Idle"


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_manifest_whose_measurement_fails_is_not_accepted(
    world: World, machine: PlatformMachine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Only after an answer of the TPM is it known that nothing was measured."""
    with world.session("owner") as session:
        monkeypatch.setattr(machine, "measure", failing(error))
        with refused("NO_EVIDENCE"):
            session.submit_manifest(world.compose().encode())
        monkeypatch.undo()
        assert session.status().state == "Idle"
        if isinstance(error, TpmError):
            session.submit_manifest(world.known().encode())
        else:
            with refused("NO_EVIDENCE"):
                session.submit_manifest(world.known().encode())
    if not isinstance(error, TpmError):
        with refused("NO_EVIDENCE"):
            world.session("owner")


@pytest.mark.parametrize("step", ["attest", "pcrs"])
@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_run_without_evidence_for_its_receipt_says_so(
    world: World, machine: PlatformMachine, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    """The result is not blamed for it."""
    world.submit()
    world.upload("lab", "algorithm")
    with world.session("hospital") as session, world.session("owner") as owner:
        monkeypatch.setattr(machine, step, failing(error))
        world.send(session, "hospital", "h1")
        assert "failed" in [event["kind"] for event in world.follow(owner)]
        assert owner.status().detail == "NO_EVIDENCE"
