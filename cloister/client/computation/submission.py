"""Submitting the manifest: once per boot of a CVM, by an owner."""

from dataclasses import replace

from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.client.files.keys import Key
from cloister.errors import InputError, ProofError, RefusedError
from cloister.protocol.manifest import Manifest
from cloister.protocol.scratch import ScratchNeed
from cloister.units import format_size


def submit(target: Target, key: Key, manifest: Manifest, *, hold: bool = False) -> Connection:
    """Submit the manifest of a computation, unless the CVM runs the same one already.

    Args:
        target: the CVM. Its own manifest digest is ignored.
        key: an owner's key.
        manifest: the manifest that all parties agreed on.
        hold: the run does not begin with the last asset, but when an owner calls :func:`start_run`.

    Returns:
        An open connection that demands this manifest, under a new verdict. Close it, or use it as a context manager.

    Raises:
        InputError: the manifest does not fit onto the CVM's scratch disk. Nothing was submitted then.
        ProofError: the policy rejects the CVM, or the agent measured another manifest.
        RefusedError: the CVM runs another manifest, or this one without ``hold``, or the key is not an owner's.
        UnreachableError: no agent answers.
    """
    digest = manifest.digest()
    with Connection(replace(target, manifest_digest=None), key) as before:
        running = before.session().manifest_digest
        if running is None:
            check_scratch(manifest, before.verdict().claims.boot_configuration.scratch)
            accepted = before.session().submit_manifest(manifest.encode(), hold=hold)
            if accepted != digest:
                raise ProofError(
                    f"The agent accepted another manifest (expected: {digest.hex()}, found: {accepted.hex()})."
                )
        elif running != digest:
            raise RefusedError(
                f"The machine runs another manifest (yours: {digest.hex()}, machine: {running.hex()}).",
                hint="A CVM accepts one manifest per boot: `reset` reboots it and wipes what it holds.",
            )
        elif hold and not before.session().status().hold:
            raise RefusedError(
                "The machine has this manifest already, and its run will not be held: it starts with the last asset.",
                hint="Run the command without --hold, or `reset` the machine and submit the manifest again.",
            )
    after = Connection(replace(target, manifest_digest=digest), key)
    after.session()
    return after


def check_scratch(manifest: Manifest, scratch: int) -> None:
    """Whether a manifest fits onto a scratch disk of ``scratch`` bytes; 0: the CVM has none. Raises InputError."""
    if manifest.limits.scratch and not scratch:
        raise InputError(
            f"The manifest has {format_size(manifest.limits.scratch)} as limits.scratch; the CVM has no scratch disk.",
            hint="Remove limits.scratch, or ask the platform team for a CVM with a scratch disk.",
        )
    need = ScratchNeed.of(manifest).total if scratch else 0
    if need > scratch:
        raise InputError(
            f"The manifest needs {format_size(need)} of the scratch disk, and the CVM's has {format_size(scratch)}.",
            hint="Lower the sizes in the manifest, or ask the platform team for a larger scratch disk.",
        )
