"""What the environment says of a party: the variables that verbs and programs read."""

import os

from cloister.errors import InputError

ADDRESS = "AGENT_GRPC_URL"
FETCH = "CLOISTER_FETCH"


def configured(name: str) -> str | None:
    """What is set for ``key``, ``policy``, ``workspace``, ``manifest``, ``collateral`` or ``fetch``.

    None if nothing is, or an empty text.
    """
    return os.environ.get(f"CLOISTER_{name.upper()}") or None


def address() -> str | None:
    """The agent's address that is set; None if none is."""
    return os.environ.get(ADDRESS) or None


def fetches(said: object) -> bool:
    """Whether missing collateral is fetched from the vendors, by the value of CLOISTER_FETCH; None is no.

    Raises InputError for a value that is neither yes nor no, so that a typo never decides it.
    """
    found = {"1": True, "true": True, "0": False, "false": False}.get(str(said or "0").lower())
    if found is None:
        raise InputError(f"{FETCH} must be 1 or 0, not {said!r}.")
    return found
