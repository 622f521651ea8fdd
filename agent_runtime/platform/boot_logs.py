"""The logs of the boot that firmware left behind, where init put them for the agent."""

from pathlib import Path

from agent_runtime.errors import AgentError
from cloister.attestation.tpm import eventlog


def read_event_log(path: Path) -> bytes | None:
    """A log in the file ``path``, None for an empty one. Raises AgentError for one that is too large, or OSError."""
    with path.open("rb") as file:
        data = file.read(eventlog.MAX_SIZE + 1)
    if len(data) > eventlog.MAX_SIZE:
        raise AgentError(f"The firmware's event log has more than {eventlog.MAX_SIZE} bytes.")
    return data or None
