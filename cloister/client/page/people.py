"""Who takes part in a computation, with the fingerprint of each key, and who says so."""

from collections.abc import Iterator
from dataclasses import dataclass

from cloister.attestation.result.verdict import Verdict
from cloister.client.page.machines import WatchedMachine
from cloister.protocol.manifest import Manifest
from cloister.protocol.signingkey import key_id


@dataclass(frozen=True)
class Person:
    """Someone who takes part. ``you`` is true for the party whose page it is."""

    name: str
    roles: str
    fingerprint: str
    source: str
    you: bool = False


def people(machine: WatchedMachine, manifest: Manifest | None, verdict: Verdict | None, key: bytes) -> Iterator[Person]:
    """The parties of the manifest, then the workspace's other members, then owners that neither names.

    ``manifest`` is the party's copy of the machine's manifest, ``key`` the party's public key. Owners are those of the
    boot configuration in the evidence.
    """
    owners = set(verdict.claims.boot_configuration.owners) if verdict is not None else set()
    own, shown = key_id(key), set()

    def person(name: str, digest: str, roles: tuple[str, ...], source: str) -> Person:
        shown.add(digest)
        said = [role.replace("-", " ") for role in roles if role not in ("member", "owner")]
        said += ["owner"] if digest in owners else []
        return Person(name, ", ".join(said) or "none", digest, source, digest == own)

    for name, party in sorted(manifest.parties.items()) if manifest is not None else ():
        yield person(name, key_id(party), manifest.roles(party) if manifest else (), "your copy of the manifest")
    for member in machine.descriptor.members if machine.descriptor is not None else ():
        if (digest := key_id(member.key)) not in shown:
            yield person(member.name, digest, member.roles, "the workspace descriptor")
    for owner in sorted(owners - shown):
        yield person(owner[:12], owner, (), "the machine's boot configuration")
    if own not in shown:
        yield person("your key", own, (), "neither your manifest nor the workspace names it")
