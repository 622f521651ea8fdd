"""Every check of the platform local: evidence with one fault fails only the check of that fault."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloister.attestation import verifier as verifier
from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.checks import CHECKS_OF, COMMON
from cloister.attestation.collateral_source import CERTIFICATE, Collateral, CollateralItem, InMemory
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import LocalPolicy, Policy
from cloister.attestation.result.verdict import CheckOutcome, Verdict
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.testkit import Authority, BootEvent, LocalMachine, SoftwareTpm, encode_event_log
from cloister.attestation.tpm import runtimelog, structures
from cloister.attestation.tpm.runtimelog import Measurement, MeasurementKind
from cloister.attestation.verifier import ReceiptPurpose, RecordingPurpose, SessionPurpose, verify
from cloister.errors import ProofError
from cloister.protocol import canonical, schema
from tests.attestation.flips import flipped
from tests.attestation.statements import samples
from tests.attestation.wording import require_words

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MANIFEST = hashlib.sha256(b"manifest").digest()
OTHER = hashlib.sha256(b"something else").digest()
SESSION = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
RECEIPT = ReceiptPurpose(b"p" * 32, b"l" * 32)
BINDING = SessionBinding(SESSION.nonce, SESSION.tls_key_digest, SESSION.hpke_key_digest, MANIFEST)


@dataclass(frozen=True)
class Case:
    """The arguments of one appraisal."""

    evidence: Evidence
    policy: Policy
    purpose: SessionPurpose | ReceiptPurpose = SESSION
    at: datetime = AT
    manifest_digest: bytes | None = MANIFEST
    collateral: Collateral | None = None

    def verdict(self) -> Verdict:
        return verify(
            self.evidence,
            self.policy,
            purpose=self.purpose,
            at=self.at,
            manifest_digest=self.manifest_digest,
            collateral=self.collateral,
        )

    def but(self, **changes: Any) -> "Case":
        return dataclasses.replace(self, **changes)


@pytest.fixture(scope="module")
def machine() -> LocalMachine:
    return LocalMachine.create(AT, manifest_digest=MANIFEST)


def good(machine: LocalMachine) -> Case:
    return Case(machine.evidence(BINDING), machine.policy())


def receipt(machine: LocalMachine) -> Case:
    evidence = machine.receipt(payload_digest=RECEIPT.payload_digest, log_head=RECEIPT.log_head)
    return Case(evidence, machine.policy(), RECEIPT)


def attested(machine: LocalMachine, **changes: Any) -> Case:
    """The TPM signs a structure with changed fields."""
    return Case(machine.evidence(BINDING, changes), machine.policy())


def quoted(machine: LocalMachine, **changes: Any) -> Case:
    info = machine.tpm.attest(machine.pcrs(), b"").quote
    assert info is not None
    return attested(machine, quote=dataclasses.replace(info, **changes))


def measured(machine: LocalMachine, *log: Measurement) -> Case:
    """The agent measured ``log``, and PCR 15 agrees."""
    changed = dataclasses.replace(machine, registers={runtimelog.PCR: runtimelog.replay(log)})
    evidence = dataclasses.replace(machine.evidence(BINDING), runtime_log=log)
    return Case(changed.quoted(evidence), machine.policy())


def certified(machine: LocalMachine, **terms: Any) -> Case:
    certificate = machine.authority.certify(machine.tpm.key.public_key(), **terms)
    return good(dataclasses.replace(machine, certificate=certificate))


def other_signature(machine: LocalMachine) -> Case:
    case = good(machine)
    quote = case.evidence.tpm_quote
    assert quote is not None
    signature = SoftwareTpm.create().sign(quote.attest)
    return case.but(
        evidence=dataclasses.replace(case.evidence, tpm_quote=dataclasses.replace(quote, signature=signature))
    )


def other_authority(machine: LocalMachine) -> Case:
    # The same name, another key: only the pin tells them apart.
    other = Authority.create(AT)
    pinned = LocalPolicy(other.spki_sha256(), other.certificate)
    return Case(machine.evidence(BINDING), machine.policy(local=pinned))


def other_configuration(machine: LocalMachine, **changes: Any) -> Case:
    policy = machine.policy()
    return good(machine).but(
        policy=machine.policy(boot_configuration=dataclasses.replace(policy.boot_configuration, **changes))
    )


def other_image(machine: LocalMachine, index: int) -> Case:
    image = machine.image()
    changed = dataclasses.replace(image, pcrs={**image.pcrs, index: OTHER})
    return Case(machine.evidence(BINDING), machine.policy(images=(changed,)))


def host_input(machine: LocalMachine, index: int) -> Case:
    """The host passed an input to the boot, and the log shows it."""
    changed = dataclasses.replace(machine, boot_events=(*machine.boot_events, BootEvent(index, 0xD, b"init=/bin/sh")))
    return Case(changed.evidence(BINDING), machine.policy())


def unlogged_event(machine: LocalMachine) -> Case:
    log = encode_event_log((*machine.boot_events, BootEvent(1, 0xD, b"never extended")))
    return good(machine).but(evidence=dataclasses.replace(machine.evidence(BINDING), boot_event_log=log))


def debug_image(machine: LocalMachine) -> Case:
    return good(machine).but(policy=machine.policy(images=(machine.image("debug", debug=True),)))


def no_event_log(machine: LocalMachine) -> Case:
    return good(machine).but(evidence=dataclasses.replace(machine.evidence(BINDING), boot_event_log=None))


def pinned(index: int) -> Callable[[LocalMachine], Case]:
    return lambda machine: good(machine).but(policy=machine.policy(platform_pcrs={index: OTHER}))


def entries(machine: LocalMachine) -> list[Measurement]:
    return list(machine.runtime_log())


CASES: Mapping[str, Callable[[LocalMachine], Case]] = {
    "platform": lambda m: good(m).but(evidence=dataclasses.replace(m.evidence(BINDING), platform=Platform.SEV_SNP)),
    "parts": no_event_log,
    "purpose": lambda m: receipt(m).but(purpose=SESSION),
    "session-nonce": lambda m: good(m).but(purpose=dataclasses.replace(SESSION, nonce=OTHER)),
    "session-tls-key": lambda m: good(m).but(purpose=dataclasses.replace(SESSION, tls_key_digest=OTHER)),
    "session-hpke-key": lambda m: good(m).but(purpose=dataclasses.replace(SESSION, hpke_key_digest=OTHER)),
    "receipt-payload": lambda m: receipt(m).but(purpose=dataclasses.replace(RECEIPT, payload_digest=OTHER)),
    "receipt-log-head": lambda m: receipt(m).but(purpose=dataclasses.replace(RECEIPT, log_head=OTHER)),
    "manifest": lambda m: good(m).but(manifest_digest=OTHER),
    "workspace": lambda m: other_configuration(m, workspace="another"),
    "cvm": lambda m: other_configuration(m, cvms=("second", "third")),
    "owners": lambda m: other_configuration(m, owners=(OTHER.hex(),)),
    "runtime-log": lambda m: measured(m, *reversed(entries(m))),
    "runtime-boot-configuration": lambda m: measured(
        m, Measurement(MeasurementKind.BOOT_CONFIGURATION, OTHER), *entries(m)[1:]
    ),
    "runtime-agent": lambda m: measured(m, entries(m)[0], Measurement(MeasurementKind.AGENT, OTHER), entries(m)[2]),
    "runtime-manifest": lambda m: measured(m, *entries(m)[:2], Measurement(MeasurementKind.MANIFEST, OTHER)),
    **samples.cases(good),
    "quote-magic": lambda m: attested(m, magic=0xFF544348),
    "quote-type": lambda m: attested(m, kind=0x8017),
    "quote-signer": lambda m: attested(m, qualified_signer=b"\x00\x0b" + OTHER),
    "quote-signature": other_signature,
    "quote-binding": lambda m: attested(m, extra_data=OTHER),
    "quote-selection": lambda m: quoted(
        m, selections=(structures.PcrSelection(structures.ALG_SHA256, tuple(range(15))),)
    ),
    "quote-pcr-digest": lambda m: quoted(m, pcr_digest=OTHER),
    "ak-path": other_authority,
    "ak-validity": lambda m: certified(m, not_after=AT - timedelta(seconds=1), not_before=AT - timedelta(days=1)),
    "ak-not-ca": lambda m: certified(m, is_ca=True),
    "ak-usage": lambda m: certified(m, usages=()),
    "ak-key": lambda m: good(
        dataclasses.replace(m, certificate=m.authority.certify(ec.generate_private_key(ec.SECP256R1()).public_key()))
    ),
    "ak-attributes": lambda m: good(
        dataclasses.replace(m, tpm=SoftwareTpm(m.tpm.key, structures.AK_ATTRIBUTES & ~structures.OBJECT_RESTRICTED))
    ),
    "boot-event-log": unlogged_event,
    "image-debug": debug_image,
    **{f"pcr-{index}": pinned(index) for index in (0, 1, 2, 3, 5, 6, 7, 8, 10, 14)},
    "pcr-4": lambda m: other_image(m, 4),
    "pcr-9": lambda m: other_image(m, 9),
    "pcr-11": lambda m: other_image(m, 11),
    "pcr-12": lambda m: host_input(m, 12),
    "pcr-13": lambda m: host_input(m, 13),
    "pcr-15": lambda m: good(dataclasses.replace(m, registers={15: OTHER})),
}


def names(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.failures]


@pytest.mark.parametrize("name", CHECKS_OF["local"])
def test_one_fault_fails_only_its_check(machine: LocalMachine, name: str) -> None:
    verdict = CASES[name](machine).verdict()
    assert names(verdict) == [name]
    require_words(verdict)
    assert not verdict.accepted
    assert tuple(check.name for check in verdict.checks) == CHECKS_OF.get(verdict.platform, COMMON)


@pytest.mark.parametrize("make", [good, receipt])
def test_valid_evidence_is_accepted_and_not_confidential(
    machine: LocalMachine, make: Callable[[LocalMachine], Case]
) -> None:
    case = make(machine)
    verdict = case.but(evidence=Evidence.parse(case.evidence.encode())).verdict()
    assert names(verdict) == []
    require_words(verdict)
    assert verdict.accepted
    assert (verdict.platform, verdict.identity_root, verdict.confidential) == ("local", "workspace-ca", False)
    assert verdict.claims.image == ("base", machine.image().manifest_digest)
    assert verdict.claims.event_log_key == machine.event_log_key
    assert verdict.claims.manifest_digest == MANIFEST
    verdict.require_accepted()


def test_unpinned_platform_registers_are_not_applicable(machine: LocalMachine) -> None:
    verdict = good(machine).verdict()
    open_ = {check.name for check in verdict.checks if check.outcome is CheckOutcome.NOT_APPLICABLE}
    assert {f"pcr-{index}" for index in (0, 1, 3, 5)} <= open_
    assert {"pcr-2", "pcr-4", "pcr-9", "pcr-11", "pcr-12", "pcr-13", "pcr-15"}.isdisjoint(open_)


@pytest.mark.parametrize("kind", [0x80000004, 0x80000005, 0x4])
def test_loaded_driver_is_rejected_unless_pinned(machine: LocalMachine, kind: int) -> None:
    """From a Driver#### variable or an option ROM, whatever event type the log declares."""
    events = (*machine.boot_events, BootEvent(2, kind, b"driver"))
    changed = dataclasses.replace(machine, boot_events=events)
    case = Case(changed.evidence(BINDING), machine.policy())
    assert names(case.verdict()) == ["pcr-2"]
    assert case.but(policy=machine.policy(platform_pcrs={2: changed.pcrs()[2]})).verdict().accepted


@pytest.mark.parametrize(
    "purpose",
    [None, "receipt", ReceiptBinding(b"p" * 32, MANIFEST, b"l" * 32), RecordingPurpose(cast("bytes", bytearray(64)))],
)
def test_unknown_purpose_is_an_error(machine: LocalMachine, purpose: Any) -> None:
    for case in (good(machine), receipt(machine)):
        with pytest.raises(TypeError):
            case.but(purpose=purpose).verdict()


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        b"no key",
    ],
    ids=["ECDSA", "garbage"],
)
def test_event_log_key_must_be_ed25519(machine: LocalMachine, key: bytes) -> None:
    with pytest.raises(MalformedEvidence, match="event_log_key") as caught:
        good(dataclasses.replace(machine, event_log_key=key)).verdict()
    assert caught.value.exit_code == 3
    assert not caught.value.message.endswith("..")


def test_unsupported_platform_in_the_policy_is_named(machine: LocalMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "_APPRAISE", {})
    (failure,) = good(machine).verdict().failures
    assert (failure.expected, failure.found) == ("local", "local, which this version does not support")


def test_pinned_registers_are_checked(machine: LocalMachine) -> None:
    pins = {index: machine.pcrs()[index] for index in (0, 7)}
    verdict = good(machine).but(policy=machine.policy(platform_pcrs=pins, secure_boot=True)).verdict()
    assert verdict.accepted
    passed = {check.name for check in verdict.checks if check.outcome is CheckOutcome.PASSED}
    assert {"pcr-0", "pcr-7"} <= passed


def test_one_matching_image_of_several_is_enough(machine: LocalMachine) -> None:
    other = ImageReference("other", False, OTHER, {4: OTHER, 9: OTHER, 11: OTHER})
    verdict = good(machine).but(policy=machine.policy(images=(other, machine.image()))).verdict()
    assert verdict.accepted
    assert verdict.claims.image == ("base", machine.image().manifest_digest)


def test_image_is_either_debug_or_not(machine: LocalMachine) -> None:
    with pytest.raises(PolicyError, match="one image both as"):
        machine.policy(images=(machine.image(), machine.image("debug", debug=True)), allow_debug=True)


def test_incomplete_image_is_rejected(machine: LocalMachine) -> None:
    with pytest.raises(PolicyError, match="names no image"):
        machine.policy(images=())
    with pytest.raises(PolicyError, match="PCR 4, 9 and 11"):
        machine.policy(images=(dataclasses.replace(machine.image(), pcrs={4: OTHER}),))


def test_registers_must_all_match_one_image(machine: LocalMachine) -> None:
    pcrs = machine.pcrs()
    first = ImageReference("first", False, OTHER, {4: pcrs[4], 9: OTHER, 11: OTHER})
    second = ImageReference("second", False, OTHER, {4: OTHER, 9: pcrs[9], 11: pcrs[11]})
    verdict = good(machine).but(policy=machine.policy(images=(first, second))).verdict()
    assert names(verdict) == ["pcr-4"]
    assert verdict.claims.image is None


def test_error_lists_every_failure_with_expected_found_and_advice(machine: LocalMachine) -> None:
    case = other_configuration(machine, workspace="another").but(manifest_digest=OTHER)
    with pytest.raises(ProofError) as caught:
        case.verdict().require_accepted()
    lines = caught.value.message.splitlines()
    assert lines == [
        f"The computation manifest that the machine runs: expected {OTHER.hex()}, found {MANIFEST.hex()}. "
        "Review that manifest (`review`) before you agree to it.",
        "The workspace in the boot configuration: expected another, found trial. "
        "Compare the names in your policy with the owners of the workspace, who can say which policy is this "
        "workspace's.",
    ]
    assert caught.value.exit_code == 3


def test_verdict_on_a_machine_with_a_scratch_disk_is_as_its_schema_says(machine: LocalMachine) -> None:
    verdict = good(machine).verdict()
    claims = verdict.claims
    configuration = dataclasses.replace(claims.boot_configuration, scratch=2**30)
    with_scratch = dataclasses.replace(verdict, claims=dataclasses.replace(claims, boot_configuration=configuration))
    schema.validate("verdict", with_scratch.value(), what="The verdict")


def test_evidence_without_a_manifest_is_accepted_if_none_is_demanded() -> None:
    machine = LocalMachine.create(AT)
    evidence = machine.session(nonce=SESSION.nonce, tls_key_digest=b"t" * 32, hpke_key_digest=b"h" * 32)
    case = Case(evidence, machine.policy(), manifest_digest=None)
    assert case.verdict().accepted
    assert names(case.but(manifest_digest=MANIFEST).verdict()) == ["manifest"]


def test_measured_manifest_must_be_in_the_binding(machine: LocalMachine) -> None:
    evidence = machine.evidence(dataclasses.replace(BINDING, manifest_digest=None))
    assert names(Case(evidence, machine.policy(), manifest_digest=None).verdict()) == ["runtime-manifest"]


def test_part_of_another_platform_is_rejected(machine: LocalMachine) -> None:
    case = good(machine)
    evidence = dataclasses.replace(case.evidence, snp_report=b"report")
    assert names(case.but(evidence=evidence).verdict()) == ["parts"]


def test_policy_for_other_platforms_rejects_a_local_machine(machine: LocalMachine) -> None:
    image = dataclasses.replace(machine.image(), launch_digests=(b"d" * 48,))
    level = TcbVersion(boot_loader=4, tee=0, snp=24, microcode=219)
    section = SnpPolicy({ProductLine.MILAN: dict.fromkeys(TCB_KINDS, level)})
    policy = machine.policy(platforms=(Platform.SEV_SNP,), allow_local=False, local=None, images=(image,), snp=section)
    verdict = good(machine).but(policy=policy).verdict()
    assert names(verdict) == ["platform"]
    assert (verdict.identity_root, verdict.confidential) == ("none", False)


def test_ca_may_be_in_the_evidence_or_in_collateral(machine: LocalMachine) -> None:
    pin = LocalPolicy(machine.authority.spki_sha256(), None)
    case = good(machine).but(policy=machine.policy(local=pin))
    assert names(case.verdict()) == ["ak-path"]
    authority = machine.authority.certificate
    carried = dataclasses.replace(case.evidence, collateral=(CollateralItem(CERTIFICATE, authority),))
    assert case.but(evidence=carried).verdict().accepted
    chained = dataclasses.replace(case.evidence, ak_certificates=(machine.certificate, authority))
    assert case.but(evidence=chained).verdict().accepted
    handed = InMemory({CERTIFICATE: (authority,)})
    verdict = verify(case.evidence, case.policy, purpose=SESSION, at=AT, manifest_digest=MANIFEST, collateral=handed)
    assert verdict.accepted


def test_expired_ca_is_not_replaced_by_a_certificate_it_did_not_sign(machine: LocalMachine) -> None:
    """Anyone can put the pinned key into a certificate with better dates."""
    later = AT + timedelta(days=400)
    leaf = machine.authority.certify(machine.tpm.key.public_key(), not_after=later + timedelta(days=1))
    forger = ec.generate_private_key(ec.SECP256R1())
    real = x509.load_der_x509_certificate(machine.authority.certificate)
    forged = (
        x509.CertificateBuilder()
        .subject_name(real.subject)
        .issuer_name(real.subject)
        .public_key(real.public_key())
        .serial_number(1)
        .not_valid_before(AT)
        .not_valid_after(later + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(forger, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    case = good(machine)
    evidence = dataclasses.replace(case.evidence, ak_certificates=(leaf, forged))
    verdict = verify(evidence, case.policy, purpose=SESSION, at=later, manifest_digest=MANIFEST)
    assert names(verdict) == ["ak-validity"]


@pytest.mark.parametrize("configuration", [b'["]",' * 12_000, b'{"\\ud800":1}'])
def test_unparsable_boot_configuration_is_malformed(machine: LocalMachine, configuration: bytes) -> None:
    case = good(machine)
    with pytest.raises(MalformedEvidence, match=r"boot_configuration.*[^.]\.\Z"):
        case.but(evidence=dataclasses.replace(case.evidence, boot_configuration=configuration)).verdict()


def test_unknown_critical_extension_breaks_the_path(machine: LocalMachine) -> None:
    assert names(certified(machine, critical=("1.2.3.4",)).verdict()) == ["ak-path"]


@pytest.mark.parametrize(
    "attributes",
    [
        structures.AK_ATTRIBUTES & ~structures.OBJECT_FIXED_TPM,
        structures.AK_ATTRIBUTES & ~structures.OBJECT_FIXED_PARENT,
        structures.AK_ATTRIBUTES & ~structures.OBJECT_SENSITIVE_DATA_ORIGIN,
        structures.AK_ATTRIBUTES & ~structures.OBJECT_SIGN,
        structures.AK_ATTRIBUTES | structures.OBJECT_DECRYPT,
    ],
)
def test_key_without_attestation_attributes_is_rejected(machine: LocalMachine, attributes: int) -> None:
    case = good(dataclasses.replace(machine, tpm=SoftwareTpm(machine.tpm.key, attributes)))
    assert names(case.verdict()) == ["ak-attributes"]


@pytest.mark.parametrize(("usages"), [("1.2.3.4",), ("2.23.133.8.3", "1.3.6.1.5.5.7.3.2")])
def test_certificate_with_other_usages_is_rejected(machine: LocalMachine, usages: tuple[str, ...]) -> None:
    assert names(certified(machine, usages=usages).verdict()) == ["ak-usage"]


def test_expired_cas_are_rejected(machine: LocalMachine) -> None:
    assert names(good(machine).but(at=AT - timedelta(days=1)).verdict()) == ["ak-validity"]
    assert names(good(machine).but(at=AT + timedelta(days=366)).verdict()) == ["ak-validity"]


def test_time_without_a_zone_is_an_error(machine: LocalMachine) -> None:
    with pytest.raises(PolicyError):
        good(machine).but(at=AT.replace(tzinfo=None)).verdict()


def test_noncanonical_boot_configuration_is_malformed(machine: LocalMachine) -> None:
    case = good(machine)
    evidence = dataclasses.replace(case.evidence, boot_configuration=case.evidence.boot_configuration + b" ")
    with pytest.raises(MalformedEvidence):
        case.but(evidence=evidence).verdict()


def test_verdict_matches_its_schema_in_every_case(machine: LocalMachine) -> None:
    for case in (good(machine), receipt(machine), *(make(machine) for make in CASES.values())):
        value = canonical.parse(case.verdict().encode(), what="verdict", limit=1 << 20)
        schema.validate("verdict", value, what="verdict")


def _refused(case: Case) -> bool:
    try:
        return not case.verdict().accepted
    except MalformedEvidence:
        return True


@pytest.mark.parametrize("part", ["attest", "signature", "ak_public"])
def test_flipped_bit_of_the_quote_is_rejected(machine: LocalMachine, part: str) -> None:
    case = good(machine)
    quote = case.evidence.tpm_quote
    assert quote is not None
    data = getattr(quote, part)
    accepted = [
        place
        for place in range(len(data))
        if not _refused(
            case.but(
                evidence=dataclasses.replace(
                    case.evidence, tpm_quote=dataclasses.replace(quote, **{part: flipped(data, place)})
                )
            )
        )
    ]
    assert accepted == []


def test_flipped_bit_of_the_registers_is_rejected(machine: LocalMachine) -> None:
    case = good(machine)
    quote = case.evidence.tpm_quote
    assert quote is not None
    for index in range(16):
        for place in (0, 13, 31):
            pcrs = list(quote.pcrs)
            pcrs[index] = flipped(pcrs[index], place)
            changed = dataclasses.replace(quote, pcrs=tuple(pcrs))
            assert _refused(case.but(evidence=dataclasses.replace(case.evidence, tpm_quote=changed)))


def test_flipped_bit_of_the_certificate_is_rejected(machine: LocalMachine) -> None:
    case = good(machine)
    der = machine.certificate
    accepted = [
        place
        for place in range(len(der))
        if not _refused(case.but(evidence=dataclasses.replace(case.evidence, ak_certificates=(flipped(der, place),))))
    ]
    assert accepted == []


def test_flipped_bit_in_any_bound_byte_is_rejected(machine: LocalMachine) -> None:
    case = good(machine)
    for name in ("event_log_key", "boot_configuration"):
        data = getattr(case.evidence, name)
        for place in range(len(data)):
            changed = flipped(data, place)
            assert _refused(case.but(evidence=dataclasses.replace(case.evidence, **{name: changed})))
