"""Collateral that cannot be parsed is skipped and listed, unless the caller brought it and it may reject a machine."""

import dataclasses
import hashlib
import json
from datetime import UTC, datetime

import pytest

from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import (
    CERTIFICATE,
    COLLATERAL_KINDS,
    CRL,
    FILE,
    LAUNCH_ENDORSEMENT,
    QE_IDENTITY,
    TCB_INFO,
    CollateralItem,
    InMemory,
    Origin,
)
from cloister.attestation.errors import CollateralError
from cloister.attestation.evidence import Evidence
from cloister.attestation.raw.verifier import RawSnp, RawTdx, RawVerdict, verify_raw
from cloister.attestation.result.verdict import Skipped, Verdict
from cloister.attestation.testkit import LocalMachine, SnpMachine, Td, evidence_policy
from cloister.attestation.verifier import SessionPurpose, verify
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList
from cloister.client.evidence.verdict import verdict_lines
from cloister.protocol import schema

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SESSION = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
BINDING = SessionBinding(SESSION.nonce, SESSION.tls_key_digest, SESSION.hpke_key_digest)
TD = Td.create(AT)
GOOD = {kind: tuple(TD.intel.collateral().items(kind)) for kind in COLLATERAL_KINDS}
JUNK = b"\x30\x03\x02\x01"


def carrying(*items: CollateralItem) -> Evidence:
    return dataclasses.replace(TD.evidence(BINDING), collateral=items)


def judged(evidence: Evidence, **brought: tuple[bytes, ...]) -> Verdict:
    source = InMemory({kind.replace("_", "-"): contents for kind, contents in brought.items()})
    return judged_with(source, evidence)


def judged_with(source: InMemory, evidence: Evidence | None = None) -> Verdict:
    given = evidence or carrying(*carried())
    return verify(given, TD.policy(), purpose=SESSION, at=AT, collateral=source, roots=(TD.intel.anchor(),))


def carried() -> tuple[CollateralItem, ...]:
    return tuple(CollateralItem(kind, content) for kind, contents in GOOD.items() for content in contents)


def brought(kind: str, *contents: bytes) -> Verdict:
    return judged(carrying(*carried()), **{kind.replace("-", "_"): contents})


def sgx(kind: str) -> bytes:
    """Intel's collateral for SGX, which has the same formats."""
    member, other = {TCB_INFO: ("tcbInfo", "SGX"), QE_IDENTITY: ("enclaveIdentity", "QE")}[kind]
    document = json.loads(GOOD[kind][0])
    document[member]["id"] = other
    return json.dumps(document).encode()


@pytest.mark.parametrize("kind", [CERTIFICATE, CRL, TCB_INFO, QE_IDENTITY])
def test_unreadable_item_of_the_evidence_is_skipped_and_listed(kind: str) -> None:
    found = judged(carrying(CollateralItem(kind, JUNK), *carried()))

    assert found.accepted
    (skipped,) = found.skipped
    assert (skipped.kind, skipped.digest, skipped.brought) == (kind, hashlib.sha256(JUNK).digest(), False)


@pytest.mark.parametrize(
    ("kind", "check"),
    [(TCB_INFO, "tdx-tcb-info"), (QE_IDENTITY, "tdx-qe-identity"), (CRL, "tdx-pck-revocation")],
)
def test_unreadable_item_does_not_replace_a_missing_one(kind: str, check: str) -> None:
    others = [item for item in carried() if item.kind != kind]
    found = judged(carrying(CollateralItem(kind, JUNK), *others))

    assert check in [one.name for one in found.failures]
    assert [one.kind for one in found.skipped] == [kind]


@pytest.mark.parametrize("kind", [CRL, TCB_INFO, QE_IDENTITY])
def test_unreadable_list_or_statement_of_the_caller_is_an_error(kind: str) -> None:
    with pytest.raises(CollateralError, match=kind) as caught:
        brought(kind, GOOD[kind][0][:-1])
    assert caught.value.exit_code == 2
    assert "remove it on purpose" in caught.value.hint


def test_unreadable_certificate_of_the_caller_is_skipped_and_listed() -> None:
    found = brought(CERTIFICATE, JUNK)

    assert found.accepted
    assert [(one.kind, one.brought) for one in found.skipped] == [(CERTIFICATE, True)]


def test_unreadable_endorsement_of_the_caller_is_skipped_and_listed() -> None:
    usable = UsableCollateral((), InMemory({LAUNCH_ENDORSEMENT: (b"\xff",)}))

    assert usable.launch_endorsements() == ()
    assert [(one.kind, one.brought) for one in usable.skipped] == [(LAUNCH_ENDORSEMENT, True)]


@pytest.mark.parametrize("kind", [TCB_INFO, QE_IDENTITY])
def test_sgx_collateral_may_be_in_the_same_folder(kind: str) -> None:
    found = brought(kind, sgx(kind))

    assert found.accepted
    (skipped,) = found.skipped
    assert (skipped.kind, skipped.brought) == (kind, True)
    assert "must be TD" in skipped.reason


def test_every_item_is_parsed_once() -> None:
    usable = UsableCollateral([CollateralItem(CRL, JUNK)], None)

    assert usable.revocation_lists() == usable.revocation_lists() == ()
    assert len(usable.skipped) == 1


def test_items_of_the_evidence_come_first() -> None:
    first, *others = GOOD[CRL]
    usable = UsableCollateral([CollateralItem(CRL, first)], InMemory({CRL: tuple(others)}))

    assert usable.revocation_lists() == tuple(map(RevocationList.parse, GOOD[CRL]))


def bare() -> RawVerdict:
    quote = TD.evidence(BINDING).tdx_quote
    assert quote is not None
    contents = {**GOOD, CERTIFICATE: (JUNK, *GOOD[CERTIFICATE])}
    return verify_raw(
        RawTdx(quote),
        evidence_policy(TD.policy()),
        report_data=None,
        at=AT,
        collateral=InMemory(contents),
        roots=(TD.intel.anchor(),),
    )


def test_verdict_on_a_bare_quote_lists_skipped_items() -> None:
    found = bare()

    assert found.genuine
    assert [one.kind for one in found.skipped] == [CERTIFICATE]
    schema.validate("raw-verdict", found.value(), what="verdict")


def test_skipped_items_are_shown_to_people_and_programs() -> None:
    found = judged(carrying(CollateralItem(CRL, JUNK), *carried()), certificate=(JUNK,))

    said = [line for line in verdict_lines(found) if line.startswith("Skipped")]
    assert sorted(line.partition(", SHA")[0].removeprefix("Skipped   ") for line in said) == [
        "certificate from your files or a vendor",
        "crl from the evidence",
    ]
    value = found.value()
    assert {(one["kind"], one["source"]) for one in value["skipped"]} == {(CRL, "evidence"), (CERTIFICATE, "caller")}
    schema.validate("verdict", value, what="verdict")


def test_item_that_cannot_be_read_or_used_is_named_by_its_file() -> None:
    """A folder may have hundreds."""
    origins = {JUNK: Origin(FILE, "kept/7.crl"), forged(CRL): Origin(FILE, "kept/8.crl")}
    with pytest.raises(CollateralError, match=r"^The collateral in kept/7\.crl cannot be read: crl, "):
        judged_with(InMemory({CRL: (JUNK,)}, origins))
    found = judged_with(InMemory({CRL: (forged(CRL),)}, origins))
    assert [one.place for one in found.skipped] == ["kept/8.crl"]
    schema.validate("verdict", found.value(), what="verdict")
    assert any(line.startswith("Skipped   crl from kept/8.crl, SHA-256 ") for line in verdict_lines(found))


def test_verdict_without_skipped_items_has_no_such_member() -> None:
    assert "skipped" not in judged(carrying(*carried())).value()


def forged(kind: str) -> bytes:
    """Items that parse, but were changed after they were signed."""
    if kind == CRL:
        changed = GOOD[CRL][0].replace(b"260330120000Z", b"260331120000Z")
    else:
        changed = GOOD[kind][0].replace(b'"tcbEvaluationDataNumber": 18', b'"tcbEvaluationDataNumber": 19')
        changed = changed.replace(b'"tcbEvaluationDataNumber":18', b'"tcbEvaluationDataNumber":19')
    assert changed != GOOD[kind][0]
    return changed


UNSIGNED = "no available certificate of its issuer signed it, so it counts as absent"


@pytest.mark.parametrize("kind", [CRL, TCB_INFO, QE_IDENTITY])
def test_unsigned_item_of_the_caller_is_listed(kind: str) -> None:
    found = brought(kind, forged(kind), GOOD[kind][0])

    assert found.accepted
    digest = hashlib.sha256(forged(kind)).digest()
    assert found.skipped == (Skipped(kind, digest, True, UNSIGNED),)


@pytest.mark.parametrize("kind", [CRL, TCB_INFO, QE_IDENTITY])
def test_unsigned_item_of_the_evidence_is_not_listed(kind: str) -> None:
    """The guest could have omitted it."""
    assert judged(carrying(CollateralItem(kind, forged(kind)), *carried())).skipped == ()


def test_certificates_in_a_quote_or_table_may_have_signed_collateral() -> None:
    """The CRL of the PCK CA, whose certificate only the quote has, and of AMD's root, which only the table has."""
    quote = TD.evidence(BINDING).tdx_quote
    assert quote is not None
    contents = InMemory({**GOOD, CRL: (*GOOD[CRL], forged(CRL))})
    anchor = (TD.intel.anchor(),)
    bare = verify_raw(
        RawTdx(quote), evidence_policy(TD.policy()), report_data=None, at=AT, collateral=contents, roots=anchor
    )
    assert [one.kind for one in bare.skipped] == [CRL]

    snp = SnpMachine.create_at(AT)
    lists = (snp.crls[0], snp.crls[0][:-1] + bytes([snp.crls[0][-1] ^ 1]), GOOD[CRL][0])
    brought = InMemory({CRL: lists})
    evidence, roots = snp.evidence(BINDING), (snp.processor.amd.anchor(),)
    found = verify(evidence, snp.policy(), purpose=SESSION, at=AT, collateral=brought, roots=roots)
    assert found.accepted
    assert [one.digest for one in found.skipped] == [hashlib.sha256(lists[1]).digest()]
    raw = RawSnp(evidence.snp_report or b"", evidence.snp_certificates)
    genuine = verify_raw(raw, evidence_policy(snp.policy()), report_data=None, at=AT, collateral=brought, roots=roots)
    assert [one.digest for one in genuine.skipped] == [hashlib.sha256(lists[1]).digest()]


def test_parts_of_another_platform_are_not_parsed() -> None:
    snp = SnpMachine.create_at(AT)
    evidence = dataclasses.replace(snp.evidence(BINDING), tdx_quote=b"no quote")
    brought, roots = InMemory({CRL: snp.crls}), (snp.processor.amd.anchor(),)
    found = verify(evidence, snp.policy(), purpose=SESSION, at=AT, collateral=brought, roots=roots)
    assert [check.name for check in found.failures] == ["parts"]

    td = dataclasses.replace(carrying(*carried()), snp_certificates=b"no table")
    assert [check.name for check in judged(td, crl=GOOD[CRL]).failures] == ["parts"]


def test_unusable_certificates_that_name_an_issuer_change_nothing() -> None:
    """Neither garbage nor a VCEK can issue the certificate of an attestation key."""
    machine = LocalMachine.create(AT)
    issuer = Certificate.parse(machine.certificate).issuer
    chip = SnpMachine.create_at(AT).processor.certificate
    evidence = machine.evidence(BINDING)
    items = (CollateralItem(CERTIFICATE, b"no certificate of " + issuer), CollateralItem(CERTIFICATE, chip))
    found = verify(dataclasses.replace(evidence, collateral=items), machine.policy(), purpose=SESSION, at=AT)

    assert found.accepted
    assert [one.kind for one in found.skipped] == [CERTIFICATE]


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"certificates": (b"\x30",)}, "'certificates' is not a kind of collateral"),
        ({CERTIFICATE: (b"\x30", b"-----BEGIN CERTIFICATE-----\n")}, "of the kind certificate is given in PEM"),
        ({CRL: (b"-----BEGIN X509 CRL-----\n",)}, "of the kind crl is given in PEM"),
    ],
)
def test_what_no_check_would_read_is_refused_when_it_is_given(
    contents: dict[str, tuple[bytes, ...]], said: str
) -> None:
    with pytest.raises(CollateralError, match=said):
        InMemory(contents)
