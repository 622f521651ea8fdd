"""A cache between appraisals changes no verdict: what is kept depends on bytes alone."""

import dataclasses
from collections.abc import Iterator
from datetime import timedelta

import pytest

from cloister.attestation.collateral.cache import VerificationCache
from cloister.attestation.collateral_source import CERTIFICATE, CRL, InMemory
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.raw.verifier import RawSnp, RawTdx, verify_raw
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.testkit import Amd, Processor, SnpMachine, Td, evidence_policy
from tests.attestation.clouds import AT, BINDING, MANIFEST, Case
from tests.attestation.platforms import test_sev_snp, test_tdx


def said(case: Case, cache: VerificationCache | None = None) -> object:
    """The whole verdict, or the error."""
    try:
        verdict = case.verdict(cache)
    except MalformedEvidence as error:
        return str(error)
    assert isinstance(verdict, Verdict)
    return verdict.value()


def cases() -> Iterator[tuple[str, Case]]:
    """Every single fault of a SEV-SNP machine and of a TD, each after valid evidence."""
    machine = SnpMachine.create(Processor.create(AT), manifest_digest=MANIFEST)
    td = Td.create(AT, manifest_digest=MANIFEST)
    yield "sev-snp", test_sev_snp.good(machine)
    for name, make in test_sev_snp.CASES.items():
        yield f"sev-snp, {name}", make(machine)
    yield "tdx", with_roots(test_tdx.good(td))
    for name, make in test_tdx.CASES.items():
        yield f"tdx, {name}", with_roots(make(td))


def with_roots(case: test_tdx.Case) -> Case:
    values = {field.name: getattr(case, field.name) for field in dataclasses.fields(case)}
    return Case(roots=(values.pop("anchor"),), **values)


def test_every_fault_is_found_with_what_valid_evidence_left_and_the_other_way_round() -> None:
    cache, valid = VerificationCache(), {}
    for name, case in cases():
        assert said(case, cache) == said(case), name
        valid.setdefault(name.split(",")[0], case)
    for case in valid.values():
        assert case.verdict(cache).accepted


def test_kept_chain_is_judged_by_the_time_anchors_and_lists_of_each_appraisal() -> None:
    machine = SnpMachine.create(Processor.create(AT), manifest_digest=MANIFEST)
    amd, other = machine.processor.amd, Amd.create(AT)
    good = test_sev_snp.good(machine)
    serial = amd.certify(machine.processor.key.public_key(), machine.processor.tcb, hwid=machine.processor.chip_id)
    cache = VerificationCache()
    assert said(good, cache) == said(good)
    revoking = dataclasses.replace(machine, crls=(amd.crl(revoked=(0x10001,)),))
    without = dataclasses.replace(machine, crls=())
    turned = {
        "another time": good.but(at=AT + timedelta(days=5000)),
        "another anchor": good.but(roots=(other.anchor(),)),
        "a revoked signer": good.but(evidence=revoking.evidence(BINDING)),
        "no list": good.but(evidence=without.evidence(BINDING)),
        "the caller's list": good.but(collateral=InMemory({CRL: (amd.crl(revoked=(0x10001,)),)})),
        "a list of another key": good.but(
            evidence=without.evidence(BINDING), collateral=InMemory({CRL: (other.crl(),)})
        ),
    }
    for name, case in turned.items():
        fresh = case.verdict()
        assert not fresh.accepted, name
        assert said(case, cache) == fresh.value(), name
        assert case.verdict(cache).causes == fresh.causes
        assert good.verdict(cache).accepted, name
    # A chip's key with another certificate, in a collateral that already has the first.
    more = good.but(collateral=InMemory({CERTIFICATE: (serial, *other.signers[machine.processor.kind][1:])}))
    assert said(more, cache) == said(more)


def test_issuer_with_the_same_name_and_another_key_does_not_profit_from_a_kept_signature() -> None:
    machine, impostor = SnpMachine.create(Processor.create(AT)), SnpMachine.create(Processor.create(AT))
    roots = (machine.processor.amd.anchor(),)
    cache, policy = VerificationCache(), evidence_policy(machine.policy())
    lists = InMemory({CRL: (machine.processor.amd.crl(),)})

    def judged(data: bytes, table: bytes) -> bool:
        raw = RawSnp(data, table)
        return verify_raw(raw, policy, report_data=None, at=AT, collateral=lists, roots=roots, cache=cache).genuine

    assert judged(machine.processor.report(), machine.processor.table())
    mixed = dataclasses.replace(impostor.processor, amd=machine.processor.amd)
    assert not judged(impostor.processor.report(), impostor.processor.table())
    assert not judged(impostor.processor.report(), mixed.table())
    assert not judged(impostor.processor.report(), machine.processor.table())
    assert judged(machine.processor.report(), machine.processor.table())


def test_report_finds_its_certificate_among_those_of_a_whole_fleet() -> None:
    first = SnpMachine.create(Processor.create(AT))
    amd = first.processor.amd
    fleet = [Processor.create(AT, amd=amd, chip_id=bytes([number]) * 64) for number in range(1, 13)]
    _, signer = amd.signers[fleet[0].kind]
    collateral = InMemory({CERTIFICATE: (*(one.certificate for one in fleet), signer, amd.root), CRL: (amd.crl(),)})
    cache = VerificationCache()
    for one in fleet:
        for known in (None, cache):
            found = verify_raw(
                RawSnp(one.report()),
                evidence_policy(first.policy()),
                report_data=None,
                at=AT,
                collateral=collateral,
                roots=(amd.anchor(),),
                cache=known,
            )
            assert found.genuine, found.failures


def test_chip_with_several_tcb_versions_is_verified_with_that_of_the_report() -> None:
    machine = SnpMachine.create(Processor.create(AT))
    processor, amd = machine.processor, machine.processor.amd
    older = [
        amd.certify(
            processor.key.public_key(), dataclasses.replace(processor.tcb, microcode=level), hwid=processor.chip_id
        )
        for level in range(12)
    ]
    _, signer = amd.signers[processor.kind]
    collateral = InMemory({CERTIFICATE: (*older, processor.certificate, signer, amd.root), CRL: (amd.crl(),)})
    found = verify_raw(
        RawSnp(processor.report()),
        evidence_policy(machine.policy()),
        report_data=None,
        at=AT,
        collateral=collateral,
        roots=(amd.anchor(),),
    )
    assert found.genuine, found.failures


@pytest.mark.parametrize("version", [4, 5])
def test_tdx_quotes_share_a_cache(version: int) -> None:
    td, cache = Td.create(AT), VerificationCache()
    for number in range(2):
        raw = RawTdx(td.intel.quote(td.report(bytes([number]) * 64, **OLD[version]), version=version))
        found = verify_raw(
            raw,
            evidence_policy(td.policy()),
            report_data=bytes([number]) * 64,
            at=AT,
            collateral=td.intel.collateral(),
            roots=(td.intel.anchor(),),
            cache=cache,
        )
        assert found.genuine, found.failures


OLD = {4: {"tee_tcb_svn2": None, "mr_service_td": None}, 5: {}}


def test_same_bytes_are_parsed_once_for_each_kind_and_errors_are_not_kept() -> None:
    cache, parsed = VerificationCache(), []

    def parse(data: bytes) -> bytes:
        parsed.append(data)
        if data == b"bad":
            raise MalformedEvidence("item", 0, "is bad")
        return data[::-1]

    for _ in range(3):
        assert cache.parsed("one", b"abc", parse) == b"cba"
        assert cache.parsed("other", b"abc", parse) == b"cba"
        with pytest.raises(MalformedEvidence):
            cache.parsed("one", b"bad", parse)
    assert parsed == [b"abc", b"abc", b"bad", b"bad", b"bad"]


def test_cache_holds_no_more_than_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    from cloister.attestation.collateral import cache as module

    monkeypatch.setattr(module, "_MAX_BYTES", 100)
    monkeypatch.setattr(module, "_MAX_ENTRIES", 4)
    cache, made = VerificationCache(), []

    def parse(data: bytes) -> bytes:
        made.append(data)
        return data

    for number in range(6):
        cache.parsed("one", bytes([number]), parse)
        cache.parsed("one", b"\0", parse)  # used again each time, so it stays
    assert made.count(b"\0") == 1
    cache.parsed("one", bytes([1]), parse)
    assert made.count(bytes([1])) == 2
    cache.parsed("one", b"x" * 200, parse)
    cache.parsed("one", b"\0", parse)
    assert made.count(b"\0") == 2  # one item larger than all of it leaves nothing else
