"""Reads the firmware's boot logs, which init has copied for the agent."""

from pathlib import Path

from agent_runtime.errors import AgentError
from cloister.attestation.tpm import eventlog


def read_event_log(path: Path) -> bytes | None:
    """The log in ``path``. None if the file is empty. Raises AgentError if it is too large, or OSError."""
    with path.open("rb") as file:
        data = file.read(eventlog.MAX_SIZE + 1)
    if len(data) > eventlog.MAX_SIZE:
        raise AgentError(f"The firmware's event log is larger than {eventlog.MAX_SIZE} bytes.")
    return data or None
