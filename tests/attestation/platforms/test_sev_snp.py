"""Every check of the platform sev-snp: evidence with one fault fails only the check of that fault."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cloister.attestation.checks import CHECKS_OF
from cloister.attestation.collateral_source import CERTIFICATE, CRL, InMemory
from cloister.attestation.evidence import Evidence
from cloister.attestation.instances import Instances
from cloister.attestation.result.verdict import CheckOutcome, Verdict
from cloister.attestation.snp.policy import TCB_KINDS
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.snp.report import PlatformBit, PolicyBit, SigningKey
from cloister.attestation.snp.table import CRL as CRL_GUID
from cloister.attestation.snp.table import CertificateTable
from cloister.attestation.testkit import Amd, LocalMachine, Processor, SnpMachine
from cloister.attestation.tpm.runtimelog import Measurement, MeasurementKind
from cloister.attestation.x509.roots import NO_ROOT, VENDORS
from cloister.protocol import schema
from tests.attestation.clouds import AT, BINDING, MANIFEST, OTHER, OTHER_384, RECEIPT, SESSION, Case, names
from tests.attestation.statements import samples
from tests.attestation.wording import require_words

RESERVED_POLICY_BIT = 1 << 17
UNPINNED = {"snp-instance", "snp-firmware", "snp-id-key", "snp-author-key"}


@pytest.fixture(scope="module")
def machine() -> SnpMachine:
    return SnpMachine.create(Processor.create(AT), manifest_digest=MANIFEST)


def on(processor: Processor) -> SnpMachine:
    return SnpMachine.create(processor, manifest_digest=MANIFEST)


def good(machine: SnpMachine) -> Case:
    return Case(machine.evidence(BINDING), machine.policy(), (machine.processor.amd.anchor(),))


def receipt(machine: SnpMachine) -> Case:
    evidence = machine.receipt(payload_digest=RECEIPT.payload_digest, log_head=RECEIPT.log_head)
    return good(machine).but(evidence=evidence, purpose=RECEIPT)


def changed(machine: SnpMachine, **changes: Any) -> Case:
    """Evidence whose parts were changed after the report was made."""
    case = good(machine)
    return case.but(evidence=dataclasses.replace(case.evidence, **changes))


def reported(machine: SnpMachine, **fields: Any) -> Case:
    """The processor signs a report with changed fields."""
    return good(dataclasses.replace(machine, fields=fields))


def certified(machine: SnpMachine, **terms: Any) -> Case:
    """The processor's key has another certificate."""
    processor = machine.processor
    tcb = terms.pop("tcb", processor.tcb)
    terms.setdefault("hwid", processor.chip_id)
    certificate = processor.amd.certify(processor.key.public_key(), tcb, kind=processor.kind, **terms)
    return good(dataclasses.replace(machine, processor=dataclasses.replace(processor, certificate=certificate)))


def demanding(machine: SnpMachine, **changes: Any) -> Case:
    """The policy's section demands other values."""
    return good(machine).but(policy=machine.policy(snp=machine.section(**changes)))


def listed(machine: SnpMachine, *crls: bytes) -> Case:
    """The evidence comes with these revocation lists."""
    return good(dataclasses.replace(machine, crls=crls))


def configured(machine: SnpMachine, **changes: Any) -> Case:
    expected = dataclasses.replace(machine.policy().boot_configuration, **changes)
    return good(machine).but(policy=machine.policy(boot_configuration=expected))


def entries(machine: SnpMachine) -> list[Measurement]:
    return list(machine.runtime_log())


def above(machine: SnpMachine, kind: str) -> Case:
    """The policy demands newer microcode in one of the TCB versions."""
    line, tcb = machine.processor.amd.line, machine.processor.tcb
    newer = dataclasses.replace(tcb, microcode=tcb.microcode + 1)
    return demanding(machine, minimum_tcb={line: {**dict.fromkeys(TCB_KINDS, tcb), kind: newer}})


def unlike(machine: SnpMachine, **levels: int) -> bytes:
    """The processor's TCB version with other levels."""
    processor = machine.processor
    return dataclasses.replace(processor.tcb, **levels).encode(processor.amd.line)


def other_key(machine: SnpMachine) -> Case:
    key = ec.generate_private_key(ec.SECP384R1())
    return good(dataclasses.replace(machine, processor=dataclasses.replace(machine.processor, key=key)))


def other_line(machine: SnpMachine) -> Case:
    level = TcbVersion(boot_loader=0, tee=0, snp=0, microcode=0)
    return demanding(machine, minimum_tcb={ProductLine.GENOA: dict.fromkeys(TCB_KINDS, level)})


CLOUD: Mapping[str, Any] = {"allow_vlek": True, "vlek_clouds": ("CN=cloud.example",)}


def signed_for_a_cloud(machine: SnpMachine) -> Case:
    return good(on(Processor.create(AT, kind=SigningKey.VLEK, amd=machine.processor.amd)))


CASES: Mapping[str, Callable[[SnpMachine], Case]] = {
    "platform": lambda m: good(m).but(policy=LocalMachine.create(AT).policy()),
    "parts": lambda m: changed(m, boot_event_log=b"log"),
    "purpose": lambda m: receipt(m).but(purpose=SESSION),
    "session-nonce": lambda m: good(m).but(purpose=dataclasses.replace(SESSION, nonce=OTHER)),
    "session-tls-key": lambda m: good(m).but(purpose=dataclasses.replace(SESSION, tls_key_digest=OTHER)),
    "session-hpke-key": lambda m: good(m).but(purpose=dataclasses.replace(SESSION, hpke_key_digest=OTHER)),
    "receipt-payload": lambda m: receipt(m).but(purpose=dataclasses.replace(RECEIPT, payload_digest=OTHER)),
    "receipt-log-head": lambda m: receipt(m).but(purpose=dataclasses.replace(RECEIPT, log_head=OTHER)),
    "manifest": lambda m: good(m).but(manifest_digest=OTHER),
    "workspace": lambda m: configured(m, workspace="another"),
    "cvm": lambda m: configured(m, cvms=("second", "third")),
    "owners": lambda m: configured(m, owners=(OTHER.hex(),)),
    "runtime-log": lambda m: changed(m, runtime_log=tuple(reversed(entries(m)))),
    "runtime-boot-configuration": lambda m: changed(
        m, runtime_log=(Measurement(MeasurementKind.BOOT_CONFIGURATION, OTHER), *entries(m)[1:])
    ),
    "runtime-agent": lambda m: changed(
        m, runtime_log=(entries(m)[0], Measurement(MeasurementKind.AGENT, OTHER), entries(m)[2])
    ),
    "runtime-manifest": lambda m: changed(
        m, runtime_log=(*entries(m)[:2], Measurement(MeasurementKind.MANIFEST, OTHER))
    ),
    **samples.cases(good),
    "snp-report-version": lambda m: reported(m, version=2).but(
        policy=m.policy(snp=m.section(minimum_report_version=3))
    ),
    "snp-signing-key": signed_for_a_cloud,
    "snp-product": other_line,
    "snp-chain": lambda m: good(m).but(roots=(Amd.create(AT).anchor(),)),
    "snp-validity": lambda m: certified(m, not_after=AT - timedelta(seconds=1)),
    "snp-crl": listed,
    "snp-revocation": lambda m: listed(m, m.processor.amd.crl(revoked=[0x10001])),
    "snp-signature": other_key,
    "snp-report-data": lambda m: reported(m, report_data=OTHER),
    "snp-chip": lambda m: reported(m, chip_id=OTHER),
    "snp-certificate-tcb": lambda m: certified(m, tcb=dataclasses.replace(m.processor.tcb, microcode=220)),
    "snp-instance": lambda m: good(m).but(policy=m.policy(instances=Instances(chip_ids=(OTHER + OTHER,)))),
    "snp-vmpl": lambda m: reported(m, vmpl=1),
    "snp-debug": lambda m: reported(m, policy=RESERVED_POLICY_BIT | 1 << PolicyBit.DEBUG),
    "snp-migration": lambda m: reported(m, policy=RESERVED_POLICY_BIT | 1 << PolicyBit.MIGRATE_MA),
    "snp-guest-policy": lambda m: reported(m, policy=RESERVED_POLICY_BIT | 1 << PolicyBit.SMT),
    "snp-abi": lambda m: demanding(m, minimum_abi=(1, 0)),
    "snp-platform-info": lambda m: reported(m, platform_info=1 << PlatformBit.SMT_EN),
    **{f"snp-tcb-{kind}": lambda m, kind=kind: above(m, kind) for kind in TCB_KINDS},
    "snp-tcb-order": lambda m: reported(m, committed_tcb=unlike(m, microcode=220)),
    "snp-firmware": lambda m: demanding(m, minimum_firmware=(1, 55, 30)),
    "snp-guest-svn": lambda m: demanding(m, minimum_guest_svn=2),
    "snp-id-key": lambda m: demanding(m, id_key_digests=(OTHER_384,)),
    "snp-author-key": lambda m: demanding(m, author_key_digests=(OTHER_384,)),
    "snp-host-data": lambda m: reported(m, host_data=OTHER),
    "snp-launch-digest": lambda m: reported(m, measurement=OTHER_384),
    "image-debug": lambda m: good(m).but(policy=m.policy(images=(m.image("debug", debug=True),))),
}


def reason(verdict: Verdict, name: str) -> str:
    (check,) = (check for check in verdict.checks if check.name == name)
    assert check.outcome is CheckOutcome.NOT_APPLICABLE
    return check.reason


@pytest.mark.parametrize("name", CHECKS_OF["sev-snp"])
def test_one_fault_fails_only_its_check(machine: SnpMachine, name: str) -> None:
    verdict = CASES[name](machine).verdict()
    assert names(verdict) == [name]
    require_words(verdict)
    assert not verdict.accepted
    assert tuple(check.name for check in verdict.checks) == CHECKS_OF["sev-snp"]
    assert not verdict.confidential


@pytest.mark.parametrize("make", [good, receipt])
def test_valid_evidence_is_accepted_and_confidential(machine: SnpMachine, make: Callable[[SnpMachine], Case]) -> None:
    case = make(machine)
    verdict = case.but(evidence=Evidence.parse(case.evidence.encode())).verdict()
    assert names(verdict) == []
    require_words(verdict)
    assert (verdict.platform, verdict.identity_root, verdict.confidential) == ("sev-snp", "simulated", True)
    assert verdict.claims.image == ("base", machine.image().manifest_digest)
    assert verdict.claims.identity["chip_id"] == machine.processor.chip_id.hex()
    assert verdict.claims.identity["crl"].startswith("of 2026-02-28")
    open_ = {check.name for check in verdict.checks if check.outcome is CheckOutcome.NOT_APPLICABLE}
    assert {name for name in open_ if name.startswith("snp-")} == UNPINNED
    schema.validate("verdict", verdict.value(), what="The verdict")


@pytest.mark.parametrize("kind", [SigningKey.VCEK, SigningKey.VLEK])
@pytest.mark.parametrize("line", ProductLine)
def test_every_product_line_is_supported(line: ProductLine, kind: SigningKey) -> None:
    machine = on(Processor.create(AT, line, kind=kind))
    versions = (2, 3, 4, 5) if line is not ProductLine.TURIN else (3, 4, 5)
    for version in versions:  # the layout of TCB versions goes with the chip, not with the version of the report
        case = reported(machine, version=version)
        verdict = case.but(
            policy=machine.policy(snp=machine.section(**CLOUD if kind is SigningKey.VLEK else {}))
        ).verdict()
        assert names(verdict) == []
        assert verdict.claims.identity["product"] == line
        assert verdict.claims.identity["tcb_reported"] == str(machine.processor.tcb)


def test_zen_4c_uses_the_genoa_keys() -> None:
    machine = on(Processor.create(AT, ProductLine.GENOA))
    assert reported(machine, family=0x19, model=0xA0).verdict().accepted


def test_unknown_processor_is_rejected(machine: SnpMachine) -> None:
    verdict = reported(machine, family=0x1B).verdict()
    assert names(verdict) == ["snp-product"]
    assert reason(verdict, "snp-tcb-order") == "the layout of an unknown product is not known"
    for kind in TCB_KINDS:
        assert reason(verdict, f"snp-tcb-{kind}") == "the policy has no minimum for this product"
    for name in ("snp-chip", "snp-certificate-tcb"):
        assert reason(verdict, name) == "the layout of an unknown product is not known"
    assert verdict.claims.identity["product"] == "unknown"


def test_report_without_a_processor_cannot_be_turin() -> None:
    machine = on(Processor.create(AT, ProductLine.TURIN))
    assert names(reported(machine, version=2).verdict()) == ["snp-product"]


def test_simulated_evidence_is_rejected_unless_the_caller_passes_its_root(machine: SnpMachine) -> None:
    verdict = good(machine).but(roots=VENDORS).verdict()
    assert names(verdict) == ["snp-chain"]
    assert verdict.identity_root == NO_ROOT


def test_root_of_another_product_line_is_rejected(machine: SnpMachine) -> None:
    """The same machine, with a certificate that a genuine root of another line issued for its key."""
    genoa = Amd.create(AT, ProductLine.GENOA)
    processor = machine.processor
    foreign = genoa.certify(processor.key.public_key(), processor.tcb, hwid=processor.chip_id)
    stolen = dataclasses.replace(processor, amd=genoa, certificate=foreign)
    case = good(dataclasses.replace(machine, processor=stolen)).but(roots=(processor.amd.anchor(), genoa.anchor()))
    milan = case.but(policy=machine.policy(), evidence=dataclasses.replace(case.evidence, snp_report=None))
    report = processor.report(
        report_data=case.evidence.report_data(),
        host_data=case.evidence.boot_configuration_digest(),
        measurement=machine.image().launch_digests[0],
    )
    verdict = milan.but(evidence=dataclasses.replace(case.evidence, snp_report=report)).verdict()
    assert "snp-product" in names(verdict)
    # Changing its product name to Milan does not help: the issuer's name differs.
    named = genoa.certify(processor.key.public_key(), processor.tcb, hwid=processor.chip_id, product_name="Milan-B0")
    stolen = dataclasses.replace(processor, amd=genoa, certificate=named)
    verdict = good(dataclasses.replace(machine, processor=stolen)).but(
        roots=(processor.amd.anchor(), genoa.anchor()),
        policy=machine.policy(),
        evidence=dataclasses.replace(case.evidence, snp_report=report, snp_certificates=stolen.table()),
    )
    assert names(verdict.verdict()) == ["snp-chain"]


def test_asvk_cannot_sign_a_vcek(machine: SnpMachine) -> None:
    assert names(certified(machine, issuer=SigningKey.VLEK).verdict()) == ["snp-chain"]


@pytest.mark.parametrize("rights", [{"is_ca": False}, {"signs_certificates": False}])
def test_signer_without_ca_rights_is_rejected(machine: SnpMachine, rights: dict[str, bool]) -> None:
    amd = machine.processor.amd.with_signer(SigningKey.VCEK, **rights)
    case = good(dataclasses.replace(machine, processor=dataclasses.replace(machine.processor, amd=amd)))
    (failure,) = case.verdict().failures
    assert (failure.name, failure.found) == ("snp-chain", "a certificate of SEV-Milan is not a certificate authority")


def test_vlek_names_its_cloud_and_no_chip(machine: SnpMachine) -> None:
    case = signed_for_a_cloud(machine)
    verdict = case.but(policy=machine.policy(snp=machine.section(**CLOUD))).verdict()
    assert verdict.accepted
    assert verdict.claims.identity["cloud"] == "CN=cloud.example"
    strict = case.verdict()
    assert names(strict) == ["snp-signing-key"]
    assert "no chip" in reason(strict, "snp-chip")
    for clouds, failures in ((("CN=cloud.example",), []), (("CN=other.example",), ["snp-chip"])):
        section = machine.section(allow_vlek=True, vlek_clouds=clouds)
        assert names(case.but(policy=machine.policy(snp=section)).verdict()) == failures


def test_unsigned_report_is_rejected(machine: SnpMachine) -> None:
    verdict = reported(machine, key_info=SigningKey.NONE << 2).verdict()
    assert names(verdict) == ["snp-signing-key", "snp-chain"]


def test_masked_chip_id_is_rejected(machine: SnpMachine) -> None:
    assert names(reported(machine, chip_id=bytes(64)).verdict()) == ["snp-chip"]


@pytest.mark.parametrize(
    ("fields", "name", "found"),
    [
        ({"platform_info": 1 << 40}, "snp-platform-info", "no bit set, and 0x10000000000, which is not known"),
        ({"platform_info": 1 << PlatformBit.SMT_EN}, "snp-platform-info", "SMT_EN"),
        ({"policy": RESERVED_POLICY_BIT | 1 << PolicyBit.SMT}, "snp-guest-policy", "SMT"),
    ],
)
def test_verdict_names_the_bits_that_are_set(
    machine: SnpMachine, fields: dict[str, int], name: str, found: str
) -> None:
    verdict = reported(machine, **fields).verdict()
    assert names(verdict) == [name]
    assert verdict.failures[0].found == found


@pytest.mark.parametrize(
    ("member", "fields", "name", "expected"),
    [
        ("allow_smt", {"policy": RESERVED_POLICY_BIT | 1 << PolicyBit.SMT}, "snp-guest-policy", "CXL_ALLOW clear"),
        ("allow_smt", {"platform_info": 1 << PlatformBit.SMT_EN}, "snp-platform-info", "TIO_EN clear"),
        ("allow_cxl", {"policy": RESERVED_POLICY_BIT | 1 << PolicyBit.CXL_ALLOW}, "snp-guest-policy", "SMT clear"),
        ("allow_tio", {"platform_info": 1 << PlatformBit.TIO_EN}, "snp-platform-info", "SMT_EN clear"),
    ],
)
def test_allowed_bits_may_be_set(
    machine: SnpMachine, member: str, fields: dict[str, int], name: str, expected: str
) -> None:
    case = reported(machine, **fields)
    assert names(case.verdict()) == [name]
    verdict = case.but(policy=machine.policy(snp=machine.section(**{member: True}))).verdict()
    assert names(verdict) == []
    assert [check.expected for check in verdict.checks if check.name == name] == [expected]
    every = machine.section(allow_smt=True, allow_cxl=True, allow_tio=True)
    verdict = case.but(policy=machine.policy(snp=every)).verdict()
    assert [check.expected for check in verdict.checks if check.name == name] == ["any"]


def test_empty_minimum_tcb_rejects_every_product_line(machine: SnpMachine) -> None:
    verdict = good(machine).but(policy=machine.policy(snp=machine.section(minimum_tcb={}))).verdict()
    assert names(verdict) == ["snp-product"]
    require_words(verdict)


def test_image_without_launch_digests_never_matches(machine: SnpMachine) -> None:
    bare = dataclasses.replace(machine.image(), launch_digests=())
    verdict = good(machine).but(policy=machine.policy(images=(bare,))).verdict()
    assert names(verdict) == ["snp-launch-digest"]
    require_words(verdict)
    assert good(machine).but(policy=machine.policy(images=(bare, machine.image()))).verdict().accepted


def test_reported_tcb_above_committed_is_rejected(machine: SnpMachine) -> None:
    """Otherwise the firmware could be rolled back below the version that the key was derived from."""
    line, tcb = machine.processor.amd.line, machine.processor.tcb
    lower = dataclasses.replace(tcb, microcode=tcb.microcode - 1)
    case = reported(machine, committed_tcb=unlike(machine, microcode=tcb.microcode - 1))
    minimum = {line: {**dict.fromkeys(TCB_KINDS, tcb), "committed": lower}}
    verdict = case.but(policy=machine.policy(snp=machine.section(minimum_tcb=minimum))).verdict()
    assert names(verdict) == ["snp-tcb-order"]


def test_tcb_order_check_shows_firmware_versions(machine: SnpMachine) -> None:
    (check,) = (one for one in good(machine).verdict().checks if one.name == "snp-tcb-order")
    tcb = machine.processor.tcb
    assert check.found.startswith(f"reported {tcb}; committed {tcb}; current {tcb}; firmware 1.")


def test_platform_info_without_bits_is_reported_as_such(machine: SnpMachine) -> None:
    verdict = reported(machine, platform_info=0, policy=RESERVED_POLICY_BIT).verdict()
    assert names(verdict) == []
    found = {check.name: check.found for check in verdict.checks}
    assert (found["snp-platform-info"], found["snp-guest-policy"]) == ("no bit set", "no bit set")


def test_chip_in_the_policy_is_accepted(machine: SnpMachine) -> None:
    pinned = Instances(chip_ids=(machine.processor.chip_id,))
    assert good(machine).but(policy=machine.policy(instances=pinned)).verdict().accepted


def test_policy_names_a_turin_chip_by_eight_bytes() -> None:
    machine = on(Processor.create(AT, ProductLine.TURIN))
    for chip, failures in ((machine.processor.chip_id, []), (OTHER[:8], ["snp-instance"])):
        pinned = machine.policy(instances=Instances(chip_ids=(chip,)))
        verdict = good(machine).but(policy=pinned).verdict()
        assert names(verdict) == failures
        assert verdict.claims.identity["chip_id"] == machine.processor.chip_id[:8].hex()


def test_chip_id_of_an_unknown_processor_is_compared_in_full(machine: SnpMachine) -> None:
    pinned = machine.policy(instances=Instances(chip_ids=(machine.processor.chip_id,)))
    assert names(reported(machine, family=0x1B).but(policy=pinned).verdict()) == ["snp-product"]


def test_verdict_names_accepted_and_certified_product_lines(machine: SnpMachine) -> None:
    (check,) = other_line(machine).verdict().failures
    assert (check.name, check.expected) == ("snp-product", "Genoa")
    assert "certificate" not in check.found
    genoa = reported(machine, family=0x19, model=0x11).verdict()
    (check,) = (check for check in genoa.failures if check.name == "snp-product")
    assert check.found.endswith(", and a certificate for 'Milan'")


def test_checks_of_the_signing_key_do_not_apply_without_its_certificate(machine: SnpMachine) -> None:
    verdict = changed(machine, snp_certificates=None).verdict()
    for name in ("snp-signature", "snp-chip", "snp-certificate-tcb"):
        assert reason(verdict, name) == "the certificate of the signing key is absent"


def test_certificates_may_come_as_collateral_and_the_right_one_is_found(machine: SnpMachine) -> None:
    processor = machine.processor
    bare = changed(machine, snp_certificates=None)
    assert names(bare.verdict()) == ["snp-chain"]
    assert bare.but(collateral=processor.collateral()).verdict().accepted
    older = Processor.create(AT, amd=processor.amd).certificate
    items = processor.collateral().contents
    several = InMemory({CERTIFICATE: (older, *items[CERTIFICATE]), CRL: items[CRL]})
    assert bare.but(collateral=several).verdict().accepted


@pytest.mark.parametrize(("others", "failures"), [(7, []), (8, ["snp-signature"])])
def test_number_of_tried_chip_certificates_is_limited(machine: SnpMachine, others: int, failures: list[str]) -> None:
    processor = machine.processor
    before = [Processor.create(AT, amd=processor.amd).certificate for _ in range(others)]
    items = processor.collateral().contents
    several = InMemory({CERTIFICATE: (*before, *items[CERTIFICATE]), CRL: items[CRL]})
    assert names(changed(machine, snp_certificates=None).but(collateral=several).verdict()) == failures


def test_certificate_validity_includes_both_ends(machine: SnpMachine) -> None:
    one = timedelta(seconds=1)
    for terms in ({"not_before": AT}, {"not_after": AT}):
        assert certified(machine, **terms).verdict().accepted
    for terms in ({"not_before": AT + one}, {"not_after": AT - one}):
        assert names(certified(machine, **terms).verdict()) == ["snp-validity"]


def test_missing_crl_is_stated_in_the_verdict(machine: SnpMachine) -> None:
    lax = machine.policy(snp=machine.section(require_crl=False))
    verdict = listed(machine).but(policy=lax).verdict()
    assert verdict.accepted
    assert reason(verdict, "snp-crl").startswith("the policy does not require a revocation list")
    assert verdict.claims.identity["crl"] == "none"
    # A list that is present is still searched, even an expired one.
    old = machine.processor.amd.crl(revoked=[0x10000], this_update=AT - timedelta(365))
    assert names(listed(machine, old).but(policy=lax).verdict()) == ["snp-revocation"]


@pytest.mark.parametrize(
    "terms",
    [
        {"this_update": AT - timedelta(days=365)},
        {"this_update": AT + timedelta(seconds=1)},
        {"next_update": AT - timedelta(seconds=1)},
    ],
    ids=["run out", "not yet made", "newer one due"],
)
def test_crl_of_another_time_is_not_current(machine: SnpMachine, terms: dict[str, datetime]) -> None:
    assert names(listed(machine, machine.processor.amd.crl(**terms)).verdict()) == ["snp-crl"]


def test_crl_with_another_signature_neither_counts_nor_revokes(machine: SnpMachine) -> None:
    other = Amd.create(AT).root_key
    forged = machine.processor.amd.crl(revoked=[0x10001], key=other)
    assert names(listed(machine, forged).verdict()) == ["snp-crl"]
    assert listed(machine, forged, machine.processor.amd.crl()).verdict().accepted


def test_crl_older_than_the_limit_is_rejected(machine: SnpMachine) -> None:
    policy = machine.policy(snp=machine.section(max_crl_age_days=30))
    for age, failures in ((timedelta(days=30), []), (timedelta(days=30, seconds=1), ["snp-crl"])):
        made = machine.processor.amd.crl(this_update=AT - age)
        assert names(listed(machine, made).but(policy=policy).verdict()) == failures


@pytest.mark.parametrize("serial", [0x10000, 0x10001])
def test_revoked_root_or_signer_is_rejected(machine: SnpMachine, serial: int) -> None:
    amd = machine.processor.amd
    assert names(listed(machine, amd.crl(revoked=[serial])).verdict()) == ["snp-revocation"]
    assert listed(machine, amd.crl(revoked=[0x10101, 1])).verdict().accepted


def test_crl_may_be_in_the_certificate_table(machine: SnpMachine) -> None:
    case = listed(machine)
    entries = CertificateTable.parse(machine.processor.table()).entries
    table = CertificateTable({**entries, CRL_GUID: machine.processor.amd.crl()}).encode()
    assert case.but(evidence=dataclasses.replace(case.evidence, snp_certificates=table)).verdict().accepted


@pytest.mark.parametrize("bit", [8, 40, 63])
def test_unknown_setting_of_the_platform_is_rejected(machine: SnpMachine, bit: int) -> None:
    assert names(reported(machine, platform_info=1 << bit).verdict()) == ["snp-platform-info"]


def test_required_bits_must_be_set(machine: SnpMachine) -> None:
    section = machine.section(require_guest_policy=(PolicyBit.SINGLE_SOCKET,))
    assert names(good(machine).but(policy=machine.policy(snp=section)).verdict()) == ["snp-guest-policy"]
    single = reported(machine, policy=RESERVED_POLICY_BIT | 1 << PolicyBit.SINGLE_SOCKET)
    assert single.but(policy=machine.policy(snp=section)).verdict().accepted
    section = machine.section(require_platform_info=(PlatformBit.TSME_EN,))
    assert names(good(machine).but(policy=machine.policy(snp=section)).verdict()) == ["snp-platform-info"]


def test_identity_and_author_keys_are_accepted_when_the_policy_names_them(machine: SnpMachine) -> None:
    policy = machine.policy(snp=machine.section(id_key_digests=(OTHER_384,), author_key_digests=(OTHER_384,)))
    keys = {"id_key_digest": OTHER_384, "author_key_digest": OTHER_384}
    (absent,) = reported(machine, **keys).but(policy=policy).verdict().failures
    assert (absent.name, absent.found) == ("snp-author-key", "absent")  # the report does not say that it is there
    verdict = reported(machine, **keys, key_info=1).but(policy=policy).verdict()
    assert names(verdict) == []
    found = {check.name: check.found for check in verdict.checks}
    assert found["snp-id-key"] == found["snp-author-key"] == OTHER_384.hex()


def test_current_firmware_may_be_newer_than_committed(machine: SnpMachine) -> None:
    newer = {"current_tcb": unlike(machine, microcode=220), "current_build": 30}
    assert reported(machine, **newer).verdict().accepted
    assert names(reported(machine, committed_build=30).verdict()) == ["snp-tcb-order"]


def test_minimum_version_is_accepted(machine: SnpMachine) -> None:
    least = {"minimum_firmware": (1, 55, 29), "minimum_abi": (0, 0), "minimum_guest_svn": 1}
    assert demanding(machine, **least).verdict().accepted


def test_a_debug_image_that_the_policy_allows_is_not_confidential(machine: SnpMachine) -> None:
    policy = machine.policy(images=(machine.image("debug", debug=True),), allow_debug=True)
    verdict = good(machine).but(policy=policy).verdict()
    assert (verdict.accepted, verdict.confidential) == (True, False)


def test_evidence_without_a_report_proves_nothing(machine: SnpMachine) -> None:
    verdict = changed(machine, snp_report=None).verdict()
    assert names(verdict) == ["parts"]
    assert not verdict.confidential
