"""The files of a saved event log."""

from pathlib import Path


def evidence_path(log: Path) -> Path:
    """The file of the evidence that belongs to a saved event log."""
    return log.with_name(log.name + ".evidence.json")
