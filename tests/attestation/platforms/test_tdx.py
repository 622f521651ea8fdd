"""Every check of the platform tdx: evidence with one fault fails only the check of that fault."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.checks import CHECKS_OF
from cloister.attestation.collateral_source import CERTIFICATE, CRL, QE_IDENTITY, TCB_INFO, CollateralItem, InMemory
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.instances import Instances
from cloister.attestation.policy.policy import Policy
from cloister.attestation.raw.verifier import RawTdx, verify_raw
from cloister.attestation.result.verdict import CheckOutcome, Verdict
from cloister.attestation.tdx.certificates import PCK_ISSUERS, PCK_NAME, SIGNER_NAME
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.tdx.tcb_info import TcbStatus
from cloister.attestation.testkit import BootEvent, Intel, Td, encode_ccel, evidence_policy
from cloister.attestation.testkit.intel import ROOT_NAME, certify
from cloister.attestation.tpm.runtimelog import Measurement, MeasurementKind
from cloister.attestation.verifier import ReceiptPurpose, SessionPurpose, verify
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.roots import Anchor
from cloister.protocol import canonical, schema
from tests.attestation.statements import samples
from tests.attestation.wording import require_words

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MANIFEST = hashlib.sha256(b"manifest").digest()
OTHER = hashlib.sha256(b"something else").digest()
OTHER_48 = hashlib.sha384(b"something else").digest()
SESSION = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
RECEIPT = ReceiptPurpose(b"p" * 32, b"l" * 32)
BINDING = SessionBinding(SESSION.nonce, SESSION.tls_key_digest, SESSION.hpke_key_digest, MANIFEST)
SEPT_VE_DISABLE = 1 << 28


@dataclass(frozen=True)
class Case:
    """The arguments of one appraisal."""

    evidence: Evidence
    policy: Policy
    collateral: InMemory
    anchor: Anchor
    purpose: SessionPurpose | ReceiptPurpose = SESSION
    at: datetime = AT
    manifest_digest: bytes | None = MANIFEST

    def verdict(self) -> Verdict:
        return verify(
            self.evidence,
            self.policy,
            purpose=self.purpose,
            at=self.at,
            manifest_digest=self.manifest_digest,
            collateral=self.collateral,
            roots=(self.anchor,),
        )

    def but(self, **changes: Any) -> "Case":
        return dataclasses.replace(self, **changes)


@pytest.fixture(scope="module")
def td() -> Td:
    return Td.create(AT, manifest_digest=MANIFEST)


def case(td: Td, evidence: Evidence, **changes: Any) -> Case:
    return Case(evidence, td.policy(), td.intel.collateral(), td.intel.anchor()).but(**changes)


def good(td: Td) -> Case:
    return case(td, td.evidence(BINDING))


def reported(td: Td, **changes: Any) -> Case:
    """The TDX module reports changed fields of the TD."""
    return case(td, td.evidence(BINDING, changes))


def enclave(td: Td, **changes: bytes) -> Case:
    """The quoting enclave has changed fields."""
    return case(td, td.evidence(BINDING, qe_report=changes))


def demanded(td: Td, **changes: Any) -> Case:
    """The policy's TDX section has changed members."""
    return good(td).but(policy=td.policy(tdx=TdxPolicy(**changes)))


def stated(td: Td, change: Callable[[dict[str, Any]], object]) -> Case:
    """Intel's TCB info has changed members."""
    info = td.intel.tcb_info()
    change(info)
    return good(td).but(collateral=td.intel.collateral(tcb_info=info))


def identified(td: Td, change: Callable[[dict[str, Any]], object]) -> Case:
    """Intel's QE identity has changed members."""
    identity = td.intel.qe_identity()
    change(identity)
    return good(td).but(collateral=td.intel.collateral(qe_identity=identity))


def replaced(td: Td, kind: str, *contents: bytes) -> Case:
    """The items of one kind are replaced."""
    collateral = td.intel.collateral()
    return good(td).but(collateral=InMemory({**collateral.contents, kind: contents}))


def other_intel(td: Td, **changes: Any) -> Td:
    return dataclasses.replace(td, intel=dataclasses.replace(td.intel, **changes))


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def other_vendor(td: Td) -> Case:
    evidence = td.evidence(BINDING)
    quote = td.intel.quote(td.report(evidence.report_data()), vendor=b"v" * 16)
    return case(td, dataclasses.replace(evidence, tdx_quote=quote))


def flipped(td: Td, offset: int) -> Case:
    """One bit of the quote is flipped; ``offset`` counts from the end of the signed part (702 bytes)."""
    evidence = td.evidence(BINDING)
    assert evidence.tdx_quote is not None
    quote = bytearray(evidence.tdx_quote)
    quote[702 + offset] ^= 1
    return case(td, dataclasses.replace(evidence, tdx_quote=bytes(quote)))


def foreign_pck(td: Td) -> Case:
    """A PCK certificate with the right names, from a CA that is not Intel's."""
    key = new_key()
    pck = certify(AT, key, PCK_ISSUERS[0], PCK_NAME, td.intel.pck_key, extension=td.intel.platform.extension())
    return case(td, other_intel(td, pck=pck).evidence(BINDING))


def expired_pck(td: Td) -> Case:
    until = AT - timedelta(days=1)
    intel = td.intel
    pck = certify(
        AT,
        intel.authority_key,
        PCK_ISSUERS[0],
        PCK_NAME,
        intel.pck_key,
        extension=intel.platform.extension(),
        until=until,
    )
    return case(td, other_intel(td, pck=pck).evidence(BINDING))


def serial(der: bytes) -> int:
    return Certificate.parse(der).parsed.serial_number


def revoked_pck(td: Td) -> Case:
    lists = (td.intel.crl(revoked=[serial(td.intel.pck)]), td.intel.crl(of_root=True))
    return good(td).but(collateral=td.intel.collateral(crls=lists))


def revoked_authority(td: Td) -> Case:
    lists = (td.intel.crl(), td.intel.crl(of_root=True, revoked=[serial(td.intel.authority)]))
    return good(td).but(collateral=td.intel.collateral(crls=lists))


def foreign_signature(td: Td, member: str, value: Mapping[str, Any]) -> Case:
    kind = TCB_INFO if member == "tcbInfo" else QE_IDENTITY
    return replaced(td, kind, td.intel.statement(member, value, new_key()))


def expire(document: dict[str, Any]) -> None:
    document["nextUpdate"] = "2026-02-28T13:00:00Z"


def old(document: dict[str, Any]) -> None:
    document["issueDate"] = "2026-02-01T00:00:00Z"


def measured(td: Td, *log: Measurement) -> Case:
    return case(td, dataclasses.replace(td.evidence(BINDING), runtime_log=log))


def other_configuration(td: Td, **changes: Any) -> Case:
    expected = dataclasses.replace(td.policy().boot_configuration, **changes)
    return good(td).but(policy=td.policy(boot_configuration=expected))


def unlogged_event(td: Td) -> Case:
    log = encode_ccel((*td.boot_events, BootEvent(1, 0xD, b"never extended")))
    return case(td, dataclasses.replace(td.evidence(BINDING), ccel=log))


def other_reference(td: Td, **changes: Any) -> Case:
    image = td.image()
    assert image.tdx is not None
    changed = dataclasses.replace(image, tdx=dataclasses.replace(image.tdx, **changes))
    return good(td).but(policy=td.policy(images=(changed,)))


def other_rtmr(td: Td, index: int) -> Case:
    report = td.report(bytes(64))
    return other_reference(td, rtmrs={1: report.rtmr1, 2: report.rtmr2, index: OTHER_48})


def receipt(td: Td) -> Case:
    binding = ReceiptBinding(RECEIPT.payload_digest, MANIFEST, RECEIPT.log_head)
    return case(td, td.evidence(binding), purpose=RECEIPT)


def foreign_part(td: Td) -> Case:
    return case(td, dataclasses.replace(td.evidence(BINDING), snp_report=b"report"))


def log_of(td: Td) -> tuple[Measurement, ...]:
    return td.runtime_log()


CASES: Mapping[str, Callable[[Td], Case]] = {
    "platform": lambda t: case(t, dataclasses.replace(t.evidence(BINDING), platform=Platform.SEV_SNP)),
    "parts": foreign_part,
    "purpose": lambda t: good(t).but(purpose=RECEIPT),
    "session-nonce": lambda t: good(t).but(purpose=dataclasses.replace(SESSION, nonce=OTHER)),
    "session-tls-key": lambda t: good(t).but(purpose=dataclasses.replace(SESSION, tls_key_digest=OTHER)),
    "session-hpke-key": lambda t: good(t).but(purpose=dataclasses.replace(SESSION, hpke_key_digest=OTHER)),
    "receipt-payload": lambda t: receipt(t).but(purpose=dataclasses.replace(RECEIPT, payload_digest=OTHER)),
    "receipt-log-head": lambda t: receipt(t).but(purpose=dataclasses.replace(RECEIPT, log_head=OTHER)),
    "manifest": lambda t: good(t).but(manifest_digest=OTHER),
    "workspace": lambda t: other_configuration(t, workspace="another"),
    "cvm": lambda t: other_configuration(t, cvms=("another",)),
    "owners": lambda t: other_configuration(t, owners=(OTHER.hex(),)),
    "runtime-log": lambda t: measured(t, *log_of(t)[::-1]),
    "runtime-boot-configuration": lambda t: measured(
        t, Measurement(MeasurementKind.BOOT_CONFIGURATION, OTHER), *log_of(t)[1:]
    ),
    "runtime-agent": lambda t: measured(t, log_of(t)[0], Measurement(MeasurementKind.AGENT, OTHER), log_of(t)[2]),
    "runtime-manifest": lambda t: measured(t, *log_of(t)[:2], Measurement(MeasurementKind.MANIFEST, OTHER)),
    **samples.cases(good),
    "tdx-qe-vendor": other_vendor,
    "tdx-quote-signature": lambda t: flipped(t, 4 + 63),
    "tdx-attestation-key": lambda t: enclave(t, report_data=OTHER + bytes(32)),
    "tdx-qe-report-signature": lambda t: flipped(t, 4 + 128 + 6 + 384 + 63),
    "tdx-pck-path": foreign_pck,
    "tdx-pck-validity": expired_pck,
    "tdx-pck-revocation": revoked_pck,
    "tdx-ca-revocation": revoked_authority,
    "tdx-tcb-info": lambda t: foreign_signature(t, "tcbInfo", t.intel.tcb_info()),
    "tdx-tcb-info-validity": lambda t: stated(t, expire),
    "tdx-qe-identity": lambda t: foreign_signature(t, "enclaveIdentity", t.intel.qe_identity()),
    "tdx-qe-identity-validity": lambda t: identified(t, expire),
    "tdx-collateral-age": lambda t: stated(t, old).but(policy=t.policy(tdx=TdxPolicy(max_collateral_age_days=20))),
    "tdx-tcb-evaluation-number": lambda t: demanded(t, min_tcb_evaluation_data_number=19),
    "tdx-quoting-enclave": lambda t: enclave(t, mr_signer=OTHER),
    "tdx-module": lambda t: stated(t, lambda info: info["tdxModuleIdentities"][0].update(mrsigner="11" * 48)),
    "tdx-tcb-status": lambda t: stated(t, lambda info: info["tcbLevels"][0].update(tcbStatus="SWHardeningNeeded")),
    "tdx-advisories": lambda t: stated(t, lambda info: info["tcbLevels"][0].update(advisoryIDs=["INTEL-SA-00001"])),
    "tdx-platform-instance": lambda t: good(t).but(policy=t.policy(instances=Instances(ppids=(b"q" * 16,)))),
    "tdx-report-version": lambda t: reported(t, tee_tcb_svn2=None, mr_service_td=None).but(
        policy=t.policy(tdx=TdxPolicy(minimum_report_version="1.5"))
    ),
    "tdx-mr-signer-seam": lambda t: demanded(t, mr_signer_seam=OTHER_48),
    "tdx-seam-attributes": lambda t: stated(
        t, lambda info: info["tdxModuleIdentities"][0].update(attributesMask="FE" + "FF" * 7)
    ).but(evidence=t.evidence(BINDING, {"seam_attributes": b"\1" + bytes(7)})),
    "tdx-mr-seam": lambda t: demanded(t, mr_seams=(OTHER_48,)),
    "tdx-debug": lambda t: reported(t, td_attributes=bytes.fromhex("0100001000000000")),
    "tdx-migratable": lambda t: reported(t, td_attributes=bytes.fromhex("0000003000000000")),
    "tdx-attributes": lambda t: reported(t, td_attributes=bytes(8)),
    "tdx-xfam": lambda t: reported(t, xfam=bytes.fromhex("e7020600000000" + "80")),
    "tdx-mr-owner": lambda t: reported(t, mr_owner=OTHER_48),
    "tdx-mr-owner-config": lambda t: reported(t, mr_owner_config=OTHER_48),
    "tdx-service-td": lambda t: reported(t, mr_service_td=OTHER_48),
    "tdx-report-data": lambda t: reported(t, report_data=OTHER * 2),
    "tdx-boot-configuration": lambda t: reported(t, mr_config_id=OTHER_48),
    "tdx-event-log": unlogged_event,
    "tdx-mrtd": lambda t: reported(t, mr_td=OTHER_48),
    "tdx-rtmr-0": lambda t: other_rtmr(t, 0),
    "tdx-rtmr-1": lambda t: other_rtmr(t, 1),
    "tdx-rtmr-2": lambda t: other_rtmr(t, 2),
    "tdx-rtmr-3": lambda t: reported(t, rtmr3=OTHER_48),
    "image-debug": lambda t: good(t).but(policy=t.policy(images=(t.image(debug=True),))),
}


def names(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.failures]


@pytest.mark.parametrize("name", CHECKS_OF["tdx"])
def test_one_fault_fails_only_its_check(td: Td, name: str) -> None:
    verdict = CASES[name](td).verdict()
    assert names(verdict) == [name]
    require_words(verdict)
    assert not verdict.accepted
    assert not verdict.confidential


@pytest.mark.parametrize("make", [good, receipt])
def test_valid_evidence_is_accepted_and_marked_simulated(td: Td, make: Callable[[Td], Case]) -> None:
    one = make(td)
    verdict = one.but(evidence=Evidence.parse(one.evidence.encode())).verdict()
    assert names(verdict) == []
    require_words(verdict)
    assert (verdict.platform, verdict.identity_root, verdict.confidential) == ("tdx", "simulated", True)
    assert verdict.claims.image == ("base", td.image().manifest_digest)
    assert verdict.claims.identity["tcb_status"] == "UpToDate"
    assert verdict.claims.identity["ppid"] == td.intel.platform.ppid.hex()
    schema.validate("verdict", canonical.parse(verdict.encode(), what="verdict", limit=10**6), what="verdict")


def test_verdict_names_identity_root_and_time(td: Td) -> None:
    info = td.intel.tcb_info()
    info["tcbLevels"][0] |= {"tcbStatus": "SWHardeningNeeded", "advisoryIDs": ["INTEL-SA-00615", "INTEL-SA-00001"]}
    info["issueDate"] = "2026-02-20T00:00:00Z"
    lists = (td.intel.crl(since=AT - timedelta(days=2)), td.intel.crl(of_root=True))
    one, report = good(td).but(collateral=td.intel.collateral(tcb_info=info, crls=lists)), td.report(bytes(64))
    of_the_quote = {
        "root": f"Simulated {ROOT_NAME}",
        "root_key": td.intel.anchor().spki_sha256.hex(),
        "fmspc": td.intel.platform.fmspc.hex(),
        "ppid": td.intel.platform.ppid.hex(),
        "tee_tcb_svn": report.tee_tcb_svn.hex(),
        "mr_seam": report.mr_seam.hex(),
        "mr_td": report.mr_td.hex(),
        **{f"rtmr{index}": value.hex() for index, value in enumerate(report.rtmrs)},
        "host_acpi_tables": "measured into RTMR 0, which the policy does not pin",
    }
    of_intel = {
        "tcb_status": "SWHardeningNeeded",
        "tcb_date": "2026-01-01T00:00:00.000Z",
        "advisories": "INTEL-SA-00001, INTEL-SA-00615",
        "tcb_info": "of 2026-02-20T00:00:00.000Z, next due 2026-03-30T12:00:00.000Z, evaluation data 18",
        "qe_identity": "of 2026-02-28T12:00:00.000Z, next due 2026-03-30T12:00:00.000Z, evaluation data 18",
        "crl": "of 2026-02-27T12:00:00.000Z, next due 2026-03-29T12:00:00.000Z",
        "tcb_evaluation": "18",
    }
    missing = {**dict.fromkeys(of_intel, "none"), "advisories": ""}
    for case_, said in ((one, of_intel), (one.but(collateral=InMemory()), missing)):
        assert case_.verdict().claims.identity == {**of_the_quote, **said}


def test_lower_evaluation_of_tcb_info_and_qe_identity_counts(td: Td) -> None:
    info = td.intel.tcb_info()
    info["tcbEvaluationDataNumber"] = 19
    one = good(td).but(collateral=td.intel.collateral(tcb_info=info))
    said = "18, the lower one of TCB info and QE identity; the other has 19"
    assert names(one.verdict()) == []
    assert one.verdict().claims.identity["tcb_evaluation"] == said
    demanding = one.but(policy=td.policy(tdx=TdxPolicy(min_tcb_evaluation_data_number=19))).verdict()
    assert [(check.name, check.found) for check in demanding.failures] == [("tdx-tcb-evaluation-number", said)]


def test_verdict_says_whether_the_hosts_acpi_tables_are_pinned(td: Td) -> None:
    assert good(td).verdict().claims.identity["host_acpi_tables"].endswith("does not pin")
    image = td.image()
    assert image.tdx is not None
    rtmrs = {**image.tdx.rtmrs, 0: td.report(bytes(64)).rtmr0}
    pinned = dataclasses.replace(image, tdx=dataclasses.replace(image.tdx, rtmrs=rtmrs))
    verdict = good(td).but(policy=td.policy(images=(pinned,))).verdict()
    assert verdict.claims.identity["host_acpi_tables"] == "measured into RTMR 0, which the policy pins"


def test_unnamed_anchor_is_shown_by_its_vendor(td: Td) -> None:
    anchor = dataclasses.replace(td.intel.anchor(), name="")
    assert good(td).but(anchor=anchor).verdict().claims.identity["root"] == "simulated"


def test_collateral_may_come_with_the_evidence(td: Td) -> None:
    collateral = td.intel.collateral()
    items = tuple(CollateralItem(kind, content) for kind, all_ in collateral.contents.items() for content in all_)
    evidence = dataclasses.replace(td.evidence(BINDING), collateral=items)
    assert case(td, Evidence.parse_json(evidence.encode_json()), collateral=InMemory()).verdict().accepted


def test_simulated_intel_is_rejected_unless_the_caller_passes_its_root(td: Td) -> None:
    one = good(td)
    verdict = verify(
        one.evidence, one.policy, purpose=SESSION, at=AT, manifest_digest=MANIFEST, collateral=one.collateral
    )
    assert names(verdict) == ["tdx-pck-path", "tdx-tcb-info", "tdx-qe-identity"]


def test_two_anchors_for_intel_are_an_error(td: Td) -> None:
    one = good(td)
    with pytest.raises(PolicyError, match="2 anchors"):
        verify(one.evidence, one.policy, purpose=SESSION, at=AT, roots=(one.anchor, Intel.create(AT).anchor()))
    raw = RawTdx(one.evidence.tdx_quote or b"")
    with pytest.raises(PolicyError, match="0 anchors"):
        verify_raw(raw, evidence_policy(one.policy), report_data=None, at=AT, roots=())


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (AT.replace(tzinfo=None), "no time zone"),
        (datetime.max.replace(tzinfo=timezone(-HOUR)), "beyond the years"),
        (datetime.min.replace(tzinfo=timezone(HOUR)), "beyond the years"),
    ],
)
def test_time_outside_utc_range_is_an_error(td: Td, at: datetime, message: str) -> None:
    one = good(td)
    with pytest.raises(PolicyError, match=message):
        one.but(at=at).verdict()
    with pytest.raises(PolicyError, match=message):
        verify_raw(RawTdx(one.evidence.tdx_quote or b""), evidence_policy(one.policy), report_data=None, at=at)


def test_verdict_time_is_in_utc(td: Td) -> None:
    one = good(td)
    elsewhere = one.but(at=AT.astimezone(timezone(HOUR))).verdict()
    assert elsewhere.encode() == one.verdict().encode()


def test_td_report_1_0_is_supported_and_has_no_service_td(td: Td) -> None:
    verdict = reported(td, tee_tcb_svn2=None, mr_service_td=None).verdict()
    assert verdict.accepted
    (check,) = [check for check in verdict.checks if check.name == "tdx-service-td"]
    assert check.outcome is CheckOutcome.NOT_APPLICABLE


def test_named_service_tds_cannot_be_judged_from_a_td_report_1_0(td: Td) -> None:
    policy = td.policy(tdx=TdxPolicy(service_tds=(OTHER_48,)))
    assert names(reported(td, tee_tcb_svn2=None, mr_service_td=None).but(policy=policy).verdict()) == ["tdx-service-td"]
    assert names(reported(td, mr_service_td=OTHER_48).but(policy=policy).verdict()) == []


def test_a_debug_image_that_the_policy_allows_is_not_confidential(td: Td) -> None:
    allowed = good(td).but(policy=td.policy(images=(td.image(debug=True),), allow_debug=True)).verdict()
    assert (allowed.accepted, allowed.confidential) == (True, False)


@pytest.mark.parametrize(
    ("xfam", "accepted"),
    [("0300000000000000", True), ("0200000000000000", False), ("0100000000000000", False), ("e7db060000000000", True)],
)
def test_xfam_has_a_minimum_and_a_maximum(td: Td, xfam: str, accepted: bool) -> None:
    verdict = reported(td, xfam=bytes.fromhex(xfam)).verdict()
    assert names(verdict) == ([] if accepted else ["tdx-xfam"])


@pytest.mark.parametrize(
    ("attributes", "failures"),
    [
        ("0000005000000000", []),  # PKS besides
        ("0000009000000000", []),  # key locker besides
        ("0000001000000080", ["tdx-attributes"]),  # PERFMON
        ("0000001800000000", ["tdx-attributes"]),  # a reserved bit
        ("0000000000000000", ["tdx-attributes"]),  # without SEPT_VE_DISABLE
        ("8000001000000000", ["tdx-debug"]),
        ("0000002000000000", ["tdx-migratable", "tdx-attributes"]),
    ],
)
def test_td_attributes_must_be_allowed(td: Td, attributes: str, failures: list[str]) -> None:
    assert names(reported(td, td_attributes=bytes.fromhex(attributes)).verdict()) == failures


# --- keys of one purpose cannot serve another -------------------------------------------------------------------


def test_pck_cannot_sign_tcb_info(td: Td) -> None:
    """An attacker who extracts one platform's key must not be able to declare platforms up to date."""
    intel = td.intel
    forged = intel.statement("tcbInfo", intel.tcb_info(), intel.pck_key)
    chain = (intel.pck, intel.authority, intel.signer, intel.root)
    contents = {**intel.collateral().contents, CERTIFICATE: chain, TCB_INFO: (forged,)}
    verdict = good(td).but(collateral=InMemory(contents)).verdict()
    assert names(verdict) == ["tdx-tcb-info"]
    assert verdict.failures[0].found == "no available key of Intel's signed it"


def test_tcb_signer_below_an_intermediate_ca_is_rejected(td: Td) -> None:
    intel, key = td.intel, new_key()
    signer = certify(AT, intel.authority_key, PCK_ISSUERS[0], SIGNER_NAME, key)
    forged = intel.statement("tcbInfo", intel.tcb_info(), key)
    chain = (signer, intel.authority, intel.signer, intel.root)
    contents = {**intel.collateral().contents, CERTIFICATE: chain, TCB_INFO: (forged,)}
    assert names(good(td).but(collateral=InMemory(contents)).verdict()) == ["tdx-tcb-info"]


def test_tcb_signing_key_is_not_a_pck(td: Td) -> None:
    intel = td.intel
    extension = intel.platform.extension()
    pck = certify(AT, intel.root_key, ROOT_NAME, SIGNER_NAME, intel.pck_key, extension=extension)
    assert names(case(td, other_intel(td, pck=pck).evidence(BINDING)).verdict()) == ["tdx-pck-path"]


# --- revocation and age ----------------------------------------------------------------------------------------------


def test_missing_crl_is_rejected_unless_the_policy_allows_it(td: Td) -> None:
    bare = good(td).but(collateral=td.intel.collateral(crls=()))
    assert names(bare.verdict()) == ["tdx-pck-revocation", "tdx-ca-revocation"]
    verdict = bare.but(policy=td.policy(tdx=TdxPolicy(require_crl=False))).verdict()
    assert verdict.accepted
    open_ = {check.name for check in verdict.checks if check.outcome is CheckOutcome.NOT_APPLICABLE}
    assert {"tdx-pck-revocation", "tdx-ca-revocation"} <= open_


def test_certificate_revoked_by_an_expired_crl_stays_revoked(td: Td) -> None:
    """The host omits the current list; the old one still counts against the platform."""
    past = td.intel.crl(revoked=[serial(td.intel.pck)], since=AT - timedelta(days=90))
    lists = (past, td.intel.crl(of_root=True))
    loose = td.policy(tdx=TdxPolicy(require_crl=False))
    verdict = good(td).but(collateral=td.intel.collateral(crls=lists), policy=loose).verdict()
    assert names(verdict) == ["tdx-pck-revocation"]


@pytest.mark.parametrize("days", [-40, 1])
def test_crl_that_is_not_current_counts_as_missing(td: Td, days: int) -> None:
    lists = (td.intel.crl(since=AT + timedelta(days=days)), td.intel.crl(of_root=True))
    assert names(good(td).but(collateral=td.intel.collateral(crls=lists)).verdict()) == ["tdx-pck-revocation"]


def test_revoked_tcb_signer_is_rejected(td: Td) -> None:
    lists = (td.intel.crl(), td.intel.crl(of_root=True, revoked=[serial(td.intel.signer)]))
    assert names(good(td).but(collateral=td.intel.collateral(crls=lists)).verdict()) == ["tdx-ca-revocation"]


def test_older_statement_in_evidence_does_not_replace_the_callers(td: Td) -> None:
    info = td.intel.tcb_info()
    info.update(tcbEvaluationDataNumber=17, issueDate="2026-02-20T00:00:00Z")
    newer = td.intel.tcb_info()
    newer["tcbLevels"][0]["tcbStatus"] = "OutOfDate"
    old_, new = td.intel.statement("tcbInfo", info), td.intel.statement("tcbInfo", newer)
    for order in ((old_, new), (new, old_)):
        assert names(replaced(td, TCB_INFO, *order).verdict()) == ["tdx-tcb-status"]


@pytest.mark.parametrize(
    ("kind", "member", "check"),
    [(TCB_INFO, "tcbInfo", "tdx-tcb-info-validity"), (QE_IDENTITY, "enclaveIdentity", "tdx-qe-identity-validity")],
)
def test_higher_evaluation_number_wins_even_if_expired(td: Td, kind: str, member: str, check: str) -> None:
    """Intel publishes both; otherwise a host could override the caller's newer one with an older one."""
    statement = td.intel.tcb_info if kind == TCB_INFO else td.intel.qe_identity
    newer = statement() | {"issueDate": "2026-01-20T00:00:00Z", "nextUpdate": "2026-02-20T00:00:00Z"}
    fresh = td.intel.statement(member, statement() | {"tcbEvaluationDataNumber": 17})
    overdue = td.intel.statement(member, newer)
    for order in ((fresh, overdue), (overdue, fresh)):
        assert names(replaced(td, kind, *order).verdict()) == [check]


@pytest.mark.parametrize("number", [18, 19])
def test_unissued_statement_does_not_replace_an_issued_one(td: Td, number: int) -> None:
    """A folder may have newer statements when a recording is appraised as of its own time."""
    later = {"issueDate": "2026-03-02T00:00:00Z", "tcbEvaluationDataNumber": number}
    statements = [td.intel.statement("tcbInfo", one) for one in (td.intel.tcb_info(), td.intel.tcb_info() | later)]
    for order in (statements, reversed(statements)):
        assert replaced(td, TCB_INFO, *order).verdict().accepted


def test_newest_statement_of_an_evaluation_counts(td: Td) -> None:
    old = {"issueDate": "2026-01-20T00:00:00Z", "nextUpdate": "2026-02-20T00:00:00Z"}
    statements = [td.intel.statement("tcbInfo", one) for one in (td.intel.tcb_info() | old, td.intel.tcb_info())]
    for order in (statements, reversed(statements)):
        assert replaced(td, TCB_INFO, *order).verdict().accepted


@pytest.mark.parametrize(
    ("forged", "changes"),
    [
        (True, {"tcbEvaluationDataNumber": 30}),
        (False, {"tcbEvaluationDataNumber": 30, "issueDate": "2026-03-02T00:00:00Z"}),
        (False, {"tcbEvaluationDataNumber": 17, "issueDate": "2026-03-01T00:00:00Z"}),
        (False, {"issueDate": "2026-03-01T00:00:00Z", "nextUpdate": "2026-03-01T06:00:00Z"}),
        (False, {"issueDate": "2026-02-20T00:00:00Z"}),
    ],
    ids=["not signed", "not yet issued", "of an older evaluation", "overdue", "older"],
)
def test_statement_of_a_lower_evaluation_is_ignored(td: Td, forged: bool, changes: dict[str, Any]) -> None:
    """The other statement would call the platform out of date."""
    other = td.intel.tcb_info() | changes
    other["tcbLevels"][0]["tcbStatus"] = "OutOfDate"
    statements = (
        td.intel.statement("tcbInfo", td.intel.tcb_info()),
        td.intel.statement("tcbInfo", other, new_key() if forged else None),
    )
    for order in (statements, statements[::-1]):
        assert names(replaced(td, TCB_INFO, *order).verdict()) == []


def test_statement_counts_from_its_issue_date(td: Td) -> None:
    newer = td.intel.tcb_info() | {"tcbEvaluationDataNumber": 30, "issueDate": "2026-03-01T12:00:00Z"}
    newer["tcbLevels"][0]["tcbStatus"] = "OutOfDate"
    statements = [td.intel.statement("tcbInfo", info) for info in (td.intel.tcb_info(), newer)]
    for at, failures in ((AT, ["tdx-tcb-status"]), (AT - timedelta(seconds=1), [])):
        assert names(replaced(td, TCB_INFO, *statements).but(at=at).verdict()) == failures


def test_statement_from_the_future_is_not_current(td: Td) -> None:
    later = {"issueDate": "2026-03-02T00:00:00Z"}
    assert names(stated(td, lambda info: info.update(later)).verdict()) == ["tdx-tcb-info-validity"]


def test_missing_statement_for_the_platform_is_rejected(td: Td) -> None:
    assert names(stated(td, lambda info: info.update(fmspc="ffffffffffff")).verdict()) == ["tdx-tcb-info"]
    assert names(replaced(td, QE_IDENTITY).verdict()) == ["tdx-qe-identity"]


def test_crl_counts_towards_collateral_age(td: Td) -> None:
    lists = (td.intel.crl(since=AT - timedelta(days=25)), td.intel.crl(of_root=True))
    policy = td.policy(tdx=TdxPolicy(max_collateral_age_days=20))
    one = good(td).but(collateral=td.intel.collateral(crls=lists), policy=policy)
    assert names(one.verdict()) == ["tdx-collateral-age"]
    assert good(td).but(policy=policy).verdict().accepted


# --- statuses that a policy accepts ----------------------------------------------------------------------------------


def status(td: Td, text: str, **changes: Any) -> Case:
    return stated(td, lambda info: info["tcbLevels"][0].update(tcbStatus=text, **changes))


def test_accepted_status_also_needs_its_advisories_accepted(td: Td) -> None:
    one = status(td, "SWHardeningNeeded", advisoryIDs=["INTEL-SA-00615"])
    statuses = (TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED)
    assert names(one.but(policy=td.policy(tdx=TdxPolicy(tcb_statuses=statuses))).verdict()) == ["tdx-advisories"]
    policy = td.policy(tdx=TdxPolicy(tcb_statuses=statuses, advisories=("INTEL-SA-00615",)))
    assert one.but(policy=policy).verdict().accepted


@pytest.mark.parametrize(("day", "grace", "accepted"), [(10, 0, True), (11, 0, False), (20, 10, True), (20, 9, False)])
def test_out_of_date_platform_is_accepted_within_grace(td: Td, day: int, grace: int, accepted: bool) -> None:
    one = status(td, "OutOfDate", tcbDate="2026-02-10T00:00:00Z", advisoryIDs=["INTEL-SA-00001"])
    section = TdxPolicy(up_to_date_as_of=date(2026, 2, day), grace_days=grace)
    verdict = one.but(policy=td.policy(tdx=section)).verdict()
    assert verdict.accepted is accepted
    assert names(verdict) == ([] if accepted else ["tdx-tcb-status", "tdx-advisories"])


OLD_MODULE = bytes([3, 1, 3, *[0] * 13])
OLD_MICROCODE = bytes([5, 1, 2, *[0] * 13])


@pytest.mark.parametrize("svn", [OLD_MODULE, OLD_MICROCODE])
@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("UpToDate", set()),
        ("SWHardeningNeeded", {"SWHardeningNeeded"}),
        ("ConfigurationNeeded", {"ConfigurationNeeded"}),
        ("ConfigurationAndSWHardeningNeeded", {"ConfigurationAndSWHardeningNeeded"}),
    ],
)
def test_older_module_or_microcode_does_not_hide_needed_hardening(
    td: Td, svn: bytes, text: str, needed: set[str]
) -> None:
    """Grace covers what became known later: a host must not get it by presenting an older version."""
    info = td.intel.tcb_info()
    info["tcbLevels"][0].update(tcbStatus=text, advisoryIDs=["INTEL-SA-00615"] if needed else [])
    info["tcbLevels"][1].update(tcbDate="2026-02-01T00:00:00Z", advisoryIDs=["INTEL-SA-00615", "INTEL-SA-09999"])
    info["tdxModuleIdentities"][0]["tcbLevels"][1].update(tcbDate="2026-02-01T00:00:00Z")
    evidence = td.evidence(BINDING, {"tee_tcb_svn": svn, "tee_tcb_svn2": svn})
    one = case(td, evidence, collateral=td.intel.collateral(tcb_info=info))

    def judged(*statuses: str, advisories: tuple[str, ...] = ()) -> list[str]:
        accepted = (TcbStatus.UP_TO_DATE, *map(TcbStatus, statuses))
        section = TdxPolicy(tcb_statuses=accepted, advisories=advisories, up_to_date_as_of=date(2026, 1, 15))
        return names(one.but(policy=td.policy(tdx=section)).verdict())

    assert judged(*needed, advisories=("INTEL-SA-00615",)) == []
    assert judged() == (["tdx-tcb-status", "tdx-advisories"] if needed else [])
    assert judged(*needed) == (["tdx-advisories"] if needed else [])


def test_grace_does_not_cover_configuration_or_revocation(td: Td) -> None:
    section = TdxPolicy(up_to_date_as_of=date(2020, 1, 1))
    for text in ("OutOfDateConfigurationNeeded", "Revoked", "ConfigurationNeeded"):
        verdict = status(td, text).but(policy=td.policy(tdx=section)).verdict()
        assert names(verdict) == ["tdx-tcb-status"]


def test_snp_section_has_one_encoding(td: Td) -> None:
    section = TdxPolicy(
        up_to_date_as_of=date(2026, 1, 31),
        grace_days=30,
        advisories=("INTEL-SA-00615",),
        max_collateral_age_days=14,
        min_tcb_evaluation_data_number=18,
        mr_seams=(OTHER_48,),
        service_tds=(OTHER_48,),
    )
    policy = td.policy(tdx=section)
    assert Policy.parse(policy.encode()) == policy
    assert section.value().keys() == {member.name for member in dataclasses.fields(TdxPolicy)}
    assert TdxPolicy.from_value({}) == TdxPolicy()


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes_allowed": SEPT_VE_DISABLE | 1},
        {"attributes_allowed": SEPT_VE_DISABLE | 1 << 29},
        {"attributes_required": 1 << 63},
        {"tcb_statuses": (TcbStatus.UP_TO_DATE, TcbStatus.REVOKED)},
        {"tcb_statuses": ()},
        {"grace_days": 1},
        {"grace_days": 4000, "up_to_date_as_of": date(2026, 1, 1)},
        {"up_to_date_as_of": date(1, 1, 1)},
    ],
)
def test_contradictory_section_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        TdxPolicy(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"tdx": None}, {"images": ()}, {"platforms": (Platform.LOCAL,)}],
)
def test_section_and_platform_must_match(td: Td, changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        td.policy(**changes)


def test_image_without_tdx_registers_never_matches(td: Td) -> None:
    bare = dataclasses.replace(td.image(), tdx=None)
    verdict = good(td).but(policy=td.policy(images=(bare,))).verdict()
    assert names(verdict) == ["tdx-mrtd", "tdx-rtmr-1", "tdx-rtmr-2"]
    require_words(verdict)
    assert not verdict.confidential
    assert good(td).but(policy=td.policy(images=(bare, td.image()))).verdict().accepted


def test_same_td_image_cannot_be_debug_and_not_debug(td: Td) -> None:
    with pytest.raises(PolicyError, match="one image both as"):
        td.policy(images=(td.image(), td.image("debug", debug=True)))


def test_crls_of_other_issuers_are_ignored(td: Td) -> None:
    other = Intel.create(AT)
    lists = (other.crl(name="Somebody else"), td.intel.crl(), td.intel.crl(of_root=True))
    assert replaced(td, CRL, *lists).verdict().accepted


def test_certificates_of_other_vendors_are_ignored(td: Td) -> None:
    """A folder of collateral may serve every platform, and hold more certificates than a path search considers."""
    others = [certify(AT, td.intel.root_key, "ARK-Milan", f"SEV-VCEK-{index}", td.intel.pck_key) for index in range(40)]
    contents = (*others, b"\x30\x03nothing", *td.intel.collateral().items(CERTIFICATE))
    assert replaced(td, CERTIFICATE, *contents).verdict().accepted


def test_another_certificate_of_the_root_key_must_be_self_signed(td: Td) -> None:
    forged = certify(AT, new_key(), ROOT_NAME, ROOT_NAME, td.intel.root_key, ca=1)
    assert replaced(td, CERTIFICATE, forged, td.intel.signer).verdict().accepted  # the chain of the quote has the root


def test_unpublished_module_is_rejected(td: Td) -> None:
    verdict = reported(td, tee_tcb_svn=bytes([5, 9, 3, *[0] * 13])).verdict()
    assert names(verdict) == ["tdx-module", "tdx-tcb-status"]
    assert verdict.failures[0].found == "version 9, which is unknown"
    require_words(verdict)


def test_attestation_key_outside_the_curve_is_malformed(td: Td) -> None:
    evidence, start = td.evidence(BINDING), 702 + 4 + 64  # after the signed part, the size and the signature
    quote = evidence.tdx_quote or b""
    changed = dataclasses.replace(evidence, tdx_quote=quote[:start] + bytes(64) + quote[start + 64 :])
    with pytest.raises(MalformedEvidence, match="is not a point on the curve P-256") as caught:
        case(td, changed).verdict()
    assert (caught.value.field, caught.value.offset) == ("TDX quote.attestation key", 0)


def test_without_a_path_validity_does_not_apply(td: Td) -> None:
    verdict = foreign_pck(td).verdict()
    outcomes = {check.name: check.outcome for check in verdict.checks}
    for name in ("tdx-pck-validity", "tdx-pck-revocation", "tdx-ca-revocation"):
        assert outcomes[name] is CheckOutcome.NOT_APPLICABLE


def test_module_attributes_must_equal_the_published_ones(td: Td) -> None:
    published = stated(td, lambda info: info["tdxModuleIdentities"][0].update(attributes="01" + "00" * 7))
    assert names(published.verdict()) == ["tdx-module"]


def test_every_certificate_of_a_path_must_be_valid(td: Td) -> None:
    """The platform's certificate outlives the authority that issued it."""
    intel, until = td.intel, AT - timedelta(days=1)
    authority = certify(AT, intel.root_key, ROOT_NAME, PCK_ISSUERS[0], intel.authority_key, ca=0, until=until)
    verdict = case(td, other_intel(td, authority=authority).evidence(BINDING)).verdict()
    assert names(verdict) == ["tdx-pck-validity"]
    assert "2026-02-28" in verdict.failures[0].found


@pytest.mark.parametrize("member", ["tcbInfo", "enclaveIdentity"])
def test_revocation_of_either_statement_signer_is_rejected(td: Td, member: str) -> None:
    """Another signer's certificate that is not revoked does not replace it."""
    intel, key = td.intel, new_key()
    signer = certify(AT, intel.root_key, ROOT_NAME, SIGNER_NAME, key)
    collateral = intel.collateral(crls=(intel.crl(), intel.crl(of_root=True, revoked=[serial(signer)])))
    kind, value = {"tcbInfo": (TCB_INFO, intel.tcb_info()), "enclaveIdentity": (QE_IDENTITY, intel.qe_identity())}[
        member
    ]
    contents = {
        **collateral.contents,
        CERTIFICATE: (*collateral.contents[CERTIFICATE], signer),
        kind: (intel.statement(member, value, key),),
    }
    assert names(good(td).but(collateral=InMemory(contents)).verdict()) == ["tdx-ca-revocation"]


def test_expired_signer_makes_a_statement_expired(td: Td) -> None:
    intel, until = td.intel, AT - timedelta(days=1)
    signer = certify(AT, intel.root_key, ROOT_NAME, SIGNER_NAME, intel.signer_key, until=until)
    verdict = replaced(td, CERTIFICATE, signer, intel.root).verdict()
    assert names(verdict) == ["tdx-tcb-info-validity", "tdx-qe-identity-validity"]
    assert all(check.found.startswith("signer's certificates valid from") for check in verdict.failures)


def test_age_and_number_limits_do_not_apply_without_statements(td: Td) -> None:
    policy = td.policy(tdx=TdxPolicy(max_collateral_age_days=20, min_tcb_evaluation_data_number=1))
    verdict = good(td).but(collateral=InMemory({CERTIFICATE: (td.intel.root,)}), policy=policy).verdict()
    assert names(verdict) == ["tdx-pck-revocation", "tdx-ca-revocation", "tdx-tcb-info", "tdx-qe-identity"]
    reasons = {check.name: check.reason for check in verdict.checks}
    for name in ("tdx-collateral-age", "tdx-tcb-evaluation-number"):
        assert reasons[name] == "there is no statement that is signed"


@pytest.mark.parametrize(("seconds", "accepted"), [(0, True), (1, False)])
def test_statement_at_the_age_limit_is_accepted(td: Td, seconds: int, accepted: bool) -> None:
    day = AT - timedelta(days=20, seconds=seconds)
    dated = stated(td, lambda info: info.update(issueDate=day.strftime("%Y-%m-%dT%H:%M:%SZ")))
    verdict = dated.but(policy=td.policy(tdx=TdxPolicy(max_collateral_age_days=20))).verdict()
    assert names(verdict) == ([] if accepted else ["tdx-collateral-age"])


def test_lowest_evaluation_number_is_compared(td: Td) -> None:
    """The test kit's statements have number 18."""
    newer = {"tcbEvaluationDataNumber": 30}
    changes = (lambda document: None, lambda document: document.update(newer))
    for least, failures in ((18, []), (19, ["tdx-tcb-evaluation-number"])):
        policy = td.policy(tdx=TdxPolicy(min_tcb_evaluation_data_number=least))
        for made in (stated(td, changes[0]), stated(td, changes[1]), identified(td, changes[1])):
            verdict = made.but(policy=policy).verdict()
            assert names(verdict) == failures
            (said,) = [check.found for check in verdict.checks if check.name == "tdx-tcb-evaluation-number"]
            assert said.split(",")[0] == "18"
