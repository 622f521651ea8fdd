"""Which machine this is: as init found it in the tables that the host's firmware wrote.

The host may lie in them, and gains nothing: the agent would then ask for evidence that is not there, and whatever
evidence there is names its platform and is judged by the party against that platform's vendors.
"""

from agent_runtime.config import Config
from agent_runtime.errors import AgentError
from agent_runtime.platform.machine import PlatformMachine
from cloister.attestation.tpm.commands import Transport

_MAX_NAME = 16


def detect_machine(config: Config, transport: Transport) -> PlatformMachine:
    """The machine that ``config.platform`` names. Raises CloisterError or OSError.

    Only what that platform needs is imported: each module costs a start under emulation its time.
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
    raise AgentError("This is neither a machine of the local backend nor one at Azure or Google.")
