"""A party: its key, its policy and its workspace, and what it does with them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

from cloister import environment
from cloister.attestation.policy.document import not_for_sessions
from cloister.attestation.policy.evidence_policy import EvidencePolicy
from cloister.attestation.policy.policy import Policy
from cloister.client.collateral.folder import load_collateral
from cloister.client.collateral.network import VendorServices
from cloister.client.collateral.sources import CollateralSources, Combined
from cloister.client.computation.manifest import load_manifest
from cloister.client.computation.review import ManifestReview, review_manifest
from cloister.client.computation.timeline import key_names
from cloister.client.connection.connection import Connection
from cloister.client.connection.machine_verdict import MachineVerdict, judge
from cloister.client.connection.opening import Target
from cloister.client.doctor.checkup import Setup, check_up
from cloister.client.doctor.findings import Checkup
from cloister.client.evidence.policy_file import load_policy
from cloister.client.files.descriptor_file import find_cvm, load_descriptor, member_names
from cloister.client.files.keys import Key, load_key
from cloister.client.history.history import AcceptanceHistory, Confirm, say_no
from cloister.client.history.publishers import remembered_statements
from cloister.client.party.machine import Machine
from cloister.client.result.audit import Audit, audit_log, logged_approvals
from cloister.client.result.proof import Proof, verify_result
from cloister.client.rules.rule import StandingRule, write_rule
from cloister.endpoint import Address
from cloister.errors import InputError
from cloister.keyfile.private import Passphrase
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.manifest import Manifest
from cloister.userfile import FilePath


class Party:
    """What a party has on its own disk. A file is read when it is needed, and once."""

    def __init__(
        self,
        *,
        key: FilePath | Key | None = None,
        policy: FilePath | Policy | None = None,
        workspace: FilePath | None = None,
        cvm: str | None = None,
        address: str | None = None,
        collateral: FilePath | None = None,
        fetch: bool = False,
        passphrase: Passphrase | None = None,
        confirm: Confirm = say_no,
        noted: Callable[[str], object] = lambda said: None,
    ) -> None:
        """Name what the party has. What is not named is asked for when something needs it.

        Args:
            key: the file of its private key, or the key.
            policy: the file of its policy, or the policy.
            workspace: the workspace descriptor from the platform team.
            cvm: the name of a CVM in the descriptor; None for its only one.
            address: HOST:PORT of the machine, instead of the one in the descriptor.
            collateral: a folder with the vendors' certificates and lists.
            fetch: fetch missing collateral from the vendors.
            passphrase: called with the key's name when it is encrypted, and returns the passphrase.
            confirm: called with the workspace and what is not as the party accepted it before, and returns whether it
                accepts that. By default it does not: the error has the difference, and a name for `accept_change`.
            noted: called with a sentence about what is accepted for the first time.
        """
        if isinstance(policy, EvidencePolicy):  # a type checker would say so; without one, nothing may be opened
            raise not_for_sessions()
        self._confirm = confirm
        self._noted = noted
        self._key = key
        self._policy = policy
        self._workspace = workspace
        self._cvm = cvm
        self._address = address
        self._collateral = collateral
        self._fetch = fetch
        self._passphrase = passphrase

    @classmethod
    def from_environment(cls, *, passphrase: Passphrase | None = None) -> Self:
        """The party of CLOISTER_KEY, CLOISTER_POLICY, CLOISTER_WORKSPACE, CLOISTER_COLLATERAL, CLOISTER_FETCH and
        AGENT_GRPC_URL, as the verbs read them. Raises InputError for another CLOISTER_FETCH than 1 or 0.
        """
        return cls(
            key=environment.configured("key"),
            policy=environment.configured("policy"),
            workspace=environment.configured("workspace"),
            address=environment.address(),
            collateral=environment.configured("collateral"),
            fetch=environment.fetches(environment.configured("fetch")),
            passphrase=passphrase,
        )

    def __repr__(self) -> str:
        named = {
            "key": self._key,
            "policy": self._policy,
            "workspace": self._workspace,
            "cvm": self._cvm,
            "address": self._address,
            "collateral": self._collateral,
        }
        said = [f"{name}={str(_file(value) or '...')!r}" for name, value in named.items() if value is not None]
        return f"Party({', '.join([*said, *(['fetch=True'] if self._fetch else [])])})"

    @cached_property
    def key(self) -> Key:
        """Its key. Raises InputError."""
        if self._key is None:
            raise InputError("No key is set.", hint='Name it: Party(key="lab.pem"); `keys` makes one.')
        return self._key if isinstance(self._key, Key) else load_key(Path(self._key), self._passphrase)

    @cached_property
    def policy(self) -> Policy:
        """Its policy; there is no default. Raises InputError."""
        if self._policy is None:
            raise InputError(
                "No policy is set, and without one nothing is trusted.",
                hint='Name it: Party(policy="policy.json"); `policy` starts one.',
            )
        return self._policy if isinstance(self._policy, Policy) else load_policy(Path(self._policy))

    @cached_property
    def workspace(self) -> Descriptor | None:
        """The workspace descriptor; None if none is named. Raises InputError."""
        return load_descriptor(Path(self._workspace)) if self._workspace is not None else None

    @cached_property
    def collateral(self) -> CollateralSources:
        """What evidence does not carry: from the party's folder, and from the vendors if that is allowed."""
        network = VendorServices() if self._fetch else None
        folder = [load_collateral(Path(self._collateral))] if self._collateral is not None else []
        return CollateralSources(Combined((*folder, remembered_statements())), network)

    def target(self, manifest: FilePath | Manifest | None = None) -> Target:
        """The party's CVM and what it must be; with a manifest it must run that one. Raises InputError."""
        policy, collateral = self.policy, self.collateral
        digest = None if manifest is None else _loaded(manifest).digest()
        if self._address is not None:
            return Target(Address.parse(self._address), policy, self._cvm, digest, collateral)
        if self.workspace is None:
            raise InputError(
                "No CVM is set.",
                hint='Name the workspace descriptor: Party(workspace="workspace.json"); or an address: '
                'Party(address="HOST:PORT").',
            )
        found = find_cvm(self.workspace, self._cvm)
        return Target(Address.parse(found.endpoint), policy, found.name, digest, collateral)

    def names(self, manifest: Manifest | None = None) -> dict[str, str]:
        """Key id -> name, from the workspace descriptor and ``manifest``, for display."""
        members = member_names(self.workspace) if self.workspace is not None else {}
        return key_names(manifest.parties, members) if manifest is not None else members

    # ---- with the machine

    def attest(self, manifest: FilePath | Manifest | None = None, *, nonce: bytes | None = None) -> MachineVerdict:
        """Check the machine against the policy, without a session and also without a key.

        Args:
            manifest: also demand that it runs this manifest.
            nonce: the 32 bytes that its evidence must be made over; None for random ones.

        Returns:
            The verdict, which may be a rejection.

        Raises:
            InputError: the nonce has another size.
            UnreachableError: no agent answers.
            ProofError: the policy excludes the CVM, or the answer has no evidence that could be appraised.
        """
        return judge(self.target(manifest), nonce)

    def connect(self, manifest: FilePath | Manifest | None = None) -> Machine:
        """The party's machine. A session is opened by the first call that needs one, and again when it was lost.

        Args:
            manifest: the party's own copy, which the machine must run; what a party decides is about it. None: any
                manifest, to look at what the machine does.

        Returns:
            The machine: use it as a context manager, or close it.

        Raises:
            InputError: a file is missing or wrong.
        """
        agreed = None if manifest is None else _loaded(manifest)
        known = self.collateral.held
        history = AcceptanceHistory(self.policy, agreed, confirm=self._confirm, noted=self._noted, collateral=known)
        return Machine(
            Connection(replace(self.target(agreed), accepting=history, refusing=history.refused), self.key),
            agreed,
            history=history,
            names=self.names(agreed),
            keep=tuple(filter(None, (_file(one) for one in (self._key, self._policy, self._workspace)))),
        )

    # ---- without a machine

    def check_up(self, manifest: FilePath | None = None) -> Checkup:
        """Check what a party needs, from the installation to the machine's port, and say how to fix what is wrong.

        Args:
            manifest: also check whether this copy of a manifest has the party's key.
        """
        setup = Setup(
            key=_file(self._key),
            policy=_file(self._policy),
            workspace=_file(self._workspace),
            manifest=_file(manifest),
            collateral=_file(self._collateral),
            cvm=self._cvm,
            address=self._address,
        )
        return check_up(setup, self._passphrase)

    def review(self, manifest: FilePath | Manifest) -> ManifestReview:
        """What this party agrees to with a manifest, in plain words. Raises InputError."""
        return review_manifest(_loaded(manifest), self.key.public if self._key is not None else None)

    def verify(self, result: FilePath, *, approvals: FilePath | None = None, preview: bool = False) -> Proof:
        """Verify a result: which image, manifest, data and algorithm made it.

        Args:
            result: a file as :meth:`Machine.fetch` writes it.
            approvals: a saved event log with the approvals of a result that was fetched before they were given.
            preview: the file was fetched before it was approved: approvals are not demanded.

        Returns:
            What is proven, and what is not: ``require_accepted`` raises ProofError unless all is.

        Raises:
            InputError: a file cannot be read.
        """
        given = logged_approvals(Path(approvals)) if approvals is not None else ()
        return verify_result(Path(result), self.policy, collateral=self.collateral, approvals=given, preview=preview)

    def audit(self, log: FilePath, *, evidence: FilePath | None = None) -> Audit:
        """Verify a saved event log: what it proves, and what it does not.

        Args:
            log: a log as ``machine.events().save`` writes it.
            evidence: evidence of the machine; None for the file beside the log, if there is one.

        Returns:
            What is proven. Without a policy the evidence is not appraised, which is then not proven.

        Raises:
            InputError: a file cannot be read.
        """
        return audit_log(
            Path(log),
            evidence=Path(evidence) if evidence is not None else None,
            policy=self.policy if self._policy is not None else None,
            collateral=self.collateral,
        )

    def write_rule(
        self,
        manifest: FilePath | Manifest,
        output: FilePath = "rule.yaml",
        *,
        until: str,
        uses: int = 1,
        data: Mapping[str, FilePath] | None = None,
    ) -> StandingRule:
        """Write a standing rule: :meth:`Machine.consent` then agrees to computations like one that was reviewed.

        Args:
            manifest: the one that was reviewed.
            output: the file of the rule; never overwritten.
            until: the last day on which it permits any, in UTC, such as 2026-12-31.
            uses: how many computations it permits.
            data: where a dataset is, by its name; else its file's name, beside the rule.

        Returns:
            The rule.

        Raises:
            InputError: the file exists, or the key provides no dataset of the manifest.
        """
        paths = {name: str(path) for name, path in (data or {}).items()}
        agreed = _loaded(manifest)
        return write_rule(Path(output), agreed, self.key.public, self.policy, uses=uses, until=until, paths=paths)


def _loaded(manifest: FilePath | Manifest) -> Manifest:
    return manifest if isinstance(manifest, Manifest) else load_manifest(Path(manifest))


def _file(value: FilePath | Key | Policy | None) -> Path | None:
    """The file that a user has named; None for a key or policy itself."""
    return None if value is None or isinstance(value, (Key, Policy)) else Path(value)
