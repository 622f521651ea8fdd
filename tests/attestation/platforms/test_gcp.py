"""Google machines: evidence with one fault fails only the check of that fault."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cloister.attestation.checks import CHECKS, CHECKS_OF
from cloister.attestation.collateral_source import CERTIFICATE, LAUNCH_ENDORSEMENT, CollateralItem
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import Evidence
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.gcp.technology import check_technology
from cloister.attestation.instances import GcpInstance, Instances
from cloister.attestation.platforms import vtpm
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import CheckOutcome, Recorder
from cloister.attestation.snp.checks import SNP_NAMES
from cloister.attestation.tdx.checks import TDX_NAMES
from cloister.attestation.testkit import (
    BootEvent,
    GcpSnpMachine,
    GcpTd,
    Google,
    RsaTpm,
    SoftwareTpm,
    encode_event_log,
)
from cloister.attestation.testkit.google import MACHINE, SVN, boot_events, instance_info
from cloister.attestation.testkit.td import encode_ccel
from cloister.attestation.tpm import structures
from cloister.attestation.tpm.eventlog import EV_NO_ACTION, EventLog
from cloister.attestation.tpm.rsa import RsaPublic, RsaSignature
from cloister.attestation.x509.roots import AMD, GOOGLE_VTPM, NO_ROOT, VENDORS
from cloister.protocol import canonical, schema
from tests.attestation.anchors import as_vendors
from tests.attestation.clouds import (
    AT,
    BINDING,
    MANIFEST,
    OTHER,
    OTHER_384,
    Case,
    names,
    quote_cases,
    recorded,
    register_cases,
    shared_cases,
)
from tests.attestation.flips import flipped, places
from tests.attestation.wording import require_words

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def machine() -> GcpSnpMachine:
    return GcpSnpMachine.create(AT, manifest_digest=MANIFEST, vtpm=SoftwareTpm.create())


@pytest.fixture(scope="module")
def td() -> GcpTd:
    return GcpTd.create(AT, manifest_digest=MANIFEST)


def good(machine: GcpSnpMachine) -> Case:
    return Case(machine.evidence(BINDING), machine.policy(), machine.roots())


def good_td(td: GcpTd) -> Case:
    return Case(td.evidence(BINDING), td.policy(), td.roots(), td.intel.collateral())


def but(machine: GcpSnpMachine, **changes: Any) -> Case:
    """A changed machine, appraised under the policy of the original one."""
    return good(dataclasses.replace(machine, **changes)).but(policy=machine.policy())


def certified(machine: GcpSnpMachine, **terms: Any) -> Case:
    return but(machine, certificate=machine.google.certify(machine.tpm.key.public_key(), **terms))


def endorsed(machine: GcpSnpMachine, **terms: Any) -> Case:
    return but(machine, endorsement=machine.google.endorse(**terms))


def expired_signer(google: Google) -> bytes:
    return google.endorse(certificate=google.signer(not_before=AT - 2 * DAY, not_after=AT - DAY))


def other_key(_: Google) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def instances(*allowed: GcpInstance) -> Instances:
    return Instances(gcp=allowed)


SNP_CASES: Mapping[str, Callable[[GcpSnpMachine], Case]] = {
    "parts": lambda m: good(m).with_evidence(boot_event_log=None),
    "gcp-endorsement-path": lambda m: good(m).but(policy=m.policy(gcp=GcpPolicy(OTHER, snp_min_svn=SVN))),
    "gcp-endorsement-validity": lambda m: but(m, endorsement=expired_signer(m.google)),
    "gcp-endorsement-signature": lambda m: endorsed(m, key=other_key(m.google)),
    "gcp-launch-digest": lambda m: endorsed(m, measurements={1: OTHER_384, 2: OTHER_384[::-1]}),
    "gcp-firmware-svn": lambda m: endorsed(m, svn=SVN - 1),
    "gcp-production": lambda m: certified(m, info=instance_info(production=False)),
    "gcp-instance": lambda m: certified(m, info=instance_info(GcpInstance("other", "z", 1, "main"))),
    "gcp-technology": lambda m: but(m, boot_events=boot_events(technology=0)),
    "snp-report-data": lambda m: but(m, fields={"report_data": b"r" * 64}),
    "snp-debug": lambda m: but(m, fields={"policy": 1 << 17 | 1 << 19}),
    "ak-path": lambda m: good(m).but(roots=(m.roots()[0], dataclasses.replace(m.roots()[1], spki_sha256=OTHER))),
    "ak-validity": lambda m: certified(m, not_before=AT - 2 * DAY, not_after=AT - DAY),
    "ak-not-ca": lambda m: certified(m, is_ca=True),
    "ak-usage": lambda m: certified(m, usages=("key_encipherment",)),
    "ak-key": lambda m: but(m, certificate=m.google.certify(ec.generate_private_key(ec.SECP256R1()).public_key())),
    "ak-attributes": lambda m: but(
        m, tpm=SoftwareTpm(software(m).key, structures.AK_ATTRIBUTES & ~structures.OBJECT_RESTRICTED)
    ),
    "boot-event-log": lambda m: good(m).with_evidence(
        boot_event_log=encode_event_log((*m.boot_events, BootEvent(1, 0xD, b"never extended")))
    ),
    "pcr-15": lambda m: but(m, registers={15: OTHER}),
}


def software(machine: GcpSnpMachine) -> SoftwareTpm:
    assert isinstance(machine.tpm, SoftwareTpm)
    return machine.tpm


TDX_CASES: Mapping[str, Callable[[GcpTd], Case]] = {
    "parts": lambda t: good_td(t).with_evidence(ccel=None),
    "gcp-endorsement-path": lambda t: good_td(t).but(policy=t.policy(gcp=GcpPolicy(OTHER, tdx_min_svn=SVN))),
    "gcp-endorsement-validity": lambda t: good_td(t).with_evidence(launch_endorsement=expired_signer(t.google)),
    "gcp-endorsement-signature": lambda t: good_td(t).with_evidence(
        launch_endorsement=t.google.endorse(key=other_key(t.google))
    ),
    "gcp-mrtd": lambda t: good_td(t).with_evidence(launch_endorsement=t.google.endorse(mrtds=(OTHER_384,))),
    "gcp-firmware-svn": lambda t: good_td(t).with_evidence(launch_endorsement=t.google.endorse(svn=SVN - 1)),
    "tdx-report-data": lambda t: good_td(t).but(evidence=t.evidence(BINDING, {"report_data": b"r" * 64})),
    "tdx-debug": lambda t: good_td(t).but(evidence=t.evidence(BINDING, {"td_attributes": b"\1\0\0\x10" + bytes(4)})),
    "tdx-event-log": lambda t: good_td(t).with_evidence(
        ccel=encode_ccel((*t.boot_events, BootEvent(3, 0xD, b"never extended")))
    ),
    **{f"tdx-rtmr-{index}": (lambda t, i=index: other_rtmr(t, i)) for index in range(3)},
    "tdx-rtmr-3": lambda t: good_td(t).but(evidence=t.evidence(BINDING, {"rtmr3": OTHER_384})),
    "image-debug": lambda t: good_td(t).but(policy=t.policy(images=(t.image("debug", debug=True),))),
}


def other_rtmr(td: GcpTd, index: int) -> Case:
    """The policy's image has another value in the register."""
    image = td.image()
    assert image.tdx is not None
    reference = dataclasses.replace(image.tdx, rtmrs={**image.tdx.rtmrs, index: OTHER_384})
    return good_td(td).but(policy=td.policy(images=(dataclasses.replace(image, tdx=reference),)))


CASES: Mapping[str, Mapping[str, Callable[[Any], Case]]] = {"gcp-snp": SNP_CASES, "gcp-tdx": TDX_CASES}
"""Cases by platform and check."""


@pytest.mark.parametrize(("platform", "name"), [(one, name) for one, cases in CASES.items() for name in cases])
def test_one_fault_fails_only_its_check(machine: GcpSnpMachine, td: GcpTd, platform: str, name: str) -> None:
    verdict = CASES[platform][name](machine if platform == "gcp-snp" else td).verdict()
    assert names(verdict) == [name]
    require_words(verdict)
    assert not verdict.confidential
    assert tuple(check.name for check in verdict.checks) == CHECKS_OF[platform]


def test_every_shared_check_applies_to_these_platforms(machine: GcpSnpMachine, td: GcpTd) -> None:
    case = good(machine)
    snp = {**shared_cases(machine, case), **quote_cases(machine, case), **register_cases(machine, case)}
    tdx = shared_cases(td, good_td(td))
    for platform, cases, vendor in (("gcp-snp", snp, SNP_NAMES), ("gcp-tdx", tdx, TDX_NAMES)):
        verdicts = {name: make().verdict() for name, make in cases.items()}
        assert {name: names(verdict) for name, verdict in verdicts.items()} == {name: [name] for name in cases}
        assert not any(verdict.confidential for verdict in verdicts.values())
        assert {*cases, *CASES[platform], *vendor} == set(CHECKS_OF[platform])


def test_valid_evidence_is_accepted_with_google_vtpm_as_root(machine: GcpSnpMachine) -> None:
    case = good(machine)
    verdict = case.but(evidence=Evidence.parse(case.evidence.encode())).verdict()
    assert names(verdict) == []
    require_words(verdict)
    assert (verdict.identity_root, verdict.confidential) == ("simulated", True)
    assert verdict.claims.identity["vtpm"] == "the hypervisor's: Google vouches for the image"
    assert verdict.claims.identity["gcp_project"] == "trial-project"
    (check,) = (check for check in verdict.checks if check.name == "gcp-production")
    assert check.found == "production"
    schema.validate("verdict", canonical.parse(verdict.encode(), what="verdict", limit=1 << 20), what="verdict")
    policy = machine.policy()
    assert Policy.parse(policy.encode()) == policy
    assert case.but(roots=as_vendors(case.roots)).verdict().identity_root == GOOGLE_VTPM
    assert case.but(roots=VENDORS).verdict().identity_root == NO_ROOT


def test_valid_tdx_evidence_is_accepted(td: GcpTd) -> None:
    case = good_td(td)
    verdict = case.but(evidence=Evidence.parse(case.evidence.encode())).verdict()
    assert names(verdict) == []
    require_words(verdict)
    assert (verdict.identity_root, verdict.confidential) == ("simulated", True)
    assert verdict.claims.pcrs == {}
    assert verdict.claims.image == ("base", td.image().manifest_digest)
    policy = td.policy()
    assert Policy.parse(policy.encode()) == policy
    assert case.but(roots=as_vendors(case.roots)).verdict().identity_root == "intel"
    assert case.but(roots=VENDORS).verdict().identity_root == NO_ROOT


def test_vtpm_with_an_rsa_key_is_supported() -> None:
    machine = GcpSnpMachine.create(AT, manifest_digest=MANIFEST, vtpm=RsaTpm.create())
    assert good(machine).verdict().accepted


def test_simulated_machine_is_rejected_unless_the_caller_passes_its_roots(machine: GcpSnpMachine, td: GcpTd) -> None:
    amd, google = machine.roots()
    assert not good(machine).but(roots=VENDORS).verdict().accepted
    assert names(good(machine).but(roots=(amd,)).verdict()) == ["ak-path"]
    assert "snp-chain" in names(good(machine).but(roots=(google,)).verdict())
    assert not good_td(td).but(roots=VENDORS).verdict().accepted


def test_policy_without_instances_rejects_every_machine(machine: GcpSnpMachine) -> None:
    for section in (None, instances()):
        assert names(good(machine).but(policy=machine.policy(instances=section)).verdict()) == ["gcp-instance"]


def test_one_simulated_anchor_among_real_ones_is_named(machine: GcpSnpMachine) -> None:
    case = good(machine)
    assert case.but(roots=(*VENDORS, *case.roots)).verdict().identity_root == "simulated"


@pytest.mark.parametrize("simulated", [0, 1], ids=["amd", "google"])
def test_one_simulated_vendor_of_two_is_named(machine: GcpSnpMachine, simulated: int) -> None:
    genuine = [(anchor for anchor in VENDORS if anchor.identity_root == vendor) for vendor in (AMD, GOOGLE_VTPM)]
    roots = (machine.roots()[simulated], *genuine[1 - simulated])
    assert good(machine).but(roots=roots).verdict().identity_root == "simulated"


def test_chip_outside_the_policy_is_rejected(machine: GcpSnpMachine) -> None:
    for chip, failures in ((machine.processor.chip_id, []), (OTHER * 2, ["snp-instance"])):
        policy = machine.policy(instances=Instances(chip_ids=(chip,), gcp=(MACHINE,)))
        assert names(good(machine).but(policy=policy).verdict()) == failures


def test_ppid_outside_the_policy_is_rejected(td: GcpTd) -> None:
    for ppid, failures in ((td.intel.platform.ppid, []), (b"q" * 16, ["tdx-platform-instance"])):
        policy = td.policy(instances=Instances(ppids=(ppid,)))
        assert names(good_td(td).but(policy=policy).verdict()) == failures


def test_extra_part_stops_the_appraisal(machine: GcpSnpMachine, td: GcpTd) -> None:
    for case in (good(machine), good_td(td)):
        verdict = case.with_evidence(hcl_report=b"report").verdict()
        assert names(verdict) == ["parts"]
        assert verdict.claims.image is None


def test_a_debug_image_that_the_policy_allows_is_not_confidential(machine: GcpSnpMachine, td: GcpTd) -> None:
    for case, image in ((good(machine), machine.image(debug=True)), (good_td(td), td.image(debug=True))):
        allowed = dataclasses.replace(case.policy, images=(image,), allow_debug=True)
        verdict = case.but(policy=allowed).verdict()
        assert (verdict.accepted, verdict.confidential) == (True, False)


def test_certificate_without_a_machine_name_is_rejected(machine: GcpSnpMachine) -> None:
    case = good(machine)
    leaf = case.evidence.ak_certificates[0]
    nameless = machine.google.certify(machine.tpm.key.public_key(), info=b"")
    assert leaf != nameless
    with pytest.raises(MalformedEvidence):
        but(machine, certificate=nameless).verdict()
    intermediate = good(machine).with_evidence(ak_certificates=(machine.google.vtpm_intermediate,))
    assert "gcp-instance" in names(intermediate.verdict())
    (check,) = (check for check in intermediate.verdict().checks if check.name == "gcp-production")
    assert (check.outcome, check.reason) == (CheckOutcome.NOT_APPLICABLE, "the certificate names no machine")


def test_every_certificate_of_an_endorsement_s_path_must_be_valid(machine: GcpSnpMachine, td: GcpTd) -> None:
    for case, google in ((good(machine), machine.google), (good_td(td), td.google)):
        root = x509.load_der_x509_certificate(google.firmware_root)
        builder = x509.CertificateBuilder(root.issuer, root.subject, root.public_key(), root.serial_number)
        builder = builder.not_valid_before(AT - 2 * DAY).not_valid_after(AT - DAY)
        for extension in root.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        expired = builder.sign(google.firmware_root_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        changed = dataclasses.replace(google, firmware_root=expired).endorse()
        verdict = case.with_evidence(launch_endorsement=changed).verdict()
        assert names(verdict) == ["gcp-endorsement-validity"]
        assert verdict.failures[0].found.endswith("2026-02-28T12:00:00.000Z")


def test_verdict_lists_every_accepted_machine(machine: GcpSnpMachine) -> None:
    def expected(*allowed: GcpInstance) -> str:
        policy = machine.policy(instances=Instances(gcp=allowed))
        (check,) = (one for one in good(machine).but(policy=policy).verdict().checks if one.name == "gcp-instance")
        return check.expected

    assert expected(GcpInstance("a"), GcpInstance("b", "c", 5)) == "project a or project b, zone c, instance id 5"
    assert "names none" in expected()


@pytest.mark.parametrize(
    ("technology", "found"), [(0, "none"), (1, "SEV"), (2, "SEV-ES"), (3, "TDX"), (5, "5"), (255, "255")]
)
def test_vtpm_of_a_shielded_vm_is_rejected(machine: GcpSnpMachine, technology: int, found: str) -> None:
    verdict = but(machine, boot_events=boot_events(technology)).verdict()
    assert names(verdict) == ["gcp-technology"]
    assert verdict.failures[0].found == found


def test_endorsement_of_the_tds_firmware_is_selected(td: GcpTd) -> None:
    other = td.google.endorse(mrtds=[OTHER_384])
    case = good_td(td)
    for first, second in ((other, td.endorsement), (td.endorsement, other)):
        assert first is not None and second is not None
        items = (CollateralItem(LAUNCH_ENDORSEMENT, second),)
        assert names(case.with_evidence(launch_endorsement=first, collateral=items).verdict()) == []


def test_tdx_evidence_may_not_have_amd_certificates(td: GcpTd) -> None:
    assert names(good_td(td).with_evidence(snp_certificates=b"table").verdict()) == ["parts"]


def technologies(*events: BootEvent) -> list[str]:
    recorder = Recorder(("gcp-technology",), CHECKS)
    check_technology(recorder, EventLog.parse(encode_event_log(events)))
    return [check.name for check in recorder.finish() if check.outcome is CheckOutcome.FAILED]


def test_technology_event_that_was_not_extended_is_ignored() -> None:
    """A host may write any digest into such an event, because no register depends on it."""
    version, snp, *_ = boot_events()
    log = EventLog.parse(encode_event_log((version, snp, BootEvent(0, 0x4, bytes(4)))))
    unsaid, said, separator = (event for event in log.events if event.kind != EV_NO_ACTION)
    for kind, failures in ((said.kind, []), (EV_NO_ACTION, ["gcp-technology"])):
        recorder = Recorder(("gcp-technology",), CHECKS)
        events = (unsaid, dataclasses.replace(said, kind=kind), separator)
        check_technology(recorder, dataclasses.replace(log, events=events))
        assert [check.name for check in recorder.finish() if check.outcome is CheckOutcome.FAILED] == failures


def test_guest_cannot_claim_memory_protection_itself() -> None:
    version, snp, *rest = boot_events()
    _, none, *_ = boot_events(technology=0)
    separator = BootEvent(0, 0x4, bytes(4))
    assert technologies(version, snp, separator) == []
    recorder = Recorder(("gcp-technology",), CHECKS)
    check_technology(recorder, EventLog.parse(encode_event_log((version, separator))))
    assert [check.found for check in recorder.finish()] == ["nothing"]
    for events in (
        (version, none, separator, snp),  # extended by the guest
        (version, separator, snp),
        (version, snp, none, separator),
        (version, snp, separator, none),
        (version, snp, snp, separator),
        (version, snp),  # the firmware never finished
        (version, separator),
        (version, dataclasses.replace(snp, pcr=1), separator),
        (version, dataclasses.replace(snp, data=snp.data + b"\0"), separator),
        (version, dataclasses.replace(snp, kind=0x3), separator),
        (),
    ):
        assert technologies(*events) == ["gcp-technology"]
    # The type and, for some types, the text of an event are not in its digest: what is measured decides.
    assert technologies(version, dataclasses.replace(snp, kind=0x80000008), separator) == []
    assert technologies(version, dataclasses.replace(none, kind=0x80000008), separator, snp) == ["gcp-technology"]
    assert rest


@pytest.mark.parametrize(
    ("name", "expected"), [("ubuntu-2404-amd-sevsnp.bin", []), ("cos-101-amd-sev.bin", ["gcp-technology"])]
)
def test_logs_of_real_machines_name_their_memory_protection(name: str, expected: list[str]) -> None:
    recorder = Recorder(("gcp-technology",), CHECKS)
    check_technology(recorder, EventLog.parse(recorded(f"eventlog/{name}")))
    assert [check.name for check in recorder.finish() if check.outcome is CheckOutcome.FAILED] == expected


def test_endorsement_is_required_and_may_be_collateral(machine: GcpSnpMachine, td: GcpTd) -> None:
    case = good(machine)
    assert machine.endorsement is not None
    other = machine.google.endorse(measurements={1: OTHER_384})
    items = tuple(CollateralItem(LAUNCH_ENDORSEMENT, one) for one in (other, machine.endorsement))
    carried = case.with_evidence(launch_endorsement=None, collateral=(*case.evidence.collateral, *items))
    assert carried.verdict().accepted
    for missing in (case.with_evidence(launch_endorsement=None), good_td(td).with_evidence(launch_endorsement=None)):
        assert names(missing.verdict()) == ["gcp-endorsement-path"]


@pytest.mark.parametrize(("others", "failures"), [(15, []), (16, ["gcp-launch-digest"])])
def test_number_of_tried_endorsements_is_limited(machine: GcpSnpMachine, others: int, failures: list[str]) -> None:
    case = good(machine)
    assert machine.endorsement is not None
    before = [machine.google.endorse(measurements={index: OTHER_384}) for index in range(1, others + 1)]
    items = tuple(CollateralItem(LAUNCH_ENDORSEMENT, one) for one in (*before, machine.endorsement))
    several = case.with_evidence(launch_endorsement=None, collateral=(*case.evidence.collateral, *items))
    assert names(several.verdict()) == failures


def test_endorsement_root_may_be_collateral(machine: GcpSnpMachine, td: GcpTd) -> None:
    for case, google in ((good(machine), machine.google), (good_td(td), td.google)):
        other = dataclasses.replace(google, firmware_root=google.vtpm_root).endorse()  # comes with another root
        alone = case.with_evidence(launch_endorsement=other)
        assert names(alone.verdict()) == ["gcp-endorsement-path"]
        item = CollateralItem(CERTIFICATE, google.firmware_root)
        assert names(alone.with_evidence(collateral=(*case.evidence.collateral, item)).verdict()) == []


def test_verdict_names_the_firmware_version(machine: GcpSnpMachine) -> None:
    for svn, outcome in ((SVN - 1, CheckOutcome.FAILED), (SVN, CheckOutcome.PASSED), (SVN + 1, CheckOutcome.PASSED)):
        (check,) = (one for one in endorsed(machine, svn=svn).verdict().checks if one.name == "gcp-firmware-svn")
        assert (check.outcome, check.expected, check.found) == (outcome, f"at least {SVN}", str(svn))


def test_endorsement_of_other_hardware_is_rejected(machine: GcpSnpMachine, td: GcpTd) -> None:
    assert names(endorsed(machine, measurements={}).verdict()) == ["gcp-launch-digest"]
    empty = td.google.endorse(mrtds=())
    assert names(good_td(td).with_evidence(launch_endorsement=empty).verdict()) == ["gcp-mrtd"]
    for case, google, own, other in (
        (good(machine), machine.google, "snp", "tdx"),
        (good_td(td), td.google, "tdx", "snp"),
    ):
        assert case.with_evidence(launch_endorsement=google.endorse(hardware=(own,))).verdict().accepted
        verdict = case.with_evidence(launch_endorsement=google.endorse(hardware=(other,))).verdict()
        measurement = "gcp-launch-digest" if own == "snp" else "gcp-mrtd"
        assert names(verdict) == [measurement, "gcp-firmware-svn"]
        assert [check.found for check in verdict.failures][1] == "none"


def test_endorsement_without_a_path_has_no_validity_check(td: GcpTd) -> None:
    forged = good_td(td).with_evidence(launch_endorsement=Google.create(AT).endorse()).verdict()
    assert names(forged) == ["gcp-endorsement-path"]
    (check,) = (check for check in forged.checks if check.name == "gcp-endorsement-validity")
    assert (check.outcome, check.reason) == (
        CheckOutcome.NOT_APPLICABLE,
        "there is no path whose certificates could be checked",
    )


def test_vtpm_is_not_used_for_a_td(td: GcpTd, machine: GcpSnpMachine) -> None:
    quote = machine.evidence(BINDING).tpm_quote
    assert names(good_td(td).with_evidence(tpm_quote=quote).verdict()) == ["parts"]


def test_pinned_register_is_checked(td: GcpTd) -> None:
    image = td.image()
    assert image.tdx is not None
    rtmr0 = td.report(bytes(64)).rtmr0
    reference = dataclasses.replace(image.tdx, rtmrs={**image.tdx.rtmrs, 0: rtmr0})
    case = good_td(td).but(policy=td.policy(images=(dataclasses.replace(image, tdx=reference),)))
    verdict = case.verdict()
    assert verdict.accepted
    assert next(check for check in verdict.checks if check.name == "tdx-rtmr-0").outcome is CheckOutcome.PASSED


def test_report_and_quote_must_bind_the_same_session(machine: GcpSnpMachine) -> None:
    other = machine.evidence(dataclasses.replace(BINDING, nonce=b"o" * 32))
    case = good(machine)
    assert names(case.with_evidence(snp_report=other.snp_report).verdict()) == ["snp-report-data"]
    assert names(case.with_evidence(tpm_quote=other.tpm_quote).verdict()) == ["quote-binding"]


def test_adopted_policy_has_exactly_the_sections_of_its_platform(machine: GcpSnpMachine, td: GcpTd) -> None:
    pin = machine.google.firmware_pin()
    for section in (None, GcpPolicy(pin), GcpPolicy(pin, tdx_min_svn=0), GcpPolicy(pin, 0, 0)):
        with pytest.raises(PolicyError, match="must have gcp"):
            machine.policy(gcp=section)
    with pytest.raises(PolicyError, match="must have gcp"):
        td.policy(gcp=None)
    with pytest.raises(PolicyError, match="section tdx"):
        td.policy(tdx=None)


@pytest.mark.parametrize("part", ["snp_report", "attest", "signature", "ak_public", "leaf"])
def test_flipped_bit_in_any_bound_byte_is_rejected(machine: GcpSnpMachine, part: str) -> None:
    case = good(machine)
    evidence = case.evidence
    quote = evidence.tpm_quote
    assert quote is not None
    leaf, *above = evidence.ak_certificates
    data = {"leaf": leaf}.get(part) or getattr(quote, part, None) or getattr(evidence, part)
    accepted = []
    for place in places(0, len(data)):
        changed = flipped(data, place)
        if part == "leaf":
            other = case.with_evidence(ak_certificates=(changed, *above))
        elif part == "snp_report":
            other = case.with_evidence(**{part: changed})
        else:
            other = case.with_evidence(tpm_quote=dataclasses.replace(quote, **{part: changed}))
        if not other.refused():
            accepted.append(place)
    assert accepted == []


def test_real_vtpm_quote_passes_only_with_its_nonce() -> None:
    parts = dict(_fields(recorded("tpm/gce-cos-85-nonce9009.pb"), keep=(1, 2, 3)))
    log = EventLog.parse(parts[3][0])
    public = RsaPublic.parse(parts[1][0])
    key = rsa.RSAPublicNumbers(public.exponent, int.from_bytes(public.modulus)).public_key()
    assert public.attributes & structures.AK_REQUIRED == structures.AK_REQUIRED
    judged = 0
    for quote in parts[2]:
        inner = dict(_fields(quote))
        ((attest,), (signature,), (registers,)) = inner[1], inner[2], inner[3]
        bank = dict(_fields(registers))
        if bank[1] != [structures.ALG_SHA256]:
            continue
        pcrs = {}
        for entry in bank[2]:
            pair = dict(_fields(entry))
            pcrs[pair.get(1, [0])[0]] = pair[2][0]
        structure = RsaSignature.parse(signature)

        def failed(nonce: bytes, data: bytes = attest, values: Mapping[int, bytes] = pcrs, one: Any = structure) -> Any:
            recorder = Recorder(QUOTE, CHECKS)
            vtpm.check_signed_quote(recorder, data, one, key, values, nonce)
            return [check.name for check in recorder.finish() if check.outcome is CheckOutcome.FAILED]

        assert failed(b"\x90\x09") == []
        assert failed(b"\x90\x0a") == ["quote-binding"]
        assert failed(b"\x90\x09", values={**pcrs, 4: OTHER}) == ["quote-pcr-digest"]
        assert log.replay(vtpm.REPLAYED) == {index: pcrs[index] for index in vtpm.REPLAYED}
        judged += 1
    assert judged == 1


QUOTE = ("quote-magic", "quote-type", "quote-signature", "quote-binding", "quote-selection", "quote-pcr-digest")


def _fields(data: bytes, keep: tuple[int, ...] = ()) -> Iterator[tuple[int, list[Any]]]:
    """The fields of a recorded protobuf message by number; it has only integers and bytes."""
    found: dict[int, list[Any]] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                return value

    while at < len(data):
        tag = varint()
        size = varint()
        value: Any = size
        if tag & 7 == 2:
            value = data[at : at + size]
            at += size
        if not keep or tag >> 3 in keep:
            found.setdefault(tag >> 3, []).append(value)
    yield from found.items()
