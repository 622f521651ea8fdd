"""TPM quotes, logs and HCL reports alone, and what may come with a report or quote: each shows no more than it does."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral_source import CERTIFICATE, CRL, InMemory
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.policy.evidence_policy import EvidencePolicy, RawPlatform
from cloister.attestation.raw.checks import UNTIED
from cloister.attestation.raw.kinds import Raw, RawHcl, RawSnp, RawTdx
from cloister.attestation.raw.log import RawLog
from cloister.attestation.raw.tpm import RawTpm, SignedRegisters, TpmKey
from cloister.attestation.raw.verdict import RawVerdict
from cloister.attestation.raw.verifier import verify_raw
from cloister.attestation.result.outcomes import advice
from cloister.attestation.result.verdict import CheckOutcome
from cloister.attestation.testkit import (
    AzureSnpMachine,
    AzureTdxMachine,
    BootEvent,
    GcpSnpMachine,
    RsaTpm,
    SnpMachine,
    SoftwareTpm,
    Td,
    encode_ccel,
    encode_event_log,
)
from cloister.attestation.testkit.authority import Authority
from cloister.attestation.testkit.machine import BOOT_EVENTS
from cloister.attestation.testkit.raw import bare, evidence_policy
from cloister.attestation.tpm import structures
from cloister.attestation.tpm.eventlog import EventLog
from cloister.attestation.x509.roots import VENDORS, Anchor
from cloister.protocol import schema
from tests.attestation.anchors import as_vendors

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
GCP = GcpSnpMachine.create(AT, vtpm=SoftwareTpm.create())
EVIDENCE = GCP.evidence(BINDING)
SNP, TD, AZURE = SnpMachine.create_at(AT), Td.create(AT), AzureSnpMachine.create(AT)
OTHER = SoftwareTpm.create()
TPM_POLICY = EvidencePolicy((RawPlatform.TPM,))


def quote(**changes: Any) -> RawTpm:
    """The quote of a machine at Google with its certificates, public area and log."""
    found = EVIDENCE.tpm_quote
    assert found is not None
    signed = SignedRegisters(found.attest, found.signature, dict(enumerate(found.pcrs)))
    key = TpmKey.of_public(structures.EccPublic.parse(found.ak_public), named=False)
    certificates = (*EVIDENCE.ak_certificates, GCP.google.vtpm_root)
    whole = RawTpm(signed, key, certificates, EVIDENCE.boot_event_log)
    return dataclasses.replace(whole, **changes)


def judged(
    raw: Raw,
    policy: EvidencePolicy = TPM_POLICY,
    *,
    roots: tuple[Anchor, ...] | None = None,
    collateral: InMemory | None = None,
    at: datetime = AT,
    report_data: bytes | None = None,
) -> RawVerdict:
    made = verify_raw(
        raw,
        policy,
        report_data=report_data,
        at=at,
        collateral=collateral or InMemory(),
        roots=GCP.roots() if roots is None else roots,
    )
    schema.validate("raw-verdict", made.value(), what="It")
    return made


def failed(found: RawVerdict) -> list[str]:
    return [check.name for check in found.failures]


def outcomes(found: RawVerdict) -> Mapping[str, CheckOutcome]:
    return {check.name: check.outcome for check in found.checks}


def with_quote(**changes: Any) -> RawTpm:
    return quote(quote=dataclasses.replace(quote().quote, **changes))


def signed_again(**changes: Any) -> RawTpm:
    """Another message, signed by the machine's key."""
    attest = dataclasses.replace(structures.Attest.parse(quote().quote.attest), **changes).marshal()
    return with_quote(attest=attest, signature=GCP.tpm.sign(attest))


def _replaced(pcrs: Mapping[int, bytes], index: int) -> dict[int, bytes]:
    return {**pcrs, index: bytes(32)}


def test_quote_with_a_clouds_certificate_is_genuine() -> None:
    found = judged(quote())
    assert (failed(found), found.genuine, found.identity_root, found.platform) == ([], True, "simulated", "tpm")
    assert found.identity["pcr4"] == quote().quote.pcrs[4].hex()
    assert [one.what for one in found.judged] == ["tpm-quote", "boot-event-log"]
    assert found.judged[0].digest == hashlib.sha256(quote().quote.attest).digest()
    assert not any("whose key" in said for said in found.not_judged)


CASES: dict[str, tuple[Callable[[], RawVerdict], list[str]]] = {
    "signature": (lambda: judged(with_quote(signature=GCP.tpm.sign(b"other"))), ["quote-signature"]),
    "register": (
        lambda: judged(with_quote(pcrs=_replaced(quote().quote.pcrs, 4))), ["quote-pcr-digest", "boot-event-log"],
    ),
    "register less": (
        lambda: judged(with_quote(pcrs={i: v for i, v in quote().quote.pcrs.items() if i != 15})),
        ["quote-selection", "quote-pcr-digest"],
    ),
    "magic": (lambda: judged(signed_again(magic=0, quote=None)), ["quote-magic"]),
    "qualifying data": (lambda: judged(quote(), report_data=b"another nonce"), ["quote-binding"]),
    "no certificate": (lambda: judged(quote(certificates=())), ["ak-path"]),
    "untrusted certificate": (lambda: judged(quote(), roots=VENDORS), ["ak-path"]),
    "expired": (lambda: judged(quote(), at=AT.replace(year=2099)), ["ak-validity"]),
    "key of another": (
        lambda: judged(quote(key=TpmKey.of_public(OTHER.public(), named=True))), ["quote-signature", "ak-key"],
    ),
    "log": (lambda: judged(quote(event_log=encode_event_log(BOOT_EVENTS[1:]))), ["boot-event-log"]),
    "platform": (lambda: judged(quote(), evidence_policy(SNP.policy())), ["platform"]),
    "pinned register": (
        lambda: judged(quote(), dataclasses.replace(TPM_POLICY, pcrs={4: bytes(32)})), ["pcr-4"],
    ),
    "pinned register that is not quoted": (
        lambda: judged(quote(), dataclasses.replace(TPM_POLICY, pcrs={23: bytes(32)})), ["pcr-23"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_fault_of_a_quote_fails_only_its_check(name: str) -> None:
    judge, expected = CASES[name]
    found = judge()
    assert failed(found) == expected
    assert not found.genuine and not found.passed


@pytest.mark.parametrize("tpm", [OTHER, RsaTpm.create()], ids=["ecc", "rsa"])
def test_named_key_shows_a_signature_and_no_machine(tpm: SoftwareTpm | RsaTpm) -> None:
    pcrs = [bytes([index]) * 32 for index in range(16)]
    attest = tpm.attest(pcrs, b"nonce").marshal()
    signed = SignedRegisters(attest, tpm.sign(attest), dict(enumerate(pcrs)))
    public = TpmKey.of_public(tpm.public(), named=True)
    bare_key = dataclasses.replace(public, public=None)
    for key, attributes in ((public, CheckOutcome.PASSED), (bare_key, CheckOutcome.NOT_APPLICABLE)):
        found = judged(RawTpm(signed, key), report_data=b"nonce")
        assert (found.passed, found.genuine, found.identity_root) == (True, False, "none")
        assert found.value()["genuine"] is False
        assert outcomes(found)["ak-attributes"] is attributes
        assert any("whose key" in said for said in found.not_judged)
    carried = judged(RawTpm(signed, dataclasses.replace(public, named=False)))
    assert failed(carried) == ["ak-path"] and not carried.passed


def test_attributes_of_a_key_count_only_under_its_signed_name() -> None:
    """A key that signs anything is not saved by a public area that another key has."""
    loose = dataclasses.replace(OTHER, attributes=structures.OBJECT_SIGN)
    pcrs = [bytes(32)] * 16
    attest = loose.attest(pcrs, b"").marshal()
    signed = SignedRegisters(attest, loose.sign(attest), dict(enumerate(pcrs)))
    assert failed(judged(RawTpm(signed, TpmKey.of_public(loose.public(), named=True)))) == ["ak-attributes"]
    claimed = TpmKey.of_public(OTHER.public(), named=True)
    found = judged(RawTpm(signed, claimed))
    assert outcomes(found)["ak-attributes"] is CheckOutcome.NOT_APPLICABLE
    assert any("signs only what its TPM made" in said for said in found.not_judged)


def test_quote_without_key_and_certificate_is_malformed() -> None:
    with pytest.raises(MalformedEvidence, match="comes with no key"):
        judged(quote(key=None, certificates=()))


def log_policy(ccel: bool, **changes: Any) -> EvidencePolicy:
    return evidence_policy(TD.policy(), **changes) if ccel else dataclasses.replace(TPM_POLICY, **changes)


@pytest.mark.parametrize("filling", [b"", b"\xff" * 600_000, b"\0" * 600_000], ids=["bare", "ff", "zeros"])
@pytest.mark.parametrize("ccel", [True, False], ids=["ccel", "tcg"])
def test_log_alone_is_replayed_and_never_genuine(ccel: bool, filling: bytes) -> None:
    data = encode_ccel(TD.boot_events, size=0) if ccel else encode_event_log(BOOT_EVENTS)
    found = judged(RawLog(data + filling, ccel), log_policy(ccel))
    assert failed(found) == ["tdx-event-log" if ccel else "boot-event-log"]
    assert (found.genuine, found.passed, found.identity_root) == (False, False, "none")
    assert "pass that file, too" in advice(found.failures)[0]
    if ccel:
        assert found.identity == {f"rtmr{n}": value.hex() for n, value in enumerate(TD.report(bytes(64)).rtmrs)}
        assert found.events[0].startswith("RTMR ")
    else:
        values = EventLog.parse(data).replay(range(16))
        assert found.identity == {f"pcr{n}": values[n].hex() for n in (0, 1, 2, 3, 4, 5, 6, 7, 9, 11)}
        assert found.events[0] == f"PCR 0  EV_S_CRTM_VERSION  {hashlib.sha256(b'firmware').hexdigest()}  firmware"
    assert len(found.events) == sum(event.kind != 3 for event in (TD.boot_events if ccel else BOOT_EVENTS))
    rejected = judged(RawLog(data + filling, ccel), evidence_policy(SNP.policy()))
    assert failed(rejected) == ["platform"] and rejected.identity == found.identity


def test_bytes_of_an_event_outside_utf8_are_shown_as_dots() -> None:
    log = encode_event_log((BootEvent(7, 0x80000001, b"\x61\xdf\xe4\x8b\xca\x93Boot"),))
    assert judged(RawLog(log, is_ccel=False), log_policy(ccel=False)).events[0].endswith("  a..\u0293Boot")


def test_log_that_is_too_large_without_its_filling_is_malformed() -> None:
    events = tuple(BootEvent(4, 0xD, b"x" * 60_000) for _ in range(10))
    for data, ccel in ((encode_event_log(events), False), (encode_ccel(events, size=0), True)):
        with pytest.raises(MalformedEvidence, match="at most 524288"):
            judged(RawLog(data, ccel), log_policy(ccel))


def test_pin_of_a_register_is_not_satisfied_by_a_log() -> None:
    values = EventLog.parse(encode_event_log(BOOT_EVENTS)).replay(range(16))
    found = judged(RawLog(encode_event_log(BOOT_EVENTS), is_ccel=False), log_policy(ccel=False, pcrs={4: values[4]}))
    assert failed(found) == ["boot-event-log", "pcr-4"]


def azure_collateral() -> InMemory:
    amd = AZURE.processor.amd
    certificates = (AZURE.processor.certificate, amd.signers[AZURE.processor.kind][1], amd.root)
    return InMemory({CERTIFICATE: certificates, CRL: AZURE.crls})


def hcl(**changes: Any) -> RawHcl:
    raw = bare(AZURE.evidence(BINDING))
    assert isinstance(raw, RawHcl)
    return dataclasses.replace(raw, **changes)


def judged_hcl(raw: RawHcl, **changes: Any) -> RawVerdict:
    policy = evidence_policy(AZURE.policy(), **changes)
    return judged(raw, policy, roots=AZURE.roots(), collateral=azure_collateral())


def test_hcl_report_alone_shows_hardware_and_claims() -> None:
    found = judged_hcl(hcl(quote=None))
    assert (failed(found), found.genuine) == ([], True)
    assert outcomes(found)["snp-report-data"] is CheckOutcome.PASSED
    assert outcomes(found)["quote-signature"] is CheckOutcome.NOT_APPLICABLE
    assert not any(name.startswith("pcr") for name in found.identity)
    assert any("no register is shown" in said for said in found.not_judged)
    assert [one.what for one in found.judged] == ["hcl-report"]


def test_hcl_report_alone_satisfies_no_pin_of_a_register() -> None:
    quoted = hcl().quote
    assert quoted is not None
    assert failed(judged_hcl(hcl(), pcrs={4: quoted.pcrs[4]})) == []
    assert failed(judged_hcl(hcl(quote=None), pcrs={4: quoted.pcrs[4]})) == ["pcr-4"]


def test_report_data_that_is_asked_for_is_shown_by_every_kind_or_rejected() -> None:
    """None passes over it for the lack of the field that would show it."""
    asked = b"q" * 64
    azure, collateral = evidence_policy(AZURE.policy()), azure_collateral()
    amd, lists = SNP.processor.amd, InMemory({CRL: SNP.crls})
    table = SNP.processor.table()
    found = {
        "hcl alone": judged(hcl(quote=None), azure, roots=AZURE.roots(), collateral=collateral, report_data=asked),
        "hcl": judged(hcl(), azure, roots=AZURE.roots(), collateral=collateral, report_data=asked),
        "snp": judged(
            RawSnp(SNP.processor.report(), table, tpm=quote()), evidence_policy(SNP.policy()), collateral=lists,
            roots=(amd.anchor(), *GCP.roots()), report_data=asked,
        ),
        "tpm": judged(quote(), report_data=asked),
        "log": judged(RawLog(encode_event_log(BOOT_EVENTS), is_ccel=False), report_data=asked),
    }  # fmt: skip
    assert {name: failed(one) for name, one in found.items()} == {
        "hcl alone": ["quote-binding"],
        "hcl": ["quote-binding"],
        "snp": ["snp-report-data", "quote-binding"],
        "tpm": ["quote-binding"],
        "log": ["boot-event-log"],
    }


def test_certificate_of_a_key_is_found_among_many_others() -> None:
    others = tuple(Authority.create(AT, f"other {number}").certificate for number in range(40))
    assert judged(quote(), collateral=InMemory({CERTIFICATE: others})).genuine


def test_changed_claims_of_an_hcl_report_are_rejected() -> None:
    report = bytearray(hcl().report)
    place = report.index(b'"secure-boot":true')
    report[place + 14 : place + 18] = b"null"
    assert failed(judged_hcl(hcl(report=bytes(report), quote=None))) == ["snp-report-data"]


def test_log_of_a_vtpm_is_compared_with_its_quote() -> None:
    log = AZURE.evidence(BINDING).boot_event_log
    assert outcomes(judged_hcl(hcl(event_log=log)))["boot-event-log"] is CheckOutcome.PASSED
    assert failed(judged_hcl(hcl(event_log=encode_event_log(BOOT_EVENTS[2:])))) == ["boot-event-log"]


def td_quote(report_data: bytes, **changes: Any) -> RawVerdict:
    raw = RawTdx(TD.intel.quote(TD.report(report_data)), **changes)
    policy = evidence_policy(TD.policy())
    return judged(raw, policy, roots=(TD.intel.anchor(),), collateral=TD.intel.collateral())


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_preimage_counts_only_if_it_hashes_to_the_report_data(name: str) -> None:
    data = hashlib.new(name, b"what the guest says").digest().ljust(64, b"\0")
    found = td_quote(data, preimage=b"what the guest says")
    assert failed(found) == [] and outcomes(found)["preimage"] is CheckOutcome.PASSED
    assert b"what the guest says".hex() in found.identity["report_data_of"]
    lying = td_quote(data, preimage=b"what the wrapper says")
    assert failed(lying) == [] and outcomes(lying)["preimage"] is CheckOutcome.NOT_APPLICABLE
    assert "report_data_of" not in lying.identity
    assert "preimage" not in outcomes(td_quote(data))


def test_log_of_a_td_is_compared_with_its_quote() -> None:
    assert outcomes(td_quote(bytes(64), ccel=encode_ccel(TD.boot_events)))["tdx-event-log"] is CheckOutcome.PASSED
    assert failed(td_quote(bytes(64), ccel=encode_ccel(TD.boot_events[1:]))) == ["tdx-event-log"]


def test_bytes_that_no_one_signed_are_counted() -> None:
    for found, said in ((td_quote(bytes(64), unsigned=7), "7 bytes"), (td_quote(bytes(64)), "none")):
        (check,) = (check for check in found.checks if check.name == "unsigned-bytes")
        assert (failed(found), check.found) == ([], said)
    filled = RawTdx(TD.intel.quote(TD.report(bytes(64))).ljust(8000, b"\0"))
    policy = evidence_policy(TD.policy())
    found = judged(filled, policy, roots=(TD.intel.anchor(),), collateral=TD.intel.collateral())
    (check,) = (check for check in found.checks if check.name == "unsigned-bytes")
    assert check.found == f"{8000 - found.judged[0].size} bytes"


def test_vendor_of_a_tpm_is_named_if_its_certificate_leads_there() -> None:
    """Whatever else is wrong; a verdict that has failed is not genuine."""
    found = judged(quote(), report_data=b"another nonce")
    assert (failed(found), found.genuine, found.identity_root) == (["quote-binding"], False, "simulated")
    roots = as_vendors(GCP.roots())
    assert judged(quote(), roots=roots, report_data=b"another nonce").identity_root == "google-vtpm"
    without_list = judged(beside(), evidence_policy(SNP.policy()), roots=(SNP.processor.amd.anchor(), *roots))
    assert failed(without_list) == ["snp-crl"]
    for one in (found, without_list):
        assert not any("no certificate of a known vendor" in said for said in one.not_judged)
    assert judged(with_quote(signature=GCP.tpm.sign(b"other")), roots=roots).identity_root == "none"


def test_data_that_was_not_compared_is_not_said_to_be_known() -> None:
    besides = "besides the data that you named"
    log = RawLog(encode_event_log(BOOT_EVENTS), is_ccel=False)
    compared = structures.Attest.parse(quote().quote.attest).extra_data
    assert any(besides in said for said in judged(quote(), report_data=compared).not_judged)
    for one in (judged(log, report_data=b"x"), judged(quote(), evidence_policy(SNP.policy()), report_data=b"x")):
        assert not any(besides in said for said in one.not_judged)


def beside(report: bytes | None = None, tpm: RawTpm | None = None) -> RawSnp:
    """A report with a TPM's quote beside it, both valid."""
    return RawSnp(report or SNP.processor.report(), SNP.processor.table(), tpm=tpm or quote())


def judged_beside(raw: RawSnp, report_data: bytes | None = None, **changes: Any) -> RawVerdict:
    policy = evidence_policy(SNP.policy(), **changes)
    roots = (SNP.processor.amd.anchor(), *GCP.roots())
    return judged(raw, policy, roots=roots, collateral=InMemory({CRL: SNP.crls}), report_data=report_data)


@pytest.mark.parametrize(
    ("index", "value"),
    [(4, quote().quote.pcrs[4]), (4, b"x" * 32), (23, bytes(32))],
    ids=["as quoted", "another", "not quoted"],
)
def test_register_of_a_tpm_beside_a_report_shows_nothing_of_the_machine(index: int, value: bytes) -> None:
    """Anyone can put the quote of a clean machine's TPM beside the report of another: its values do not help."""
    platforms = (RawPlatform.SEV_SNP, RawPlatform.TPM)
    found = judged_beside(beside(), platforms=platforms, pcrs={index: value})
    assert failed(found) == [f"pcr-{index}"]
    (check,) = found.failures
    assert check.failure is UNTIED and "nothing ties to the processor" in check.found
    without = judged_beside(dataclasses.replace(beside(), tpm=None), platforms=platforms, pcrs={index: value})
    assert outcomes(without)[f"pcr-{index}"] is CheckOutcome.NOT_APPLICABLE


NONCE = b"n" * 32


@pytest.mark.parametrize(
    ("nonce", "over", "wrong"),
    [
        (NONCE, NONCE, []),
        (NONCE, NONCE.ljust(64, b"\0"), []),
        (NONCE, b"", ["quote-binding"]),
        (NONCE, NONCE[:31], ["quote-binding"]),
        (NONCE, b"m" * 32, ["quote-binding"]),
        (b"", b"", ["quote-binding"]),
    ],
)
def test_quote_beside_a_report_must_be_over_the_data_that_is_asked_for(
    nonce: bytes, over: bytes, wrong: list[str]
) -> None:
    """go-tpm-tools gives the same nonce to both, and fills it up with zeros for the report."""
    asked = nonce.ljust(64, b"\0")
    raw = beside(SNP.processor.report(report_data=asked), signed_again(extra_data=over))
    found = judged_beside(raw, asked)
    assert failed(found) == wrong
    assert failed(judged_beside(raw)) == []
    assert not any("nonce" in said for said in found.not_judged)


@pytest.mark.parametrize("indices", [(), (16,), (10, 15, 23)])
def test_log_beside_a_quote_over_none_of_its_registers_shows_nothing(indices: tuple[int, ...]) -> None:
    parsed, pcrs = structures.Attest.parse(quote().quote.attest), dict.fromkeys(indices, bytes(32))
    assert parsed.quote is not None
    selection = structures.PcrSelection(structures.ALG_SHA256, indices)
    digest = hashlib.sha256(b"".join(pcrs.values())).digest()
    over = dataclasses.replace(parsed.quote, selections=(selection,), pcr_digest=digest)
    attest = dataclasses.replace(parsed, quote=over).marshal()
    found = judged(quote(quote=SignedRegisters(attest, GCP.tpm.sign(attest), pcrs)))
    assert failed(found) == [] and outcomes(found)["boot-event-log"] is CheckOutcome.NOT_APPLICABLE


@pytest.mark.parametrize("machine", [AZURE, AzureTdxMachine.create(AT)])
def test_bytes_after_what_azures_hardware_signed_are_counted_too(machine: AzureSnpMachine | AzureTdxMachine) -> None:
    raw = bare(machine.evidence(BINDING))
    assert isinstance(raw, RawHcl)
    tdx = isinstance(machine, AzureTdxMachine)
    collateral = machine.intel.collateral() if isinstance(machine, AzureTdxMachine) else azure_collateral()
    longer = [(dataclasses.replace(raw, tdx_quote=raw.tdx_quote + bytes(5)), "5 bytes")] if raw.tdx_quote else []
    assert bool(longer) is tdx
    for one, said in ((raw, "none"), (dataclasses.replace(raw, unsigned=3), "3 bytes"), *longer):
        found = judged(one, evidence_policy(machine.policy()), roots=machine.roots(), collateral=collateral)
        (check,) = (check for check in found.checks if check.name == "unsigned-bytes")
        assert (failed(found), check.found) == ([], said)


def test_tpm_beside_a_report_is_judged_too_and_not_taken_as_bound() -> None:
    found = judged_beside(beside())
    assert failed(found) == [] and any("ties its key to the processor" in said for said in found.not_judged)
    assert found.identity["tpm_pcr4"] == quote().quote.pcrs[4].hex()
    broken = beside(tpm=with_quote(signature=GCP.tpm.sign(b"x")))
    assert failed(judged_beside(broken)) == ["quote-signature"]
