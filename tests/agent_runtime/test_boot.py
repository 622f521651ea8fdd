"""How an agent starts, and when it refuses to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime import boot
from agent_runtime.errors import AgentError
from agent_runtime.platform import boot_progress
from agent_runtime.platform.local import LocalMachine
from agent_runtime.platform.tpm import _whole_der, open_device
from cloister.attestation.errors import TpmError
from cloister.attestation.tpm import commands, runtimelog
from cloister.errors import CloisterError
from tests.agent_fixture import RunningAgent
from tests.agent_runtime.world import World
from tests.software_tpm import software_tpm


def test_configuration_and_key_are_measured_before_the_agent_listens(agent: RunningAgent) -> None:
    value = commands.pcr_read(agent.tpm, [runtimelog.PCR])[runtimelog.PCR]
    log = agent.agent.computation._context.attester._log
    assert value == runtimelog.replay(log)
    assert [entry.kind for entry in log] == [
        runtimelog.MeasurementKind.BOOT_CONFIGURATION,
        runtimelog.MeasurementKind.AGENT,
    ]
    assert log[0].digest == agent.boot_configuration.digest()


def test_the_manifest_is_measured_last(world: World) -> None:
    digest = world.submit()
    value = commands.pcr_read(world.running.tpm, [runtimelog.PCR])[runtimelog.PCR]
    log = world.running.agent.computation._context.attester._log
    assert value == runtimelog.replay(log)
    assert (log[2].kind, log[2].digest) == (runtimelog.MeasurementKind.MANIFEST, digest)


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[commands.Transport]:
    (tmp_path / "other-tpm").mkdir()
    with software_tpm(tmp_path / "other-tpm") as send:
        yield send


@pytest.mark.parametrize(
    "configuration",
    [
        b"",
        b"{}",
        b'{"cvm":"main","owners":[],"version":1,"workspace":"trial"}',
        b'{"cvm":"main","owners":["' + b"0" * 64 + b'"],"scratch":true,"version":1,"workspace":"trial"}',
        b"x" * 70_000,
    ],
    ids=["empty", "no members", "no owner", "scratch", "too large"],
)
def test_invalid_boot_configuration_stops_the_agent_before_it_measures(
    agent: RunningAgent, configuration: bytes
) -> None:
    agent.config.boot_configuration.write_bytes(configuration)
    before = commands.pcr_read(agent.tpm, [runtimelog.PCR])
    with pytest.raises(CloisterError, match="boot configuration"):
        boot.start(agent.config, _local(agent, agent.tpm))
    assert commands.pcr_read(agent.tpm, [runtimelog.PCR]) == before


def test_missing_boot_configuration_is_reported(agent: RunningAgent) -> None:
    """As on a VM without user data: the answer is empty."""
    agent.config.boot_configuration.write_bytes(b"")
    with pytest.raises(AgentError, match="provided no boot configuration"):
        boot.start(agent.config, _local(agent, agent.tpm))


def test_a_tpm_without_an_attestation_key_stops_the_agent(transport: commands.Transport, agent: RunningAgent) -> None:
    with pytest.raises(TpmError):
        _local(agent, transport)


def test_an_event_log_that_is_too_large_stops_the_agent(agent: RunningAgent) -> None:
    agent.config.boot_event_log.write_bytes(bytes(513 * 1024))
    with pytest.raises(AgentError, match="event log"):
        _local(agent, agent.tpm)


@pytest.mark.parametrize("padding", [b"", b"\xff" * 100])
@pytest.mark.parametrize("length", [b"\x05", b"\x81\x05", b"\x82\x00\x05"])
def test_certificate_ends_at_its_encoded_length(length: bytes, padding: bytes) -> None:
    whole = b"\x30" + length + b"abcde"
    assert _whole_der(whole + padding) == whole


def test_milestone_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "port"
    path.touch()
    boot_progress.report_progress(path, "ready", "12.34")
    assert path.read_text() == "ready 12.34\n"


def test_boot_progress_without_a_port_does_nothing(tmp_path: Path) -> None:
    boot_progress.report_progress(tmp_path / "none", "ready", "12.34")


def test_a_missing_tpm_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        open_device(tmp_path / "none")


def _local(agent: RunningAgent, transport: commands.Transport) -> LocalMachine:
    config = agent.config
    return LocalMachine(transport, boot_configuration=config.boot_configuration, boot_event_log=config.boot_event_log)
