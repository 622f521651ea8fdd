"""Azure machines: evidence with one fault fails only the check of that fault."""

import base64
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloister.attestation.azure import hcl
from cloister.attestation.azure.hcl import HclReport
from cloister.attestation.azure.policy import (
    AzurePolicy,
    AzureSnpPolicy,
    AzureTdxPolicy,
    check_snp_paravisor,
    check_tdx_paravisor,
)
from cloister.attestation.azure.verify import claimed_key
from cloister.attestation.checks import CHECKS, CHECKS_OF
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import CERTIFICATE, CollateralItem, InMemory
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import PARTS, Evidence, Platform, TpmQuote
from cloister.attestation.instances import Instances
from cloister.attestation.platforms.vtpm import check_signed_quote
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import ConfigurationPolicy, Policy
from cloister.attestation.result.verdict import Check, CheckOutcome, Recorder
from cloister.attestation.snp.checks import SNP_NAMES
from cloister.attestation.snp.collateral import AmdCollateral
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.snp.verify import check_report
from cloister.attestation.tdx.checks import TDX_NAMES
from cloister.attestation.tdx.collateral import IntelCollateral
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.tdx.verify import check_quote
from cloister.attestation.testkit import (
    Authority,
    AzureSnpMachine,
    AzureTdxMachine,
    BootEvent,
    Paravisor,
    RsaTpm,
    SoftwareTpm,
    encode_event_log,
)
from cloister.attestation.testkit.microsoft import GUEST_SVN, ID_KEY_DIGEST, VM_ID
from cloister.attestation.tpm import structures
from cloister.attestation.tpm.rsa import RsaPublic, RsaSignature
from cloister.attestation.x509.roots import AMD, AZURE_VTPM, MICROSOFT_PARAVISOR, NO_ROOT, VENDORS, Anchor
from cloister.client.collateral import folder
from cloister.protocol import canonical, schema, transcript
from tests.attestation.anchors import as_vendors
from tests.attestation.clouds import (
    AT,
    BINDING,
    MANIFEST,
    OTHER,
    OTHER_384,
    VECTORS,
    Case,
    names,
    quote_cases,
    recorded,
    register_cases,
    shared_cases,
)
from tests.attestation.flips import flipped, places
from tests.attestation.wording import require_words

Machine = AzureSnpMachine | AzureTdxMachine
EVERY_PART = ("tpm_quote", "ak_certificates", "boot_event_log", *PARTS)


@pytest.fixture(scope="module")
def snp_machine() -> AzureSnpMachine:
    return AzureSnpMachine.create(AT, manifest_digest=MANIFEST)


@pytest.fixture(scope="module")
def tdx_machine() -> AzureTdxMachine:
    return AzureTdxMachine.create(AT, manifest_digest=MANIFEST)


@pytest.fixture(scope="module", params=["snp", "tdx"])
def machine(request: pytest.FixtureRequest, snp_machine: AzureSnpMachine, tdx_machine: AzureTdxMachine) -> Machine:
    return snp_machine if request.param == "snp" else tdx_machine


def good(machine: Machine) -> Case:
    collateral = machine.intel.collateral() if isinstance(machine, AzureTdxMachine) else None
    return Case(machine.evidence(BINDING), machine.policy(), machine.roots(), collateral)


def but(machine: Machine, **changes: Any) -> Case:
    """A changed machine, appraised under the policy of the original one."""
    return good(dataclasses.replace(machine, **changes)).but(policy=machine.policy())


def other_type(machine: Machine) -> Case:
    """The HCL report declares the other hardware, so its report type does not fit the platform."""
    kind = hcl.TYPE_TDX if isinstance(machine, AzureSnpMachine) else hcl.TYPE_SNP
    report = bytearray(machine.evidence(BINDING).hcl_report or b"")
    report[1224] = kind
    report[32 + hcl.TDREPORT_SIZE : 32 + hcl.REPORT_SIZE] = bytes(hcl.REPORT_SIZE - hcl.TDREPORT_SIZE)
    return good(machine).with_evidence(hcl_report=bytes(report))


def certified(machine: Machine, key: Any) -> Case:
    return but(machine, certificates=(Authority.create(AT).certify(key.public_key()),))


def paravisors(**changes: Any) -> Callable[[Machine], Case]:
    def case(machine: Machine) -> Case:
        policy = machine.policy()
        assert policy.azure is not None
        snp_section, tdx_section = policy.azure.snp, policy.azure.tdx
        if snp_section is not None:
            section = AzurePolicy(snp=dataclasses.replace(snp_section, **changes))
        else:
            assert tdx_section is not None
            section = AzurePolicy(tdx=dataclasses.replace(tdx_section, **changes))
        return good(machine).but(policy=machine.policy(azure=section))

    return case


COMMON_CASES: Mapping[str, Callable[[Machine], Case]] = {
    "parts": lambda m: good(m).with_evidence(boot_event_log=None),
    "azure-report-type": other_type,
    "azure-user-data": lambda m: but(m, paravisor=Paravisor(user_data=OTHER * 2)),
    "azure-ak": lambda m: but(m, paravisor=Paravisor(ak=RsaTpm.create())),
    "azure-ak-certificate": lambda m: certified(m, RsaTpm.create().key),
    "azure-machine": lambda m: good(m).but(
        policy=m.policy(instances=Instances(azure_vm_ids=("00000000-0000-0000-0000-000000000000",)))
    ),
    "ak-attributes": lambda m: but(m, tpm=RsaTpm(m.tpm.key, structures.AK_ATTRIBUTES & ~structures.OBJECT_RESTRICTED)),
    "boot-event-log": lambda m: good(m).with_evidence(
        boot_event_log=encode_event_log((*m.boot_events, BootEvent(1, 0xD, b"never extended")))
    ),
    "pcr-15": lambda m: but(m, registers={15: OTHER}),
}

SNP_CASES: Mapping[str, Callable[[AzureSnpMachine], Case]] = {
    "azure-id-key": paravisors(id_key_digests=(OTHER_384,)),
    "azure-guest-svn": paravisors(min_guest_svn=GUEST_SVN + 1),
    "snp-report-data": lambda m: but(m, fields={"report_data": b"r" * 64}),
    "snp-vmpl": lambda m: but(m, fields={"vmpl": 2}),
    "snp-debug": lambda m: but(m, fields={"policy": 1 << 17 | 1 << 19}),
}

TDX_CASES: Mapping[str, Callable[[AzureTdxMachine], Case]] = {
    "azure-mrtd": paravisors(mrtds=(OTHER_384,)),
    "azure-mrseam": paravisors(mrseams=(OTHER_384,)),
    "azure-rtmrs": lambda m: but(m, fields={"rtmr2": OTHER_384}),
    "tdx-report-data": lambda m: but(m, fields={"report_data": b"r" * 64}),
    "tdx-debug": lambda m: but(m, fields={"td_attributes": b"\1" + bytes(7)}),
}


CASES: Mapping[str, Mapping[str, Callable[[Any], Case]]] = {
    "azure-snp": {**COMMON_CASES, **SNP_CASES},
    "azure-tdx": {**COMMON_CASES, **TDX_CASES},
}
"""Cases by platform and check."""


@pytest.mark.parametrize(("platform", "name"), [(one, name) for one, cases in CASES.items() for name in cases])
def test_one_fault_fails_only_its_check(
    snp_machine: AzureSnpMachine, tdx_machine: AzureTdxMachine, platform: str, name: str
) -> None:
    verdict = CASES[platform][name](snp_machine if platform == "azure-snp" else tdx_machine).verdict()
    assert names(verdict) == [name]
    require_words(verdict)
    assert not verdict.confidential
    assert tuple(check.name for check in verdict.checks) == CHECKS_OF[platform]


def test_every_shared_check_applies_to_this_platform(machine: Machine) -> None:
    case = good(machine)
    cases = {**shared_cases(machine, case), **quote_cases(machine, case), **register_cases(machine, case)}
    verdicts = {name: make().verdict() for name, make in cases.items()}
    assert {name: names(verdict) for name, verdict in verdicts.items()} == {name: [name] for name in cases}
    assert not any(verdict.confidential for verdict in verdicts.values())
    vendor = SNP_NAMES if isinstance(machine, AzureSnpMachine) else TDX_NAMES
    platform = machine.platform().value
    assert {*cases, *CASES[platform], *vendor} == set(CHECKS_OF[platform])


def test_valid_evidence_is_accepted_with_the_paravisor_as_root(machine: Machine) -> None:
    case = good(machine)
    verdict = case.but(evidence=Evidence.parse(case.evidence.encode())).verdict()
    assert names(verdict) == []
    require_words(verdict)
    assert (verdict.identity_root, verdict.confidential) == ("simulated", True)
    assert verdict.claims.identity["azure_vm_id"] == VM_ID
    assert "paravisor_version" not in verdict.claims.identity  # the header that has it is not signed
    assert verdict.claims.image == ("base", machine.image().manifest_digest)
    value = canonical.parse(verdict.encode(), what="verdict", limit=1 << 20)
    schema.validate("verdict", value, what="verdict")
    policy = machine.policy()
    assert Policy.parse(policy.encode()) == policy


def test_simulated_machine_is_rejected_unless_the_caller_passes_its_root(machine: Machine) -> None:
    case = good(machine)
    verdict = case.but(roots=VENDORS).verdict()
    assert not verdict.accepted
    assert verdict.identity_root == NO_ROOT
    assert case.but(roots=as_vendors(case.roots)).verdict().identity_root == MICROSOFT_PARAVISOR


@pytest.mark.parametrize(
    ("section", "name"),
    [({"id_key_digests": ()}, "azure-id-key"), ({"mrtds": ()}, "azure-mrtd"), ({"mrseams": ()}, "azure-mrseam")],
)
def test_empty_paravisor_list_rejects(
    snp_machine: AzureSnpMachine, tdx_machine: AzureTdxMachine, section: Mapping[str, Any], name: str
) -> None:
    machine = snp_machine if "id_key_digests" in section else tdx_machine
    verdict = paravisors(**section)(machine).verdict()
    assert names(verdict) == [name]
    assert verdict.failures[0].expected == "one that the policy names, and it names none"


def test_verdict_lists_every_accepted_paravisor(snp_machine: AzureSnpMachine) -> None:
    keys = (b"k" * 48, ID_KEY_DIGEST)
    (check,) = (
        one for one in paravisors(id_key_digests=keys)(snp_machine).verdict().checks if one.name == "azure-id-key"
    )
    assert check.expected == f"{keys[0].hex()} or {ID_KEY_DIGEST.hex()}"


def test_a_debug_image_that_the_policy_allows_is_not_confidential(machine: Machine) -> None:
    allowed = machine.policy(images=(machine.image(debug=True),), allow_debug=True)
    verdict = good(machine).but(policy=allowed).verdict()
    assert (verdict.accepted, verdict.confidential) == (True, False)


def test_parts_check_lists_the_parts_found(machine: Machine) -> None:
    def parts(case: Case) -> Check:
        return next(check for check in case.verdict().checks if check.name == "parts")

    evidence = good(machine).evidence
    came = [name for name in EVERY_PART if getattr(evidence, name)]
    assert (parts(good(machine)).outcome, parts(good(machine)).found) == (CheckOutcome.PASSED, ", ".join(came))
    bare = parts(good(machine).with_evidence(**dict.fromkeys(came)))
    assert (bare.outcome, bare.found) == (CheckOutcome.FAILED, "none of them")


def test_tdx_evidence_may_not_have_amd_certificates(tdx_machine: AzureTdxMachine) -> None:
    assert names(good(tdx_machine).with_evidence(snp_certificates=b"table").verdict()) == ["parts"]


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("place", [0, 47])
def test_nonzero_runtime_register_is_rejected(tdx_machine: AzureTdxMachine, index: int, place: int) -> None:
    value = bytes(place) + b"\1" + bytes(47 - place)
    verdict = but(tdx_machine, fields={f"rtmr{index}": value}).verdict()
    assert names(verdict) == ["azure-rtmrs"]
    assert verdict.failures[0].found == f"RTMR {index}: {value.hex()}"


def test_one_simulated_anchor_among_real_ones_is_named(snp_machine: AzureSnpMachine) -> None:
    case = good(snp_machine)
    assert case.but(roots=(*VENDORS, *case.roots)).verdict().identity_root == "simulated"


def test_zero_id_key_digest_is_rejected() -> None:
    with pytest.raises(PolicyError, match="zeros"):
        AzureSnpPolicy((ID_KEY_DIGEST, bytes(48)), GUEST_SVN)
    assert AzureSnpPolicy((b"k" * 47 + b"\0",), GUEST_SVN).id_key_digests == (b"k" * 47 + b"\0",)


def test_report_from_the_boot_is_not_fresh(machine: Machine) -> None:
    """The user data is zero until the guest writes it; a report for one session is stale in the next."""
    assert names(but(machine, paravisor=Paravisor(user_data=bytes(64))).verdict()) == ["azure-user-data"]
    assert names(but(machine, paravisor=Paravisor(user_data=b"")).verdict()) == ["azure-user-data"]
    other = machine.evidence(dataclasses.replace(BINDING, nonce=b"o" * 32))
    replayed = good(machine).with_evidence(hcl_report=other.hcl_report, tdx_quote=other.tdx_quote)
    assert names(replayed.verdict()) == ["azure-user-data"]


def test_claims_not_bound_by_the_hardware_are_rejected(machine: Machine) -> None:
    forged = but(machine, paravisor=Paravisor(vm_unique_id="00000000-0000-0000-0000-000000000000"))
    report = bytearray(machine.evidence(BINDING).hcl_report or b"")
    data = HclReport.parse(forged.evidence.hcl_report or b"")
    start = 1236
    report[start : start + len(data.claims_bytes)] = data.claims_bytes
    wanted = "snp-report-data" if isinstance(machine, AzureSnpMachine) else "tdx-report-data"
    assert names(good(machine).with_evidence(hcl_report=bytes(report)).verdict()) == [wanted]


def test_paravisor_key_must_be_rsa(machine: Machine) -> None:
    software, case = SoftwareTpm.create(), good(machine)
    attest = software.attest(machine.pcrs(), transcript.tpm_qualifying_data(case.evidence.report_data())).marshal()
    quote = TpmQuote(attest, software.sign(attest), software.public().marshal(), machine.pcrs())
    assert names(case.with_evidence(tpm_quote=quote).verdict()) == ["azure-ak"]


def test_vm_ids_are_compared_case_insensitively(machine: Machine) -> None:
    policy = machine.policy(instances=Instances.from_value({"azure_vm_ids": [VM_ID.lower()]}))
    assert good(machine).but(policy=policy).verdict().accepted


def test_attestation_key_certificate_is_only_a_claim(machine: Machine) -> None:
    authority = Authority.create(AT)
    leaf = authority.certify(machine.tpm.key.public_key())
    case = but(machine, certificates=(leaf, authority.certificate))
    verdict = case.verdict()
    assert verdict.accepted
    assert verdict.claims.identity["ak_certificate"] == "does not lead to Microsoft's root"
    anchor = Anchor(AZURE_VTPM, authority.spki_sha256(), simulated=True)
    verdict = case.but(roots=(*case.roots, anchor)).verdict()
    assert verdict.claims.identity["ak_certificate"] == "leads to Microsoft's root"
    alone = but(machine, certificates=(leaf,)).but(roots=(*case.roots, anchor))
    assert alone.verdict().claims.identity["ak_certificate"] == "does not lead to Microsoft's root"
    item = CollateralItem(CERTIFICATE, authority.certificate)
    verdict = alone.with_evidence(collateral=(*alone.evidence.collateral, item)).verdict()
    assert verdict.claims.identity["ak_certificate"] == "leads to Microsoft's root"


def test_chip_outside_the_policy_is_rejected(snp_machine: AzureSnpMachine) -> None:
    for chip, failures in ((snp_machine.processor.chip_id, []), (OTHER * 2, ["snp-instance"])):
        policy = snp_machine.policy(instances=Instances(chip_ids=(chip,)))
        assert names(good(snp_machine).but(policy=policy).verdict()) == failures


def test_ppid_outside_the_policy_is_rejected(tdx_machine: AzureTdxMachine) -> None:
    for ppid, failures in ((tdx_machine.intel.platform.ppid, []), (b"q" * 16, ["tdx-platform-instance"])):
        policy = tdx_machine.policy(instances=Instances(ppids=(ppid,)))
        assert names(good(tdx_machine).but(policy=policy).verdict()) == failures


def test_part_of_another_platform_is_rejected(machine: Machine) -> None:
    assert names(good(machine).with_evidence(snp_report=b"r").verdict()) == ["parts"]


def test_adopted_policy_has_exactly_the_sections_of_its_platform(machine: Machine) -> None:
    policy = machine.policy()
    with pytest.raises(PolicyError, match=r"azure\."):
        machine.policy(azure=None)
    with pytest.raises(PolicyError, match=r"section (snp|tdx)"):
        machine.policy(snp=None, tdx=None)
    both = AzurePolicy(snp=AzureSnpPolicy((), 0), tdx=AzureTdxPolicy((), ()))
    with pytest.raises(PolicyError, match=r"azure\."):
        dataclasses.replace(policy, azure=both)


def bound(machine: Machine) -> Mapping[str, bytes]:
    """The parts in which no bit may change: not the TDREPORT, which only its own machine can check."""
    evidence = machine.evidence(BINDING)
    quote, report = evidence.tpm_quote, evidence.hcl_report
    assert quote is not None and report is not None
    return {"hcl_report": report, "attest": quote.attest, "signature": quote.signature, "ak_public": quote.ak_public}


@pytest.mark.parametrize("part", ["hcl_report", "attest", "signature", "ak_public"])
def test_flipped_bit_in_any_bound_byte_is_rejected(machine: Machine, part: str) -> None:
    case = good(machine)
    data = bound(machine)[part]
    chosen = places(0, len(data))
    if part == "hcl_report" and isinstance(machine, AzureTdxMachine):
        chosen = places(0, 32) + places(32 + hcl.TDREPORT_SIZE, len(data))
    accepted = []
    for place in chosen:
        changed = flipped(data, place)
        if part == "hcl_report":
            case_ = case.with_evidence(hcl_report=changed)
        else:
            quote = case.evidence.tpm_quote
            assert quote is not None
            case_ = case.with_evidence(tpm_quote=dataclasses.replace(quote, **{part: changed}))
        if not case_.refused():
            accepted.append(place)
    assert accepted == []


# Evidence of real machines: checks pass if the recording has what they need, and fail otherwise.

CHALLENGE = b"challenge"
AZURE_ATTRIBUTES = 0x50472
LIMITS = dict.fromkeys(TCB_KINDS, TcbVersion(boot_loader=0, tee=0, snp=0, microcode=0))
VECTOR_TIME = datetime(2025, 6, 1, tzinfo=UTC)
INTEL_TIME = datetime(2026, 3, 20, tzinfo=UTC)
WITHOUT = [
    # Missing: the agent's report data in the user data and in the quote, ...
    "azure-user-data",
    "quote-binding",
    # ... registers 16 to 23, which this evidence format lacks, ...
    "quote-selection",
    "quote-pcr-digest",
    # ... the log of that boot, and the measurements of Cloister's image and agent.
    "boot-event-log",
    "pcr-12",
    "pcr-15",
]


def attested(document: Mapping[str, Any]) -> tuple[bytes, bytes, dict[int, bytes]]:
    pcrs = {index: bytes.fromhex(value) for index, value in enumerate(document["pcrs"])}
    return bytes.fromhex(document["message"]), bytes.fromhex(document["signature"]), pcrs


@pytest.mark.parametrize("platform", ["azure-snp", "azure-tdx", "document"])
def test_real_quotes_are_signed_by_their_vtpm(platform: str) -> None:
    if platform == "document":
        document = json.loads(recorded("azure-snp/evidence-v1.json"))
        text = document["hcl_report"]
        report = HclReport.parse(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        message, signature, pcrs = attested(document["tpm_quote"])
        assert pcrs[0].hex().startswith("e15c4479")
    else:
        report = HclReport.parse(recorded(f"{platform}/hcl-report.bin"))
        message, signature, pcrs = attested(json.loads(recorded(f"{platform}/tpm-quote-v1.json")))
    key = claimed_key(report)
    checks = ("quote-magic", "quote-type", "quote-signature", "quote-binding", "quote-selection", "quote-pcr-digest")
    structure = RsaSignature(structures.ALG_SHA256, signature)

    def judge(qualifying: bytes, values: Mapping[int, bytes], data: bytes = message) -> list[str]:
        recorder = Recorder(checks, CHECKS)
        check_signed_quote(recorder, data, structure, key, values, qualifying)
        return [check.name for check in recorder.finish() if check.outcome is CheckOutcome.FAILED]

    assert judge(CHALLENGE, pcrs) == []
    assert judge(b"another", pcrs) == ["quote-binding"]
    assert judge(CHALLENGE, {**pcrs, 9: OTHER}) == ["quote-pcr-digest"]
    assert judge(CHALLENGE, {index: pcrs[index] for index in range(16)}) == ["quote-selection", "quote-pcr-digest"]
    for place in range(len(message)):
        try:
            assert judge(CHALLENGE, pcrs, flipped(message, place))
        except MalformedEvidence:
            pass


@pytest.mark.parametrize("platform", ["azure-snp", "azure-tdx"])
def test_real_vtpm_key_has_the_name_in_its_quotes(platform: str) -> None:
    """Attributes and hierarchy were not recorded; only one choice of them gives the signer's name."""
    report = HclReport.parse(recorded(f"{platform}/hcl-report.bin"))
    message, _, _ = attested(json.loads(recorded(f"{platform}/tpm-quote-v1.json")))
    public = RsaPublic(structures.ALG_SHA256, AZURE_ATTRIBUTES, b"", report.claims.ak_modulus)
    name = b"\x00\x0b" + hashlib.sha256(public.marshal()).digest()
    qualified = b"\x00\x0b" + hashlib.sha256((0x4000000B).to_bytes(4) + name).digest()
    assert structures.Attest.parse(message).qualified_signer == qualified


def amd_certificates() -> tuple[bytes, ...]:
    pem = recorded("azure-snp/vcek.pem")
    blocks = pem.split(b"-----END CERTIFICATE-----")[:-1]
    return tuple(base64.b64decode(b"".join(block.split(b"-----BEGIN CERTIFICATE-----")[1].split())) for block in blocks)


def test_real_azure_snp_report_is_signed_by_amd() -> None:
    report = HclReport.parse(recorded("azure-snp/hcl-report.bin"))
    hardware = SnpReport.parse(report.hardware_report)
    recorder = Recorder((*SNP_NAMES, "azure-id-key", "azure-guest-svn"), CHECKS)
    section = SnpPolicy({ProductLine.MILAN: LIMITS}, allow_smt=True, require_crl=False)
    anchors = tuple(anchor for anchor in VENDORS if anchor.identity_root == AMD)
    check_report(
        recorder,
        hardware,
        AmdCollateral.parse(amd_certificates()),
        section,
        report_data=report.report_data(),
        at=VECTOR_TIME,
        anchors=anchors,
    )
    known = AzureSnpPolicy((hardware.id_key_digest,), hardware.guest_svn)
    check_snp_paravisor(recorder, hardware.id_key_digest, hardware.guest_svn, known)
    assert [check.name for check in recorder.finish() if check.outcome is CheckOutcome.FAILED] == []
    assert hardware.id_key_digest != ID_KEY_DIGEST


def intel_collateral(into: Path) -> InMemory:
    """The recorded collateral, without the quotes beside it, which a folder of collateral may not have."""
    recorded("tdx/dcap-tdx_quote")  # skips where the recorded evidence is absent
    for path in (VECTORS / "tdx").iterdir():
        if path.suffix != ".dat" and path.name != "dcap-tdx_quote":
            (into / path.name).symlink_to(path)
    return folder.load_collateral(into)


def test_real_azure_tdx_quote_has_the_paravisors_measurements(tmp_path: Path) -> None:
    quote = TdxQuote.parse(recorded("azure-tdx/td-quote.bin"))
    report = quote.report
    assert report.td_attributes == bytes(8)
    recorder = Recorder((*TDX_NAMES, "azure-mrtd", "azure-mrseam", "azure-rtmrs"), CHECKS)
    check_quote(
        recorder,
        quote,
        IntelCollateral.gather(quote.certificates, UsableCollateral((), intel_collateral(tmp_path))),
        TdxPolicy().for_paravisor(),
        report_data=HclReport.parse(recorded("azure-tdx/hcl-report.bin")).report_data(),
        at=INTEL_TIME,
    )
    known = AzureTdxPolicy((report.mr_td,), (report.mr_seam,))
    check_tdx_paravisor(recorder, report.mr_td, report.mr_seam, report.rtmrs, known)
    # Intel's TCB info for this platform (FMSPC 00806f050000) is not recorded.
    assert [check.name for check in recorder.finish() if check.outcome is CheckOutcome.FAILED] == ["tdx-tcb-info"]


def test_recorded_snp_machine_fails_only_the_checks_it_lacks_evidence_for(snp_machine: AzureSnpMachine) -> None:
    report = HclReport.parse(recorded("azure-snp/hcl-report.bin"))
    hardware = SnpReport.parse(report.hardware_report)
    message, signature, pcrs = attested(json.loads(recorded("azure-snp/tpm-quote-v1.json")))
    public = RsaPublic(structures.ALG_SHA256, AZURE_ATTRIBUTES, b"", report.claims.ak_modulus)
    registers = tuple(pcrs[index] for index in structures.QUOTED_PCRS)
    quote = TpmQuote(message, RsaSignature(structures.ALG_SHA256, signature).marshal(), public.marshal(), registers)
    case = good(snp_machine)
    evidence = dataclasses.replace(
        case.evidence,
        hcl_report=recorded("azure-snp/hcl-report.bin"),
        tpm_quote=quote,
        snp_certificates=None,
        collateral=tuple(CollateralItem(CERTIFICATE, der) for der in amd_certificates()),
    )
    image = ImageReference("theirs", False, OTHER, {index: pcrs[index] for index in (4, 9, 11)})
    policy = Policy(
        platforms=(Platform.AZURE_SNP,),
        images=(image,),
        boot_configuration=ConfigurationPolicy("trial", ("main",), case.policy.boot_configuration.owners),
        snp=SnpPolicy({ProductLine.MILAN: LIMITS}, allow_smt=True, require_crl=False),
        azure=AzurePolicy(snp=AzureSnpPolicy((hardware.id_key_digest,), 0)),
    )
    verdict = case.but(evidence=evidence, policy=policy, roots=VENDORS, at=VECTOR_TIME).verdict()
    assert names(verdict) == WITHOUT
    assert verdict.identity_root == MICROSOFT_PARAVISOR


def test_recorded_tdx_machine_fails_only_the_checks_it_lacks_evidence_for(
    tdx_machine: AzureTdxMachine, tmp_path: Path
) -> None:
    report = HclReport.parse(recorded("azure-tdx/hcl-report.bin"))
    td = TdxQuote.parse(recorded("azure-tdx/td-quote.bin")).report
    message, signature, pcrs = attested(json.loads(recorded("azure-tdx/tpm-quote-v1.json")))
    public = RsaPublic(structures.ALG_SHA256, AZURE_ATTRIBUTES, b"", report.claims.ak_modulus)
    registers = tuple(pcrs[index] for index in structures.QUOTED_PCRS)
    quote = TpmQuote(message, RsaSignature(structures.ALG_SHA256, signature).marshal(), public.marshal(), registers)
    case = good(tdx_machine).with_evidence(
        hcl_report=recorded("azure-tdx/hcl-report.bin"),
        tdx_quote=recorded("azure-tdx/td-quote.bin"),
        tpm_quote=quote,
    )
    policy = dataclasses.replace(
        case.policy,
        images=(ImageReference("theirs", False, OTHER, {index: pcrs[index] for index in (4, 9, 11)}),),
        azure=AzurePolicy(tdx=AzureTdxPolicy((td.mr_td,), (td.mr_seam,))),
    )
    collateral = intel_collateral(tmp_path)
    verdict = case.but(policy=policy, roots=VENDORS, at=INTEL_TIME, collateral=collateral).verdict()
    assert names(verdict) == ["tdx-tcb-info", *WITHOUT]
    assert verdict.identity_root == MICROSOFT_PARAVISOR
