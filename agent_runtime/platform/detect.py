"""Selects the platform that init found in the host's firmware tables (image/guest/hardware).

A host that falsifies them gains nothing: evidence names its platform, and a party verifies it against that platform's
vendors. With wrong tables the agent asks for evidence that the machine does not have, and does not start.
"""

from agent_runtime.config import Config
from agent_runtime.errors import AgentError
from agent_runtime.platform.machine import PlatformMachine
from cloister.attestation.tpm.commands import Transport

_MAX_NAME = 16


def detect_machine(config: Config, transport: Transport) -> PlatformMachine:
    """The machine that ``config.platform`` names. Raises CloisterError or OSError.

    Imports only that platform's modules: each import takes time, especially under emulation.
    """
    with config.platform.open("rb") as file:
        name = file.read(_MAX_NAME).decode("ascii", "replace").strip()
    if name == "local":
        from agent_runtime.platform.local import LocalMachine

        return LocalMachine(
            transport, boot_configuration=config.boot_configuration, boot_event_log=config.boot_event_log
        )
    if name == "azure":
        from agent_runtime.platform import azure

        return azure.AzureMachine(transport, azure.metadata_service(), boot_event_log=config.boot_event_log)
    if name == "gcp":
        from agent_runtime.platform import gcp, tsm

        reports = tsm.ReportInterface(tsm.ReportFolder())
        return gcp.GcpMachine(
            transport, gcp.metadata_service(), reports, boot_event_log=config.boot_event_log, ccel=config.ccel
        )
    raise AgentError("This machine is neither local nor on Azure nor on Google Cloud.")
