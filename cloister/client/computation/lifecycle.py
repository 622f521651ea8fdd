"""Starting a held run, stopping a computation, and resetting its CVM."""

import time
from collections.abc import Callable

from cloister import endpoint
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target, attest
from cloister.errors import UnreachableError

BOOT_SECONDS = 300.0
"""How long a CVM may take to boot."""

_PAUSE = 1.0


def start_run(connection: Connection) -> None:
    """Start a run that was submitted with ``hold``, when all assets have arrived.

    Args:
        connection: of an owner.

    Raises:
        CloisterError: the policy rejects the CVM, the agent refuses (assets are missing), or no agent answers.
    """
    connection.call(lambda session: session.start())


def stop_computation(connection: Connection) -> None:
    """Stop the computation for good. The agent wipes all assets and results.

    Args:
        connection: of an owner.

    Raises:
        CloisterError: the policy rejects the CVM, the agent refuses, or no agent answers.
    """
    connection.call(lambda session: session.stop())


def reset_machine(connection: Connection, *, wait: bool = True, accepted: Callable[[], None] = lambda: None) -> None:
    """Wipe a CVM and reboot it: it comes back with the same image, new keys and no manifest.

    Args:
        connection: of an owner. It is closed.
        wait: wait until the CVM has booted and the policy accepts it again.
        accepted: called when the agent has accepted the reset, before waiting.

    Raises:
        CloisterError: the policy rejects the CVM, or the agent refuses.
        UnreachableError: no agent answers, or the CVM did not come back in time.
    """
    old_key = request_reset(connection)
    accepted()
    if wait:
        wait_for_restart(connection.target, old_key)


def request_reset(connection: Connection) -> bytes:
    """Have the CVM wiped and rebooted. Returns its event-log key, which differs after the reboot."""
    session = connection.session()
    key = connection.evidence().event_log_key
    session.reset()
    connection.close()
    return key


def wait_for_restart(target: Target, old_key: bytes, *, seconds: float = BOOT_SECONDS) -> None:
    """Wait until the CVM has booted again and its evidence is accepted. Raises UnreachableError, ProofError."""
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
        hint="Ask the platform team to look at its console (invoke workspace.console).",
    )
