"""The checkup of a party: its installation, its files, whether they belong together, and the way to the machine."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from cloister import endpoint
from cloister.attestation.policy.policy import Policy
from cloister.attestation.x509.certificate import Certificate
from cloister.client.collateral.folder import load_collateral
from cloister.client.computation.manifest import load_manifest
from cloister.client.doctor import installation
from cloister.client.doctor.findings import Checkup
from cloister.client.evidence.first_policy import open_members
from cloister.client.evidence.policy_file import load_policy
from cloister.client.files.descriptor_file import find_cvm, load_descriptor
from cloister.client.files.keys import Key, load_key
from cloister.endpoint import Address, Endpoint
from cloister.errors import CloisterError, InputError
from cloister.keyfile.private import Passphrase
from cloister.machinecheck import MachineCheck, NotChecked, run_checks
from cloister.protocol.descriptor import CvmEntry, Descriptor
from cloister.protocol.manifest import Manifest
from cloister.protocol.signingkey import key_id

T = TypeVar("T")


@dataclass(frozen=True)
class Setup:
    """What a party has set: the files of its key, policy, workspace descriptor and manifest, and more. None: not set.

    ``cvm`` is a name in the descriptor, ``address`` the one that replaces the descriptor's, ``collateral`` a folder.
    """

    key: Path | None = None
    policy: Path | None = None
    workspace: Path | None = None
    manifest: Path | None = None
    collateral: Path | None = None
    cvm: str | None = None
    address: str | None = None


def check_up(setup: Setup, passphrase: Passphrase | None = None) -> Checkup:
    """Check what a party needs, in the order in which to fix it.

    Args:
        setup: what the party has set.
        passphrase: called with the key's name when it is encrypted.

    Returns:
        The checks. What depends on something that is missing or wrong is good, and says that it was not checked.
    """
    return Checkup(_Checkup(setup, passphrase).results())


class _Checkup:
    """Each file is read once, by the check that is about it; later checks use it."""

    def __init__(self, setup: Setup, passphrase: Passphrase | None) -> None:
        self._setup = setup
        self._passphrase = passphrase

    def results(self) -> list[MachineCheck]:
        return run_checks(
            {
                "python": installation.check_python,
                "packages": installation.check_packages,
                "clock": installation.check_clock,
                "output": installation.check_output,
                "cache": installation.check_cache,
                "memory": installation.check_state,
                "key": self._check_key,
                "policy": self._check_policy,
                "placeholders": self._check_placeholders,
                "workspace": self._check_workspace,
                "machine": self._check_machine,
                "member": self._check_member,
                "platform": self._check_platform,
                "image": self._check_image,
                "owners": self._check_owners,
                "authority": self._check_authority,
                "collateral": self._check_collateral,
                "manifest": self._check_manifest,
                "party": self._check_party,
                "address": self._check_address,
                "connection": self._check_connection,
                "agent": self._check_agent,
                "trials": installation.check_trials,
            }
        )

    # ---- the party's files

    @cached_property
    def _key(self) -> Key:
        return load_key(_named(self._setup.key), self._passphrase)

    @cached_property
    def _policy(self) -> Policy:
        return load_policy(_named(self._setup.policy))

    @cached_property
    def _descriptor(self) -> Descriptor:
        return load_descriptor(_named(self._setup.workspace))

    @cached_property
    def _cvm(self) -> CvmEntry:
        return find_cvm(self._descriptor, self._setup.cvm)

    @cached_property
    def _manifest(self) -> Manifest:
        return load_manifest(_named(self._setup.manifest))

    def _check_key(self) -> str:
        _require(self._setup.key, "No key is set.", "Make one with `keys`, then set CLOISTER_KEY to its file.")
        return f"{self._setup.key}, fingerprint {self._key.id}"

    def _check_policy(self) -> str:
        _require(
            self._setup.policy,
            "No policy is set, and without one nothing is trusted.",
            "Start one with `policy`, then set CLOISTER_POLICY to its file.",
        )
        return f"{self._setup.policy}, for {', '.join(self._policy.platforms)}"

    def _check_placeholders(self) -> str:
        left = open_members(_earlier(lambda: self._policy, "policy"))
        if left:
            raise InputError(
                f"The policy rejects every machine, until these members have values: "
                f"{', '.join(one.member for one in left)}.",
                hint="Run `attest --save evidence.json`, then `policy --from-evidence evidence.json`.",
            )
        return "every member of the policy has a value"

    def _check_workspace(self) -> str:
        if self._setup.workspace is None and self._setup.address:
            raise NotChecked("AGENT_GRPC_URL names the machine")
        _require(
            self._setup.workspace,
            "No workspace descriptor is set.",
            "Ask the platform team for workspace.json, then set CLOISTER_WORKSPACE to it.",
        )
        found = self._descriptor
        return f"{found.workspace} in {found.backend}: {len(found.cvms)} CVMs, {len(found.members)} members"

    def _check_machine(self) -> str:
        _earlier(lambda: self._descriptor, "workspace")
        return f"{self._cvm.name} at {self._cvm.endpoint}, platform {self._cvm.platform}"

    # ---- whether they belong together

    def _check_member(self) -> str:
        descriptor, key = _earlier(lambda: self._descriptor, "workspace"), _earlier(lambda: self._key, "key")
        for member in descriptor.members:
            if member.key == key.public:
                return f"your key is that of the member {member.name}: {', '.join(member.roles)}"
        raise InputError(
            f"No member of the workspace {descriptor.workspace} has your key {key.id}.",
            hint="Set CLOISTER_KEY to the key that the platform team has of you, or give it this one and ask for a new "
            "workspace descriptor.",
        )

    def _check_platform(self) -> str:
        policy, cvm = _earlier(lambda: self._policy, "policy"), _earlier(lambda: self._cvm, "machine")
        if cvm.platform not in policy.platforms:
            raise InputError(
                f"Your policy accepts {', '.join(policy.platforms)}, and {cvm.name} is a machine of the platform "
                f"{cvm.platform}.",
                hint="Use the policy that you made for this workspace, or start another one with `policy`.",
            )
        return f"your policy accepts {cvm.platform}"

    def _check_image(self) -> str:
        policy, descriptor = _earlier(lambda: self._policy, "policy"), _earlier(lambda: self._descriptor, "workspace")
        accepted = [one.manifest_digest.hex() for one in policy.images]
        if descriptor.image not in accepted:
            raise InputError(
                f"Your policy does not accept the image of the workspace (expected: {', '.join(accepted)}, found: "
                f"{descriptor.image}).",
                hint="Ask the platform team which image it starts and why; then start a policy with its image.json.",
            )
        return f"your policy accepts {descriptor.flavor}, manifest {descriptor.image}"

    def _check_owners(self) -> str:
        policy, cvm = _earlier(lambda: self._policy, "policy"), _earlier(lambda: self._cvm, "machine")
        expected, found = policy.boot_configuration, cvm.boot_configuration
        if expected.workspace != found.workspace:
            raise InputError(
                f"Your policy is for the workspace {expected.workspace}, the descriptor is that of {found.workspace}.",
                hint="Set CLOISTER_POLICY and CLOISTER_WORKSPACE to files of the same workspace.",
            )
        if found.cvm not in expected.cvms:
            raise InputError(
                f"Your policy accepts the CVMs {', '.join(expected.cvms)}, not {found.cvm}.",
                hint="Name another CVM with --cvm, or start a policy with the new workspace descriptor.",
            )
        if tuple(sorted(expected.owners)) != found.owners:
            raise InputError(
                f"Your policy has other owners than the workspace (expected: {', '.join(sorted(expected.owners))}, "
                f"found: {', '.join(found.owners)}).",
                hint="Owners can submit, stop and reset: ask the platform team who was added or removed, and why.",
            )
        return f"your policy has the workspace's {len(found.owners)} owners"

    def _check_authority(self) -> str:
        pinned = _earlier(lambda: self._policy, "policy").local
        descriptor = _earlier(lambda: self._descriptor, "workspace")
        if pinned is None or descriptor.authority is None:
            raise NotChecked("only a local workspace has an authority of its own")
        found = Certificate.parse(descriptor.authority).fingerprint()
        if found != pinned.authority_spki_sha256:
            raise InputError(
                f"Your policy pins another authority than the workspace's (expected: "
                f"{pinned.authority_spki_sha256.hex()}, found: {found.hex()}).",
                hint="A workspace that was destroyed and made again has a new one: ask the platform team, then start a "
                "policy with the new workspace descriptor.",
            )
        return f"your policy pins the workspace's authority, {found.hex()}"

    def _check_collateral(self) -> str:
        if self._setup.collateral is None:
            raise NotChecked("no folder is set, and none is needed with --fetch or for a local machine")
        load_collateral(self._setup.collateral)
        return str(self._setup.collateral)

    def _check_manifest(self) -> str:
        if self._setup.manifest is None:
            raise NotChecked("no manifest is set; the owner gives it to you")
        return f"{self._manifest.name}, digest {self._manifest.digest().hex()}"

    def _check_party(self) -> str:
        manifest, key = _earlier(lambda: self._manifest, "manifest"), _earlier(lambda: self._key, "key")
        found = [name for name, public in manifest.parties.items() if public == key.public]
        if not found:
            parties = ", ".join(f"{name} {key_id(public)}" for name, public in manifest.parties.items())
            raise InputError(
                f"No party of the manifest has your key {key.id} (parties: {parties}).",
                hint="Set CLOISTER_KEY to the key that the manifest names, or ask its author for a manifest with this "
                "one.",
            )
        return f"your key is that of the party {', '.join(found)}"

    # ---- the way to the machine

    @cached_property
    def _address(self) -> Address:
        return Address.parse(self._setup.address or self._cvm.endpoint)

    @cached_property
    def _reached(self) -> bool:
        endpoint.reach(self._address)
        return True

    @cached_property
    def _endpoint(self) -> Endpoint:
        return endpoint.probe(self._address)

    def _check_address(self) -> str:
        if self._setup.address is None:
            _earlier(lambda: self._cvm, "machine")
            return f"{self._address}, from the workspace descriptor"
        return f"{self._address}, from AGENT_GRPC_URL, which goes before the workspace descriptor"

    def _check_connection(self) -> str:
        address = _earlier(lambda: self._address, "address")
        _ = self._reached
        return f"{address} accepts connections"

    def _check_agent(self) -> str:
        _earlier(lambda: self._reached, "connection")
        key = self._endpoint.key_digest().hex()
        return f"TLS 1.3, key {key}; `attest` tells whether it is that of a machine that you accept"


def _earlier(value: Callable[[], T], check: str) -> T:
    """The value that an earlier check is about. Raises NotChecked if it failed."""
    try:
        return value()
    except (CloisterError, NotChecked) as error:
        raise NotChecked(f"see {check}") from error


def _named(path: Path | None) -> Path:
    """A path that is set. Raises NotChecked otherwise."""
    if path is None:
        raise NotChecked("it is not set")
    return path


def _require(path: Path | None, message: str, hint: str) -> None:
    if path is None:
        raise InputError(message, hint=hint)
