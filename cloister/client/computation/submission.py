"""Submitting the manifest: once in a machine's life, by an owner, to a machine that has taken none."""

from dataclasses import replace

from cloister.client.connection.connection import Connection, Target
from cloister.client.files.keys import Key
from cloister.errors import ProofError, RefusedError
from cloister.protocol.manifest import Manifest


def submit(target: Target, key: Key, manifest: Manifest) -> Connection:
    """Submit ``manifest``, unless the machine runs this very one; a connection that demands it, judged anew.

    ``target`` names no manifest yet. Raises RefusedError when the machine runs another one.
    """
    digest = manifest.digest()
    with Connection(replace(target, manifest_digest=None), key) as before:
        running = before.session().manifest_digest
        if running is None:
            taken = before.session().submit_manifest(manifest.encode())
            if taken != digest:
                raise ProofError(f"The agent took the manifest {taken.hex()}, expected is {digest.hex()}.")
        elif running != digest:
            raise RefusedError(
                f"The machine runs the manifest {running.hex()}; yours is {digest.hex()}.",
                hint="A CVM takes one manifest in its life: `reset` gives it a new one, and wipes what it holds.",
            )
    after = Connection(replace(target, manifest_digest=digest), key)
    after.session()
    return after
