"""The computation of the benchmark: one party is owner, provider and consumer; its dataset is the file that is sent."""

from dataclasses import dataclass
from pathlib import Path

from cloister.attestation.policy.policy import Policy
from cloister.client.computation import submission
from cloister.client.computation.asset import describe_asset
from cloister.client.computation.manifest import compose_manifest
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.client.files.keys import Key, load_key
from cloister.endpoint import Address
from cloister.protocol.manifest import Manifest

OWNER = "owner"
WITH_DIGEST, PLAIN = "with-digest", "plain"
"""The baselines: a raw socket and a file, with SHA-256 of what arrives or without."""

_AUTHOR = """\
version: 1
name: transfer
description: ""
parties:
  owner: {{key: owner.pub}}
algorithm:
  provider: owner
  file: train.py
  kind: python
datasets:
  - {{name: data, provider: owner, file: {path.name}, digest: {found.digest}, size: {found.size}}}
results: {{consumers: [owner], expires: 24h, max: {maximum}}}
logs: {{readers: [owner], max: 4KiB}}
limits: {{time: 10m, memory: 256MiB, cpus: 1, processes: 16}}
"""
_PROGRAM = """\
import os
with open("results/file", "wb") as out:
    out.truncate({size})
"""


@dataclass(frozen=True)
class TransferParty:
    """What the party has in its folder: keys, policy, manifest, program."""

    folder: Path
    source: Path
    address: Address

    @classmethod
    def load(cls, folder: Path) -> "TransferParty":
        """From the files that :func:`prepare` wrote."""
        source, address = (folder / "party").read_text(encoding="utf-8").splitlines()
        return cls(folder, Path(source), Address.parse(address))

    def manifest(self) -> Manifest:
        """The canonical manifest."""
        return Manifest.parse((self.folder / "manifest.json").read_bytes())

    def key(self) -> Key:
        """The party's key."""
        return load_key(self.folder / f"{OWNER}.pem")

    def connection(self, manifest: Manifest | None) -> Connection:
        """A connection that demands ``manifest``."""
        return Connection(self.target(manifest), self.key())

    def target(self, manifest: Manifest | None) -> Target:
        """The machine, under the policy that accepts it."""
        policy = Policy.parse((self.folder / "policy.json").read_bytes())
        return Target(self.address, policy, None, manifest.digest() if manifest else None)


def prepare(folder: Path, source: Path, address: str) -> TransferParty:
    """Write the party's files, and submit the manifest."""
    size = source.stat().st_size
    (folder / "train.py").write_text(_PROGRAM.format(size=size), encoding="utf-8")
    author = _AUTHOR.format(path=source, found=describe_asset(source, unpack=False), maximum=size + 1024 * 1024)
    (folder / "manifest.yaml").write_text(author, encoding="utf-8")
    made = compose_manifest(folder / "manifest.yaml")
    (folder / "manifest.json").write_bytes(made.encode())
    (folder / "party").write_text(f"{source}\n{address}\n", encoding="utf-8")
    party = TransferParty.load(folder)
    submission.submit(party.target(None), party.key(), made).close()
    return party
