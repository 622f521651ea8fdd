"""A running agent as the parties see it: address, descriptor, policy, manifest."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from cloister.attestation.policy.policy import Policy
from cloister.client.computation import lifecycle, submission
from cloister.client.computation.asset import describe_asset
from cloister.client.computation.asset_upload import upload_asset
from cloister.client.computation.events import EventReader
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.endpoint import Address
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import CvmEntry, Descriptor, MemberEntry
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.progress import Phase
from tests.client.parties import Parties

FINISHED = frozenset({Phase.APPROVAL, Phase.COMPLETED})
"""Phases in which there is a result."""


class Running(Protocol):
    """What the parties need of a machine, however it runs."""

    @property
    def address(self) -> Address:
        """Where its agent listens."""

    @property
    def boot_configuration(self) -> BootConfiguration:
        """Its boot configuration."""

    @property
    def certificate(self) -> bytes:
        """The certificate of its workspace's authority, DER."""

    def policy(self) -> Policy:
        """A policy that accepts it."""


@dataclass(frozen=True)
class Machine:
    """``policy`` accepts this machine; ``policy.json`` and ``workspace.json`` in the parties' folder say the same."""

    running: Running
    parties: Parties
    policy: Policy

    @classmethod
    def of(cls, running: Running, parties: Parties) -> "Machine":
        """Write what the parties have on their disks."""
        configuration = running.boot_configuration
        policy = running.policy()
        descriptor = Descriptor(
            workspace=configuration.workspace,
            backend="local",
            flavor="base",
            image="00" * 32,
            members=tuple(MemberEntry(name, key.public, ("owner",)) for name, key in parties.keys.items()),
            cvms=(CvmEntry(configuration.cvm, str(running.address), "local", configuration),),
            authority=running.certificate,
        )
        (parties.folder / "workspace.json").write_bytes(descriptor.encode())
        (parties.folder / "policy.json").write_bytes(policy.encode())
        return cls(running, parties, policy)

    def target(self, manifest: Manifest | None = None) -> Target:
        """Where the machine is, under the policy that accepts it."""
        cvm = self.running.boot_configuration.cvm
        return Target(self.running.address, self.policy, cvm, manifest.digest() if manifest else None)

    def connection(self, party: str, manifest: Manifest | None = None) -> Connection:
        """A connection of a party; nothing is opened yet."""
        return Connection(self.target(manifest), self.parties.keys[party])

    def submit(self) -> Manifest:
        """The lab submits the parties' manifest."""
        manifest = self.parties.manifest()
        self.submitted(manifest)
        return manifest

    def submitted(self, manifest: Manifest, *, hold: bool = False) -> None:
        """The lab submits this manifest."""
        submission.submit(self.target(), self.parties.keys["lab"], manifest, hold=hold).close()

    def stop(self) -> None:
        """The lab stops the computation."""
        with self.connection("lab") as connection:
            lifecycle.stop_computation(connection)

    def upload(self, manifest: Manifest, asset: Asset) -> None:
        """The asset's provider uploads it."""
        with self.connection(asset.provider, manifest) as connection:
            upload_asset(connection, manifest, asset, describe_asset(self.parties.files[asset.name], unpack=False))

    def run(self) -> Manifest:
        """Everything up to the result, which may have to be approved."""
        manifest = self.submit()
        for asset in manifest.assets():
            self.upload(manifest, asset)
        with self.connection("lab", manifest) as connection:
            for _ in EventReader(connection).records(follow=True, until=FINISHED):
                pass
        return manifest

    def other_policy(self, **changes: object) -> Policy:
        """The policy with other demands on the boot configuration."""
        return replace(self.policy, boot_configuration=replace(self.policy.boot_configuration, **changes))

    def write_policy(self, policy: Policy) -> Path:
        """Another policy, as a file."""
        path = self.parties.folder / "other-policy.json"
        path.write_bytes(policy.encode())
        return path
