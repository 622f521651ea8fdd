"""The machines that a page shows, and what the party has on its disk about each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloister.attestation.policy.policy import Policy
from cloister.client.collateral.sources import CollateralSources
from cloister.client.connection.opening import Target
from cloister.client.files.descriptor_file import member_names
from cloister.endpoint import Address
from cloister.errors import InputError
from cloister.protocol.descriptor import CvmEntry, Descriptor
from cloister.protocol.manifest import Manifest


@dataclass(frozen=True)
class ManifestCopy:
    """The party's copy of a manifest, and the file that it is in."""

    manifest: Manifest
    file: str


@dataclass(frozen=True)
class WatchedMachine:
    """One machine.

    workspace, cvm: their names. The CVM is empty for a machine that is known by its address only.
    target: where it is, and what the party demands of it.
    descriptor, entry: what the platform team says of its workspace and of it; None without a descriptor.
    manifests: the party's copies of manifests, of which one may be the machine's.
    options: the options with which the party selects it in a command.
    """

    workspace: str
    cvm: str
    target: Target
    descriptor: Descriptor | None
    entry: CvmEntry | None
    manifests: tuple[ManifestCopy, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def owners(self) -> tuple[str, ...]:
        """The names of its owners, as the descriptor knows them; beginnings of key ids for others."""
        if self.descriptor is None or self.entry is None:
            return ()
        known = self.members()
        return tuple(known.get(owner, owner[:12]) for owner in self.entry.boot_configuration.owners)

    def members(self) -> dict[str, str]:
        """Key id -> name of the workspace's members."""
        return member_names(self.descriptor) if self.descriptor is not None else {}


def machines_of(
    descriptors: Mapping[str, Descriptor],
    policies: Mapping[str, Policy],
    *,
    collateral: CollateralSources | None = None,
    manifests: Sequence[ManifestCopy] = (),
    options: Mapping[str, Sequence[str]] | None = None,
) -> tuple[WatchedMachine, ...]:
    """The machines of several workspaces, each with the policy that is for its workspace.

    Args:
        descriptors: workspace descriptors by the file that each is in.
        policies: policies by their files. Their order does not matter: a policy names its workspace.
        collateral: for what evidence does not carry; None for none.
        manifests: the party's copies of manifests.
        options: by file, the options with which a command names that file; none for a file that the environment names.

    Returns:
        The machines, workspace by workspace.

    Raises:
        InputError: two files are for the same workspace, a workspace has no policy, or a policy no workspace.
    """
    named = options or {}
    workspaces = _by_workspace({file: one.workspace for file, one in descriptors.items()}, "workspace descriptors")
    demanded = _by_workspace({file: one.boot_configuration.workspace for file, one in policies.items()}, "policies")
    if unused := sorted(demanded.keys() - workspaces.keys()):
        raise InputError(
            f"The policy {demanded[unused[0]]} is for the workspace {unused[0]}; "
            f"the workspace descriptors are of {', '.join(workspaces)}.",
            hint="Name the descriptor of that workspace, too, or leave the policy out.",
        )
    made = []
    for workspace, file in workspaces.items():
        if workspace not in demanded:
            raise InputError(
                f"The workspace {workspace} ({file}) has no policy; the policies are for {', '.join(demanded)}.",
                hint="`policy` starts one; name it with --policy. Without a policy nothing is trusted.",
            )
        descriptor, policy = descriptors[file], policies[demanded[workspace]]
        several = len(descriptor.cvms) > 1
        for entry in descriptor.cvms:
            select = ("--cvm", entry.name) if several else ()
            target = Target(
                Address.parse(entry.endpoint), policy, entry.name, collateral=collateral or CollateralSources()
            )
            typed = (*select, *named.get(file, ()), *named.get(demanded[workspace], ()))
            made.append(WatchedMachine(workspace, entry.name, target, descriptor, entry, tuple(manifests), typed))
    return tuple(made)


def _by_workspace(found: Mapping[str, str], what: str) -> dict[str, str]:
    """Workspace -> file."""
    made: dict[str, str] = {}
    for file, workspace in found.items():
        if workspace in made:
            raise InputError(
                f"Two {what} are for the workspace {workspace}: {made[workspace]} and {file}.", hint="Name one of them."
            )
        made[workspace] = file
    return made


def machine_at(
    address: Address,
    policy: Policy,
    *,
    collateral: CollateralSources | None = None,
    manifests: Sequence[ManifestCopy] = (),
    options: Sequence[str] = (),
) -> WatchedMachine:
    """The machine at an address, of which no descriptor says more."""
    target = Target(address, policy, collateral=collateral or CollateralSources())
    workspace = policy.boot_configuration.workspace
    return WatchedMachine(workspace, "", target, None, None, tuple(manifests), tuple(options))
