"""A policy made from evidence accepts only that machine, and only genuine evidence makes one."""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import pytest

from cloister.attestation.binding import SessionBinding
from cloister.attestation.checks import CHECKS
from cloister.attestation.collateral_source import CERTIFICATE, InMemory
from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import Evidence
from cloister.attestation.first_policy.from_evidence import policy_from_evidence
from cloister.attestation.first_policy.from_manifest import AdoptedValue
from cloister.attestation.first_policy.strict import STRICT, explain
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.snp.report import SigningKey
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.testkit import LocalMachine, Processor, RsaTpm, SnpMachine, Td
from cloister.attestation.testkit.google import GcpSnpMachine, GcpTd
from cloister.attestation.testkit.microsoft import AzureSnpMachine, AzureTdxMachine
from cloister.attestation.verifier import SessionPurpose, verify
from cloister.attestation.x509.roots import VENDORS, Anchor
from cloister.errors import ProofError
from cloister.protocol.imagemanifest import ImageManifest

AT = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
SESSION = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
BINDING = SessionBinding(SESSION.nonce, SESSION.tls_key_digest, SESSION.hpke_key_digest)


@dataclasses.dataclass(frozen=True)
class Shown:
    """A machine's evidence, and what a verifier needs in addition."""

    evidence: Evidence
    image: ImageReference
    roots: tuple[Anchor, ...]
    collateral: InMemory = dataclasses.field(default_factory=InMemory)

    def manifest(self, **changes: Any) -> ImageManifest:
        pcrs = {index: value.hex() for index, value in self.image.pcrs.items()}
        manifest = ImageManifest(flavor="base", debug=False, inputs={}, outputs={}, pcrs=pcrs)
        return dataclasses.replace(manifest, **changes)

    def policy(self, **changes: Any) -> tuple[Policy, tuple[AdoptedValue, ...]]:
        policy, taken, verdict = policy_from_evidence(
            self.evidence, self.manifest(**changes), at=AT, collateral=self.collateral, roots=self.roots
        )
        assert verdict.recording
        return policy, taken


def snp() -> Shown:
    machine = SnpMachine.create_at(AT)
    return Shown(machine.evidence(BINDING), machine.image(), (machine.processor.amd.anchor(),))


def tdx() -> Shown:
    td = Td.create(AT)
    return Shown(td.evidence(BINDING), td.image(), (td.intel.anchor(),), td.intel.collateral())


def azure() -> Shown:
    machine = AzureSnpMachine.create(AT)
    return Shown(machine.evidence(BINDING), machine.image(), machine.roots())


def gcp() -> Shown:
    machine = GcpSnpMachine.create(AT, vtpm=RsaTpm.create())
    collateral = InMemory({"certificate": (machine.google.firmware_root,)})
    return Shown(machine.evidence(BINDING), machine.image(), machine.roots(), collateral)


def azure_tdx() -> Shown:
    machine = AzureTdxMachine.create(AT)
    return Shown(machine.evidence(BINDING), machine.image(), machine.roots(), machine.intel.collateral())


def gcp_tdx() -> Shown:
    td = GcpTd.create(AT)
    collateral = td.intel.collateral().contents
    certificates = (*collateral[CERTIFICATE], td.google.firmware_root)
    return Shown(td.evidence(BINDING), td.image(), td.roots(), InMemory({**collateral, CERTIFICATE: certificates}))


MACHINES: dict[str, Callable[[], Shown]] = {
    "snp": snp,
    "tdx": tdx,
    "azure": azure,
    "azure-tdx": azure_tdx,
    "gcp": gcp,
    "gcp-tdx": gcp_tdx,
}


@pytest.mark.parametrize("name", MACHINES)
def test_policy_accepts_the_machine_it_was_made_from(name: str) -> None:
    shown = MACHINES[name]()
    policy, taken = shown.policy()

    assert Policy.parse(policy.encode()) == policy
    found = verify(shown.evidence, policy, purpose=SESSION, at=AT, collateral=shown.collateral, roots=shown.roots)
    assert found.accepted
    assert all(one.confirm_with for one in taken)


@pytest.mark.parametrize("name", MACHINES)
def test_every_value_of_the_policy_is_named(name: str) -> None:
    policy, taken = MACHINES[name]().policy()
    members = {one.member for one in taken}
    sections = {one for one in ("snp", "azure", "gcp", "instances") if getattr(policy, one) is not None}

    assert {member.split(".")[0] for member in members} == {"images", "boot_configuration", *sections}
    text = " ".join(f"{one.value} {one.fingerprint}" for one in taken)
    for owner in policy.boot_configuration.owners:
        assert owner in text
    for image in policy.images:
        for digest in (image.manifest_digest, *image.launch_digests, *(image.tdx.mrtds if image.tdx else ())):
            assert digest.hex() in text


@pytest.mark.parametrize("name", MACHINES)
def test_forged_evidence_makes_no_policy(name: str) -> None:
    with pytest.raises(ProofError, match="not genuine"):
        dataclasses.replace(MACHINES[name](), roots=VENDORS).policy()


@pytest.mark.parametrize("name", ["azure", "azure-tdx", "gcp"])
def test_another_image_than_the_manifests_makes_no_policy(name: str) -> None:
    other = dict.fromkeys((4, 9, 11), "11" * 32)
    with pytest.raises(ProofError, match="not of that image"):
        MACHINES[name]().policy(pcrs=other)


def test_debug_image_makes_no_policy() -> None:
    with pytest.raises(PolicyError, match="is a debug image"):
        snp().policy(debug=True)


def test_local_machine_needs_the_workspace_descriptor() -> None:
    machine = LocalMachine.create(AT)
    shown = Shown(machine.evidence(BINDING), machine.image(), VENDORS)
    with pytest.raises(PolicyError, match="authority") as caught:
        shown.policy()
    assert "--workspace" in caught.value.hint


def test_vlek_is_adopted_with_its_cloud() -> None:
    processor = Processor.create(AT, kind=SigningKey.VLEK)
    policy, taken = of_cloud(processor).policy()

    assert policy.snp is not None
    assert (policy.snp.allow_vlek, policy.snp.vlek_clouds) == (True, ("CN=cloud.example",))
    assert {"snp.allow_vlek", "snp.vlek_clouds"} <= {one.member for one in taken}
    assert Policy.parse(policy.encode()) == policy
    certificate = processor.amd.certify(
        processor.key.public_key(), processor.tcb, kind=SigningKey.VLEK, csp_id="CN=other.example"
    )
    other = of_cloud(dataclasses.replace(processor, certificate=certificate))
    found = verify(other.evidence, policy, purpose=SESSION, at=AT, collateral=other.collateral, roots=other.roots)
    assert [check.name for check in found.failures] == ["snp-chip"]


def of_cloud(processor: Processor) -> Shown:
    machine = SnpMachine.create(processor)
    return Shown(machine.evidence(BINDING), machine.image(), (processor.amd.anchor(),))


def test_vlek_without_its_certificate_makes_no_policy() -> None:
    shown = of_cloud(Processor.create(AT, kind=SigningKey.VLEK))
    bare = dataclasses.replace(shown, evidence=dataclasses.replace(shown.evidence, snp_certificates=None))
    with pytest.raises(ProofError, match="has no certificate of the key"):
        bare.policy()


def on_snp(**fields: Any) -> Shown:
    machine = dataclasses.replace(SnpMachine.create_at(AT), fields=fields)
    return Shown(machine.evidence(BINDING), machine.image(), (machine.processor.amd.anchor(),))


@pytest.mark.parametrize(
    ("fields", "failed"),
    [
        ({"policy": 1 << 17 | 1 << 16}, {"snp-guest-policy"}),
        ({"platform_info": 1 << 0 | 1 << 2 | 1 << 5}, {"snp-platform-info"}),
        ({"policy": 1 << 17 | 1 << 21}, {"snp-guest-policy"}),
        ({"platform_info": 1 << 2 | 1 << 5 | 1 << 7}, {"snp-platform-info"}),
        ({"policy": 1 << 17 | 1 << 19}, {"snp-debug"}),
        ({"policy": 1 << 17 | 1 << 18}, {"snp-migration"}),
        ({"vmpl": 2}, {"snp-vmpl"}),
        ({"launch_tcb": bytes([4, 0, 0, 0, 0, 0, 24, 218])}, {"snp-tcb-launch"}),
    ],
)
def test_what_weakens_a_machine_is_never_taken_over(fields: dict[str, Any], failed: set[str]) -> None:
    shown = on_snp(**fields)
    policy, taken, verdict = policy_from_evidence(
        shown.evidence, shown.manifest(), at=AT, collateral=shown.collateral, roots=shown.roots
    )

    assert {check.name for check in verdict.failures} == failed
    assert not any(one.member.startswith("snp.allow_") for one in taken)
    assert policy.snp is not None
    assert not (policy.snp.allow_smt or policy.snp.allow_cxl or policy.snp.allow_tio)
    found = verify(shown.evidence, policy, purpose=SESSION, at=AT, roots=shown.roots)
    assert {check.name for check in found.failures} == failed


def test_strict_default_that_rejects_the_evidence_is_named() -> None:
    td = Td.create(AT)
    evidence = td.evidence(BINDING, {"mr_owner": b"o" * 48, "td_attributes": bytes(8)})
    shown = Shown(evidence, td.image(), (td.intel.anchor(),), td.intel.collateral())
    policy, _, verdict = policy_from_evidence(
        shown.evidence, shown.manifest(), at=AT, collateral=shown.collateral, roots=shown.roots
    )

    said = [explain(check) for check in verdict.failures]
    assert any("decided by the policy's tdx.mr_owner, zeros by default." in one for one in said)
    assert any("change tdx.attributes_required or tdx.attributes_allowed in your policy." in one for one in said)
    assert policy.tdx == TdxPolicy()


def test_strict_default_is_named_together_with_vendor_failures() -> None:
    td = Td.create(AT)
    shown = Shown(td.evidence(BINDING, {"mr_owner": b"o" * 48}), td.image(), VENDORS, td.intel.collateral())
    with pytest.raises(ProofError, match="not genuine") as caught:
        shown.policy()
    assert "decided by the policy's tdx.mr_owner" in caught.value.message


def test_every_check_named_by_a_strict_default_exists() -> None:
    assert set(STRICT) <= set(CHECKS)
