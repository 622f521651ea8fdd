"""Evidence of the platform tdx with one fault for each check, and the policy that finds it."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.collateral_source import QE_IDENTITY, TCB_INFO, InMemory
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.instances import Instances
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.tdx.certificates import PCK_ISSUERS, PCK_NAME
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.testkit import BootEvent, Td, encode_ccel
from cloister.attestation.testkit.intel import certify
from cloister.attestation.tpm.runtimelog import Measurement, MeasurementKind
from cloister.attestation.verifier import ReceiptPurpose, SessionPurpose, verify
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.roots import Anchor
from tests.attestation.statements import samples

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
