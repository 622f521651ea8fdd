"""A policy made from a bare report or quote recognises it, is strict, and only genuine evidence makes one."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral_source import CERTIFICATE, CRL, QE_IDENTITY, InMemory
from cloister.attestation.first_policy.from_raw import policy_from_raw
from cloister.attestation.first_policy.strict import explain
from cloister.attestation.policy.either import parse_policy
from cloister.attestation.policy.evidence_policy import EvidencePolicy, RawPlatform
from cloister.attestation.raw.verifier import Raw, RawHcl, RawSnp, RawTdx, verify_raw
from cloister.attestation.snp.report import SigningKey
from cloister.attestation.tdx.tcb_info import TcbStatus
from cloister.attestation.testkit import (
    AzureSnpMachine,
    AzureTdxMachine,
    Intel,
    Processor,
    SnpMachine,
    Td,
    bare,
)
from cloister.attestation.x509.roots import VENDORS, Anchor
from cloister.errors import ProofError
from tests.attestation.anchors import as_vendors
from tests.attestation.flips import flipped

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
CHIP = Processor.create(AT)
INTEL = Intel.create(AT)
AZURE = AzureSnpMachine.create(AT)
AZURE_TD = AzureTdxMachine.create(AT)


@dataclasses.dataclass(frozen=True)
class Shown:
    raw: Raw
    roots: tuple[Anchor, ...]
    collateral: InMemory

    def make(self, **changes: Any) -> tuple[EvidencePolicy, set[str], set[str]]:
        """The policy, the members that it adopts, and the checks that the evidence fails under it."""
        shown = dataclasses.replace(self, **changes)
        policy, taken, verdict = policy_from_raw(shown.raw, at=AT, collateral=shown.collateral, roots=shown.roots)
        assert all(one.value and one.confirm_with for one in taken)
        return policy, {one.member for one in taken}, {check.name for check in verdict.failures}


def amd(processor: Processor, *lists: bytes) -> InMemory:
    signer = processor.amd.signers[processor.kind][1]
    return InMemory({CERTIFICATE: (processor.certificate, signer, processor.amd.root), CRL: lists})


def snp(processor: Processor = CHIP, **fields: Any) -> Shown:
    raw = bare(SnpMachine(processor=processor, crls=(), fields=fields).evidence(BINDING))
    return Shown(raw, (processor.amd.anchor(),), amd(processor, processor.amd.crl()))


def td(**changes: Any) -> Shown:
    raw = bare(Td(intel=INTEL).evidence(BINDING, changes))
    return Shown(raw, (INTEL.anchor(),), INTEL.collateral())


def azure() -> Shown:
    return Shown(bare(AZURE.evidence(BINDING)), AZURE.roots(), amd(AZURE.processor, *AZURE.crls))


def azure_td() -> Shown:
    return Shown(bare(AZURE_TD.evidence(BINDING)), AZURE_TD.roots(), AZURE_TD.intel.collateral())


MAKE: Mapping[RawPlatform, Callable[[], Shown]] = {
    RawPlatform.SEV_SNP: snp,
    RawPlatform.TDX: td,
    RawPlatform.AZURE_SNP: azure,
    RawPlatform.AZURE_TDX: azure_td,
}
PINNED = {
    RawPlatform.SEV_SNP: {"snp.launch_digests", "snp.host_data", "snp.minimum_tcb.Milan"},
    RawPlatform.TDX: {
        "tdx.mrtds",
        *(f"tdx.rtmrs.{n}" for n in range(4)),
        "tdx.mr_config_id",
        "tdx.minimum_tee_tcb_svn2",
    },
    RawPlatform.AZURE_SNP: {"azure.snp.id_key_digests", "pcrs.4", "pcrs.7", "snp.minimum_tcb.Milan"},
    RawPlatform.AZURE_TDX: {"azure.tdx.mrtds", "azure.tdx.mrseams", "pcrs.4", "pcrs.9", "pcrs.11"},
}


@pytest.mark.parametrize("platform", MAKE)
def test_policy_recognises_the_evidence_that_it_was_made_from(platform: RawPlatform) -> None:
    policy, taken, failed = MAKE[platform]().make()

    assert (policy.platforms, failed) == ((platform,), set())
    assert taken >= PINNED[platform]
    assert not {"pcrs.10", "pcrs.15"} & taken
    assert parse_policy(policy.encode()) == policy


@pytest.mark.parametrize("platform", MAKE)
def test_policy_rejects_another_guest(platform: RawPlatform) -> None:
    """What changes is what the policy pins; the vendors' layers are as good as before."""
    policy, _, _ = MAKE[platform]().make()
    other = {
        RawPlatform.SEV_SNP: lambda: snp(measurement=b"\x01" * 48),
        RawPlatform.TDX: lambda: td(rtmr1=b"\x01" * 48),
        RawPlatform.AZURE_SNP: lambda: dataclasses.replace(azure(), raw=bare(booted(AZURE))),
        RawPlatform.AZURE_TDX: lambda: dataclasses.replace(azure_td(), raw=bare(booted(AZURE_TD))),
    }[platform]()
    verdict = verify_raw(other.raw, policy, report_data=None, at=AT, collateral=other.collateral, roots=other.roots)

    failed = {check.name for check in verdict.failures}
    assert failed and failed <= {"snp-launch-digest", "tdx-rtmr-1", "pcr-4"}


def booted(machine: Any) -> Any:
    """Evidence of the same machine after it booted another kernel."""
    *others, last = machine.boot_events
    events = [dataclasses.replace(one, data=b"another") if one.pcr == 4 else one for one in (*others, last)]
    return dataclasses.replace(machine, boot_events=tuple(events)).evidence(BINDING)


@pytest.mark.parametrize("platform", MAKE)
def test_evidence_that_leads_to_no_pinned_root_makes_no_policy(platform: RawPlatform) -> None:
    with pytest.raises(ProofError, match="not shown to be genuine"):
        MAKE[platform]().make(roots=VENDORS)


@pytest.mark.parametrize("platform", MAKE)
def test_changed_evidence_makes_no_policy(platform: RawPlatform) -> None:
    shown = MAKE[platform]()
    raw = shown.raw
    assert isinstance(raw, RawSnp | RawTdx | RawHcl)
    name, at = {"RawSnp": ("report", 0x90), "RawTdx": ("quote", 48 + 136), "RawHcl": ("report", 0)}[type(raw).__name__]
    changed = raw.quote if isinstance(raw, RawHcl) else raw
    assert changed is not None
    if isinstance(raw, RawHcl):
        name, at = "attest", -1
    data = bytearray(getattr(changed, name))
    data[at] ^= 1
    other: Any = dataclasses.replace(changed, **{name: bytes(data)})
    with pytest.raises(ProofError, match="not shown to be genuine"):
        shown.make(raw=dataclasses.replace(raw, quote=other) if isinstance(raw, RawHcl) else other)


@pytest.mark.parametrize(
    ("fields", "failed"),
    [
        ({"policy": 1 << 17 | 1 << 16}, {"snp-guest-policy"}),
        ({"platform_info": 1 << 0 | 1 << 2 | 1 << 5}, {"snp-platform-info"}),
        ({"policy": 1 << 17 | 1 << 21}, {"snp-guest-policy"}),
        ({"platform_info": 1 << 2 | 1 << 5 | 1 << 7}, {"snp-platform-info"}),
        ({"policy": 1 << 17 | 1 << 19}, {"snp-debug"}),
        ({"policy": 1 << 17 | 1 << 18}, {"snp-migration"}),
        ({"vmpl": 1}, {"snp-vmpl"}),
        ({"launch_tcb": bytes([4, 0, 0, 0, 0, 0, 24, 218])}, {"snp-tcb-launch"}),
    ],
)
def test_what_weakens_a_guest_is_never_taken_over(fields: dict[str, Any], failed: set[str]) -> None:
    policy, taken, found = snp(**fields).make()

    assert found == failed
    assert policy.snp is not None
    assert (policy.snp.allow_smt, policy.snp.allow_cxl, policy.snp.allow_tio) == (False, False, False)
    assert policy.snp_pins.vmpl == 0
    assert not {member for member in taken if "allow" in member or "vmpl" in member}


@pytest.mark.parametrize("status", ["OutOfDate", "Revoked", "SWHardeningNeeded", "ConfigurationNeeded"])
def test_status_of_a_platform_is_never_taken_over(status: str) -> None:
    info = INTEL.tcb_info()
    info["tcbLevels"][0] |= {"tcbStatus": status, "advisoryIDs": ["INTEL-SA-00615"]}
    policy, _, failed = td().make(collateral=INTEL.collateral(tcb_info=info))

    assert policy.tdx is not None
    assert (policy.tdx.tcb_statuses, policy.tdx.advisories) == ((TcbStatus.UP_TO_DATE,), ())
    assert failed == {"tdx-tcb-status", "tdx-advisories"}


@pytest.mark.parametrize(
    ("attributes", "failed"), [("0100001000000000", "tdx-debug"), ("0000003000000000", "tdx-migratable")]
)
def test_td_under_debug_or_migration_makes_a_policy_that_rejects_it(attributes: str, failed: str) -> None:
    policy, _, found = td(td_attributes=bytes.fromhex(attributes)).make()
    assert found == {failed}
    assert policy.tdx is not None and not policy.tdx.attributes_allowed & 0x200000FF


def test_missing_lists_and_statements_are_named_and_make_a_policy() -> None:
    certificates = dataclasses.replace(snp(), collateral=amd(CHIP))
    assert certificates.make()[2] == {"snp-crl"}
    policy, _, failed = td().make(collateral=InMemory())
    assert policy.tdx is not None and policy.tdx.require_crl
    assert failed == {"tdx-tcb-info", "tdx-qe-identity", "tdx-pck-revocation", "tdx-ca-revocation"}


@pytest.mark.parametrize(("kind", "check"), [("tcb-info", "tdx-tcb-info"), ("qe-identity", "tdx-qe-identity")])
def test_statement_that_intel_did_not_sign_makes_no_policy(kind: str, check: str) -> None:
    """Only its absence is a matter of strictness."""
    given = dict(INTEL.collateral().contents)
    (statement,) = given[kind]
    at = statement.rindex(b'"signature":"') + len(b'"signature":"')
    digit = b"1" if statement[at : at + 1] == b"0" else b"0"
    forged = statement[:at] + digit + statement[at + 1 :]
    with pytest.raises(ProofError, match="no available key of Intel's signed it") as caught:
        td().make(collateral=InMemory({**given, kind: (forged,)}))
    assert caught.value.hint == "Intel's service has it: pass --fetch, and leave out the copy that you have."
    alone = InMemory({**given, kind: (forged,), CERTIFICATE: ()})  # without its issuers no one can say who signed it
    assert check in td().make(collateral=alone)[2]


def test_policy_from_a_quote_of_an_unidentified_enclave_says_what_that_means() -> None:
    """Its first policy may have the values of a forger, who left Intel's identity out."""
    forged = INTEL.quote(Td(intel=INTEL).report(bytes(64)), qe_report={"mr_signer": b"\xee" * 32})
    with pytest.raises(ProofError, match="The quoting enclave"):
        td().make(raw=RawTdx(forged))
    given = {kind: found for kind, found in INTEL.collateral().contents.items() if kind != QE_IDENTITY}
    _, _, verdict = policy_from_raw(
        RawTdx(forged), at=AT, collateral=InMemory(given), roots=as_vendors([INTEL.anchor()])
    )
    assert [check.name for check in verdict.failures] == ["tdx-qe-identity"]
    assert "may have invented every value above" in explain(verdict.failures[0])
    assert verdict.identity_root == "none"


def test_error_for_a_missing_certificate_says_only_that() -> None:
    """What strict values reject can be read when the certificate is there."""
    weak = snp(platform_info=1 << 0 | 1 << 2 | 1 << 5)
    assert isinstance(weak.raw, RawSnp)
    with pytest.raises(ProofError) as caught:
        weak.make(raw=RawSnp(weak.raw.report), collateral=InMemory())
    assert "snp.allow_smt" not in caught.value.message and "signing key" in caught.value.message
    assert caught.value.hint is not None and "--collateral DIR" in caught.value.hint
    with pytest.raises(ProofError) as caught:
        weak.make(raw=dataclasses.replace(weak.raw, report=flipped(weak.raw.report, 0x90)))
    assert "snp.allow_smt" in caught.value.message
    assert caught.value.hint is not None and "do not use it" in caught.value.hint


def test_revoked_signer_makes_no_policy() -> None:
    with pytest.raises(ProofError, match="revoked"):
        snp().make(collateral=amd(CHIP, CHIP.amd.crl(revoked=[0x10001])))


def test_report_without_its_certificate_makes_no_policy() -> None:
    for raw in (RawSnp(CHIP.report()), RawSnp(CHIP.report(version=2))):
        with pytest.raises(ProofError):
            snp().make(raw=raw, collateral=InMemory())


def test_cloud_key_is_taken_over_with_its_cloud() -> None:
    policy, taken, failed = snp(Processor.create(AT, kind=SigningKey.VLEK, amd=CHIP.amd)).make()
    assert failed == set()
    assert policy.snp is not None and policy.snp.vlek_clouds == ("CN=cloud.example",)
    assert {"snp.allow_vlek", "snp.vlek_clouds"} <= taken


def test_id_block_and_owner_are_taken_over_if_there_are_any() -> None:
    block = {"id_key_digest": b"\x01" * 48, "author_key_digest": b"\x02" * 48, "key_info": 1, "family_id": b"\x03" * 16}
    assert {"snp.id_key_digests", "snp.author_key_digests", "snp.family_id"} <= snp(**block).make()[1]
    assert not {"snp.id_key_digests", "snp.family_id", "snp.image_id"} & snp().make()[1]
    policy, taken, failed = td(mr_owner=b"o" * 48).make()
    assert ("tdx.mr_owner" in taken, failed) == (True, set())
    assert policy.tdx is not None and policy.tdx.mr_owner == b"o" * 48


def test_older_td_report_is_not_demanded_to_be_newer() -> None:
    policy, _, failed = td(tee_tcb_svn2=None, mr_service_td=None).make()
    assert failed == set()
    assert policy.tdx is not None and policy.tdx.minimum_report_version == "1.0"
    assert policy.tdx_pins.minimum_tee_tcb_svn2 is None
