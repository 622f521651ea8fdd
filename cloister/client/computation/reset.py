"""Resetting a machine, and waiting until it is another one: same image, new keys, nothing left."""

import time

from cloister import endpoint
from cloister.client.connection.connection import Connection, Target, attest
from cloister.errors import UnreachableError

BOOT_SECONDS = 300.0
"""How long a machine may take to come back."""

_PAUSE = 1.0


def reset(connection: Connection) -> bytes:
    """Wipe and reboot; the event-log key of the life that ends, to tell it from the next one."""
    session = connection.session()
    key = connection.evidence().event_log_key
    session.reset()
    connection.close()
    return key


def wait(target: Target, old_key: bytes, *, seconds: float = BOOT_SECONDS) -> None:
    """Wait until the machine has booted again and its evidence is accepted. Raises UnreachableError, ProofError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            endpoint.probe(target.address, timeout=5.0)
            with attest(target) as opening:
                if opening.evidence.event_log_key != old_key:
                    opening.verdict.require_accepted()
                    return
        except UnreachableError:
            pass
        time.sleep(_PAUSE)
    raise UnreachableError(
        f"The machine at {target.address} did not come back within {seconds:.0f} seconds.",
        hint="Ask the platform team: invoke workspace.console shows what it does.",
    )
