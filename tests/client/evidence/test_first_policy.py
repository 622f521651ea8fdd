"""From a first policy that rejects every machine to one made from evidence, in each cloud."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.attestation.azure.policy import AzurePolicy
from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral_source import COLLATERAL_KINDS, CollateralItem, InMemory
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.attestation.first_policy.placeholders import NO_KEY, NO_VERSION, placeholders
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.instances import Instances
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.snp.policy import SnpPolicy
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.testkit import RsaTpm, SnpMachine, Td
from cloister.attestation.testkit.google import GcpSnpMachine, GcpTd
from cloister.attestation.testkit.microsoft import AzureSnpMachine, AzureTdxMachine
from cloister.attestation.verifier import SessionPurpose, verify
from cloister.attestation.x509.roots import Anchor
from cloister.client.evidence.first_policy import policy_from_evidence, start_policy
from cloister.client.evidence.policy_file import load_policy, save_policy
from cloister.protocol import signingkey
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import CvmEntry, Descriptor, MemberEntry
from cloister.protocol.imagemanifest import ImageManifest
from tests.attestation.wording import require_words

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SESSION = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
BINDING = SessionBinding(SESSION.nonce, SESSION.tls_key_digest, SESSION.hpke_key_digest)
OWNER = signingkey.spki_of(ed25519.Ed25519PrivateKey.generate().public_key())
CONFIGURATION = BootConfiguration("trial", "trainer", (signingkey.key_id(OWNER),))

Machine = SnpMachine | Td | AzureSnpMachine | AzureTdxMachine | GcpSnpMachine


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a machine of the workspace shows, and a policy that accepts it."""

    evidence: Evidence
    policy: Policy
    roots: tuple[Anchor, ...]

    @classmethod
    def of(cls, machine: Machine, roots: tuple[Anchor, ...], collateral: InMemory | None = None) -> "Shown":
        placed = dataclasses.replace(machine, boot_configuration=CONFIGURATION)
        evidence = placed.evidence(BINDING)
        if collateral is not None:
            items = [CollateralItem(kind, item) for kind in COLLATERAL_KINDS for item in collateral.items(kind)]
            evidence = dataclasses.replace(evidence, collateral=tuple(items))
        return cls(evidence, placed.policy(), roots)

    def manifest(self) -> ImageManifest:
        pcrs = {index: value.hex() for index, value in self.policy.images[0].pcrs.items()}
        return ImageManifest(
            flavor="base", debug=False, inputs={}, outputs={}, pcrs=pcrs | dict.fromkeys((12, 13), "00" * 32)
        )

    def descriptor(self) -> Descriptor:
        platform = self.evidence.platform
        backend = "gcp" if platform.startswith("gcp") else "azure"
        cvm = CvmEntry("trainer", "192.0.2.1:6110", platform, CONFIGURATION)
        members = (MemberEntry("lab", OWNER, ("owner",)),)
        return Descriptor("trial", backend, "base", self.manifest().digest().hex(), members, (cvm,), None)

    def verdict(self, policy: Policy) -> Verdict:
        return verify(self.evidence, policy, purpose=SESSION, at=AT, roots=self.roots)


def snp() -> Shown:
    machine = SnpMachine.create_at(AT)
    return Shown.of(machine, (machine.processor.amd.anchor(),))


def tdx() -> Shown:
    td = Td.create(AT)
    return Shown.of(td, (td.intel.anchor(),), td.intel.collateral())


def azure_snp() -> Shown:
    machine = AzureSnpMachine.create(AT)
    return Shown.of(machine, machine.roots())


def azure_tdx() -> Shown:
    machine = AzureTdxMachine.create(AT)
    return Shown.of(machine, machine.roots(), machine.intel.collateral())


def gcp_snp() -> Shown:
    machine = GcpSnpMachine.create(AT, vtpm=RsaTpm.create())
    return Shown.of(machine, machine.roots())


def gcp_tdx() -> Shown:
    td = GcpTd.create(AT)
    return Shown.of(td, td.roots(), td.intel.collateral())


MACHINES: dict[str, Callable[[], Shown]] = {
    "sev-snp": snp,
    "tdx": tdx,
    "azure-snp": azure_snp,
    "azure-tdx": azure_tdx,
    "gcp-snp": gcp_snp,
    "gcp-tdx": gcp_tdx,
}

LEFT_OPEN: dict[str, dict[str, tuple[str, ...]]] = {
    "sev-snp": {"images.snp.launch_digests": ("snp-launch-digest",), "snp.minimum_tcb": ("snp-product",)},
    "tdx": {"images.tdx": ("tdx-mrtd", "tdx-rtmr-1", "tdx-rtmr-2")},
    "azure-snp": {
        "snp.minimum_tcb": ("snp-product",),
        "azure.snp.id_key_digests": ("azure-id-key",),
        "azure.snp.min_guest_svn": ("azure-guest-svn",),
    },
    "azure-tdx": {"azure.tdx.mrtds": ("azure-mrtd",), "azure.tdx.mrseams": ("azure-mrseam",)},
    "gcp-snp": {
        "snp.minimum_tcb": ("snp-product",),
        "gcp.endorsement_root_spki_sha256": ("gcp-endorsement-path",),
        "gcp.snp_min_svn": ("gcp-firmware-svn",),
        "instances.gcp": ("gcp-instance",),
    },
    "gcp-tdx": {
        "images.tdx": ("tdx-rtmr-1", "tdx-rtmr-2"),
        "gcp.endorsement_root_spki_sha256": ("gcp-endorsement-path",),
        "gcp.tdx_min_svn": ("gcp-firmware-svn",),
    },
}
"""For each platform the open members, each with the checks that reject the machine because of it."""


@pytest.fixture(scope="module")
def shown(request: pytest.FixtureRequest) -> Shown:
    return MACHINES[request.param]()


every_platform = pytest.mark.parametrize("shown", MACHINES, indirect=True)


def failures(verdict: Verdict) -> list[str]:
    require_words(verdict)
    return sorted(check.name for check in verdict.failures)


@every_platform
def test_first_policy_rejects_only_because_of_open_members(shown: Shown) -> None:
    policy, _ = policy_from_manifest(shown.manifest(), shown.descriptor())
    expected = LEFT_OPEN[shown.evidence.platform]

    assert Policy.parse(policy.encode()) == policy
    assert [one.member for one in placeholders(policy)] == list(expected)
    assert all(one.value and one.meaning and one.provided_by for one in placeholders(policy))
    verdict = shown.verdict(policy)
    assert failures(verdict) == sorted(name for names in expected.values() for name in names)
    assert not verdict.confidential


@every_platform
def test_each_open_member_alone_rejects_the_machine(shown: Shown) -> None:
    first, _ = policy_from_manifest(shown.manifest(), shown.descriptor())
    assert shown.verdict(shown.policy).accepted
    assert placeholders(shown.policy) == ()
    for member, names in LEFT_OPEN[shown.evidence.platform].items():
        left = opened(shown.policy, first, member)
        assert [one.member for one in placeholders(left)] == [member]
        assert failures(shown.verdict(left)) == sorted(names)


def opened(policy: Policy, first: Policy, member: str) -> Policy:
    """``policy`` with one member of ``first``."""
    section, _, name = member.rpartition(".")
    if member.startswith("images"):
        return dataclasses.replace(policy, images=first.images)
    azure = policy.azure or AzurePolicy()
    if section.startswith("azure."):
        inner = section.removeprefix("azure.")
        old = getattr(azure, inner)
        new = dataclasses.replace(old, **{name: getattr(getattr(first.azure, inner), name)})
        return dataclasses.replace(policy, azure=dataclasses.replace(azure, **{inner: new}))
    changed = dataclasses.replace(getattr(policy, section), **{name: getattr(getattr(first, section), name)})
    return dataclasses.replace(policy, **{section: changed})


@every_platform
def test_other_members_have_the_strict_value(shown: Shown) -> None:
    policy, taken = policy_from_manifest(shown.manifest(), shown.descriptor())

    assert policy.snp in (None, SnpPolicy({}))
    assert policy.tdx in (None, TdxPolicy())
    assert policy.instances in (None, Instances())
    if policy.azure and policy.azure.snp:
        assert policy.azure.snp.min_guest_svn == NO_VERSION
    if policy.gcp:
        versions = (policy.gcp.snp_min_svn, policy.gcp.tdx_min_svn)
        assert policy.gcp == GcpPolicy(NO_KEY, *versions)
        assert set(versions) == {NO_VERSION, None}
    assert not (policy.allow_local or policy.allow_debug)
    assert (policy.boot_configuration.workspace, policy.boot_configuration.cvms) == ("trial", ("trainer",))
    assert policy.boot_configuration.owners == CONFIGURATION.owners
    assert taken[0].member == "platforms"
    assert taken[0].value.startswith(f"{shown.evidence.platform}, which relies on ")
    assert [one.member for one in taken[1:]] == [
        "images",
        "boot_configuration.workspace",
        "boot_configuration.cvms",
        "boot_configuration.owners",
    ]


@every_platform
def test_policy_from_evidence_accepts_the_machine(shown: Shown, tmp_path: Path) -> None:
    image, descriptor, bundle = tmp_path / "manifest.json", tmp_path / "workspace.json", tmp_path / "first.json"
    image.write_bytes(shown.manifest().encode())
    descriptor.write_bytes(shown.descriptor().encode())
    first = start_policy(image, descriptor).policy
    save_policy(first, tmp_path / "policy.json")
    assert not shown.verdict(load_policy(tmp_path / "policy.json")).accepted
    bundle.write_bytes(shown.evidence.encode_json())
    policy = policy_from_evidence(image, bundle, at=AT, roots=shown.roots).policy

    assert shown.verdict(policy).accepted
    assert placeholders(policy) == ()
    assert policy.boot_configuration == first.boot_configuration
    # What an image's manifest and the descriptor say is the same in both.
    assert (policy.platforms, policy.images[0].manifest_digest) == (first.platforms, first.images[0].manifest_digest)


def test_workspace_can_have_machines_of_both_platforms() -> None:
    shown = azure_snp()
    descriptor = shown.descriptor()
    other = dataclasses.replace(CONFIGURATION, cvm="second")
    cvms = (*descriptor.cvms, CvmEntry("second", "192.0.2.2:6110", Platform.AZURE_TDX, other))
    policy, taken = policy_from_manifest(shown.manifest(), dataclasses.replace(descriptor, cvms=cvms))

    assert Policy.parse(policy.encode()) == policy
    expected = [*LEFT_OPEN["azure-snp"], *LEFT_OPEN["azure-tdx"]]
    assert [one.member for one in placeholders(policy)] == expected
    assert [one.member for one in taken[:2]] == ["platforms", "platforms"]
    assert failures(shown.verdict(policy)) == ["azure-guest-svn", "azure-id-key", "snp-product"]
