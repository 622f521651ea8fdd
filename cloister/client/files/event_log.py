"""The files of a saved event log."""

from pathlib import Path

from cloister import userfile


def evidence_path(log: Path) -> Path:
    """The file of the evidence that belongs to a saved event log. Raises InputError for a path without a name."""
    if not log.name:
        raise userfile.occupied(log, "", "")
    return log.with_name(log.name + ".evidence.json")
