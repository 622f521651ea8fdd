"""Hostile bytes: flipped bits are rejected, truncated input is malformed, arbitrary bytes parse or are malformed."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.checks import CHECKS
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import CRL, QE_IDENTITY, TCB_INFO
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.result.verdict import CheckOutcome, Recorder
from cloister.attestation.tdx.certificates import Pck
from cloister.attestation.tdx.checks import TDX_NAMES
from cloister.attestation.tdx.collateral import IntelCollateral, pck_path, signer_path
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.tdx.quote import MAX_SIZE as MAX_QUOTE
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.tdx.signed_json import MAX_SIZE
from cloister.attestation.tdx.tcb_info import QeIdentity, SignedStatement, TcbInfo
from cloister.attestation.tdx.verify import check_quote
from cloister.attestation.testkit import BootEvent, Td, encode_ccel
from cloister.attestation.testkit.intel import PCK_ISSUERS, PCK_NAME, Intel, IntelPlatform, certify
from cloister.attestation.testkit.td import CC_EVENTS
from cloister.attestation.tpm.ccel import MAX_EVENTS, Ccel
from cloister.attestation.tpm.ccel import MAX_SIZE as MAX_LOG
from cloister.attestation.x509 import crl, pem
from cloister.attestation.x509.certificate import Certificate
from tests.attestation.flips import flipped, places

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TD = Td.create(AT)
INTEL = TD.intel
DATA = bytes(range(64))
QUOTES = {
    "1.5": INTEL.quote(TD.report(DATA)),
    "1.0": INTEL.quote(TD.report(DATA, tee_tcb_svn2=None, mr_service_td=None)),
    "1.0 in version 5": INTEL.quote(TD.report(DATA, tee_tcb_svn2=None, mr_service_td=None), version=5),
}
BODY = 48
"""Offset of the TD report's description in version 5: its type in two bytes, and its size in four."""
COLLATERAL = INTEL.collateral()
CHAIN = (INTEL.pck, INTEL.authority, INTEL.root)


def intel_collateral(chain: Sequence[Certificate]) -> IntelCollateral:
    return IntelCollateral.gather(chain, UsableCollateral((), COLLATERAL))


def accepted(quote: bytes) -> bool:
    checks = Recorder(TDX_NAMES, CHECKS)
    parsed = TdxQuote.parse(quote)
    check_quote(
        checks,
        parsed,
        intel_collateral(parsed.certificates),
        TdxPolicy(),
        report_data=DATA,
        at=AT,
        anchor=INTEL.anchor(),
    )
    return all(check.outcome is not CheckOutcome.FAILED for check in checks.finish())


def leads_to_intel(quote: bytes) -> bool:
    chain = [Certificate.parse(der) for der in TdxQuote.parse(quote).pck_chain]
    Pck.parse(chain[0])
    return bool(pck_path(chain, INTEL.anchor()).certificates)


def refused(accepts: Callable[[bytes], bool], data: bytes) -> bool:
    try:
        return not accepts(data)
    except MalformedEvidence:
        return True


def unnoticed(accepts: Callable[[bytes], bool], data: bytes, chosen: Iterable[int]) -> list[int]:
    """Of the ``chosen`` bytes, those in which flipping one bit changed nothing."""
    return [place for place in chosen if not refused(accepts, flipped(data, place))]


@pytest.mark.parametrize("kind", ["1.5", "1.0", "1.0 in version 5"])
def test_flipped_bit_of_signed_data_is_rejected(kind: str) -> None:
    quote = QUOTES[kind]
    assert accepted(quote)
    assert unnoticed(accepted, quote, places(0, quote.index(b"-----BEGIN"))) == []


def test_flipped_bit_of_the_certificates_is_rejected() -> None:
    quote = QUOTES["1.5"]
    assert leads_to_intel(quote)
    assert unnoticed(leads_to_intel, quote, places(quote.index(b"-----BEGIN"), len(quote))) == []


@pytest.mark.parametrize(("kind", "parse"), [(TCB_INFO, TcbInfo.parse), (QE_IDENTITY, QeIdentity.parse)])
def test_flipped_bit_of_a_statement_is_rejected(kind: str, parse: Callable[[bytes], SignedStatement]) -> None:
    gathered = intel_collateral([Certificate.parse(der) for der in CHAIN])

    def accepts(data: bytes) -> bool:
        return bool(signer_path(parse(data), gathered, INTEL.anchor()).certificates)

    (document,) = COLLATERAL.items(kind)
    assert accepts(document)
    assert unnoticed(accepts, document, range(len(document))) == []


def test_flipped_bit_of_a_crl_is_rejected() -> None:
    serial = Certificate.parse(INTEL.pck).parsed.serial_number
    authority = Certificate.parse(INTEL.authority)

    def accepts(data: bytes) -> bool:
        return crl.current([crl.RevocationList.parse(data)], authority, AT)[0] is not None

    data = INTEL.crl(revoked=[serial])
    assert accepts(data)
    assert crl.revoked([crl.RevocationList.parse(data)], authority, serial)
    assert unnoticed(accepts, data, range(len(data))) == []


@pytest.mark.parametrize("kind", QUOTES)
def test_truncated_quote_is_malformed(kind: str) -> None:
    quote = QUOTES[kind]
    for length in range(len(quote)):
        with pytest.raises(MalformedEvidence):
            TdxQuote.parse(quote[:length])


def test_quote_may_be_padded_with_zeros_only() -> None:
    quote = QUOTES["1.5"]
    assert accepted(quote + bytes(1000))
    for rest in (b"\1", bytes(70) + b"x"):
        with pytest.raises(MalformedEvidence, match="zeros"):
            TdxQuote.parse(quote + rest)
    with pytest.raises(MalformedEvidence, match="at most"):
        TdxQuote.parse(quote.ljust(MAX_QUOTE + 1, b"\0"))


@pytest.mark.parametrize("kind", [TCB_INFO, QE_IDENTITY, CRL])
def test_truncated_collateral_is_malformed(kind: str) -> None:
    parse = {TCB_INFO: TcbInfo.parse, QE_IDENTITY: QeIdentity.parse, CRL: crl.RevocationList.parse}[kind]
    document = next(iter(COLLATERAL.items(kind)))
    for length in range(len(document)):
        with pytest.raises(MalformedEvidence):
            parse(document[:length])


@pytest.mark.parametrize("parse", [TcbInfo.parse, QeIdentity.parse])
@pytest.mark.parametrize("data", [b"[" * 10**5, b'{"a":' * 50, b"{}", b"1e9", b'"x"', b"\xff", b" " * (MAX_SIZE + 1)])
def test_other_json_is_malformed(parse: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(MalformedEvidence):
        parse(data)


def test_truncated_log_is_malformed_or_shorter() -> None:
    log = encode_ccel(CC_EVENTS, size=0)
    whole = Ccel.parse(log)
    assert Ccel.parse(log.ljust(5000, b"\xff")) == Ccel.parse(log.ljust(5000, b"\0")) == whole
    shorter = 0
    for length in range(len(log)):
        try:
            cut = Ccel.parse(log[:length])
        except MalformedEvidence:
            continue
        assert cut.events == whole.events[: len(cut.events)]
        shorter += 1
    # Between two events, and inside a register that is ffffffff, which looks like padding.
    assert shorter == 1 + len(CC_EVENTS) - 1 + 4


def test_last_event_may_end_in_padding_bytes() -> None:
    events = (BootEvent(1, 0x4, bytes(32)), BootEvent(2, 0x4, b"\xff" * 32))
    for order in (events, events[::-1]):
        for filler in (b"", b"\xff" * 100, bytes(100)):
            log = Ccel.parse(encode_ccel(order, size=0) + filler)
            assert [event.data for event in log.events] == [event.data for event in order]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([BootEvent(0, 0x4, b"")], "mrIndex"),
        ([BootEvent(5, 0x4, b"")], "mrIndex"),
        ([BootEvent(0xFFFFFFFF, 0x4, b"")], "is none"),
        ([BootEvent(1, 0x4, b"")] * (MAX_EVENTS // 4 * 5), "more than|at most"),
    ],
)
def test_event_with_an_unknown_register_is_malformed(events: list[BootEvent], reason: str) -> None:
    with pytest.raises(MalformedEvidence, match=reason):
        Ccel.parse(encode_ccel(events, size=0))


def test_oversized_log_is_malformed_but_its_filling_does_not_count() -> None:
    log = bytearray(encode_ccel(CC_EVENTS, size=MAX_LOG + 1))
    assert Ccel.parse(bytes(log)).events == Ccel.parse(encode_ccel(CC_EVENTS)).events
    log[-1] ^= 0x55
    with pytest.raises(MalformedEvidence, match="at most"):
        Ccel.parse(bytes(log))


def test_data_between_padding_is_malformed() -> None:
    log = bytearray(encode_ccel(CC_EVENTS))
    log[-100] = 0
    with pytest.raises(MalformedEvidence):
        Ccel.parse(bytes(log))


@given(st.binary(max_size=1500))
def test_arbitrary_bytes_are_a_value_or_malformed(data: bytes) -> None:
    for parse in (
        TdxQuote.parse,
        Ccel.parse,
        TcbInfo.parse,
        QeIdentity.parse,
        crl.RevocationList.parse,
        lambda value: pem.read(value, "chain", limit=1 << 14, most=4),
    ):
        try:
            parse(data)
        except MalformedEvidence:
            pass


@given(st.binary(max_size=200), st.integers(0, 4000), st.sampled_from(list(QUOTES)))
def test_changed_quote_parses_or_is_malformed(data: bytes, offset: int, kind: str) -> None:
    quote = QUOTES[kind]
    changed = quote[:offset] + data + quote[offset + len(data) :]
    assert changed == quote or refused(accepted, changed)


EXTENSION = IntelPlatform().extension()


def certificate_with(extension: bytes) -> Certificate:
    key = INTEL.pck_key
    return Certificate.parse(certify(AT, key, PCK_ISSUERS[0], PCK_NAME, key, extension=extension))


def test_sgx_extension_of_a_certificate_is_parsed() -> None:
    platform = IntelPlatform(components=tuple(range(248, 256)) + tuple(range(8)), pce_svn=65535)
    pck = Pck.parse(certificate_with(platform.extension()))
    assert (pck.components, pck.pce_svn) == (platform.components, platform.pce_svn)
    assert (pck.fmspc, pck.pce_id, pck.ppid) == (platform.fmspc, platform.pce_id, platform.ppid)


@pytest.mark.parametrize("length", range(0, len(EXTENSION), 7))
def test_truncated_extension_is_malformed(length: int) -> None:
    with pytest.raises(MalformedEvidence):
        Pck.parse(certificate_with(EXTENSION[:length]))


def test_certificate_without_the_sgx_extension_is_malformed() -> None:
    for der in (INTEL.authority, INTEL.root, INTEL.signer):
        with pytest.raises(MalformedEvidence, match="has no extension"):
            Pck.parse(Certificate.parse(der))


@pytest.mark.parametrize(
    "change",
    [
        {"components": (256, *[0] * 15)},
        {"pce_svn": 65536},
        {"ppid": b"p" * 15},
        {"fmspc": b"f" * 7},
        {"pce_id": b""},
        {"components": tuple([1] * 15)},
        {"components": tuple([1] * 17)},
    ],
    ids=str,
)
def test_impossible_platform_values_are_malformed(change: dict[str, Any]) -> None:
    # CPUSVN repeats the components; values that do not fit into a byte are truncated here only.
    with pytest.raises(MalformedEvidence):
        Pck.parse(certificate_with(dataclasses.replace(IntelPlatform(), **change).extension()))


def test_unsupported_quote_is_malformed() -> None:
    quote = QUOTES["1.0"]
    for offset, value in ((0, 3), (0, 6), (2, 3), (4, 0)):
        with pytest.raises(MalformedEvidence, match="must be"):
            TdxQuote.parse(quote[:offset] + bytes([value]) + quote[offset + 1 :])


@pytest.mark.parametrize(("kind", "size"), [(1, 384), (2, 648), (3, 584), (4, 648), (3, 0), (2, 0xFFFFFFFF)])
def test_report_of_another_type_or_size_is_malformed(kind: int, size: int) -> None:
    quote = QUOTES["1.5"]
    described = kind.to_bytes(2, "little") + size.to_bytes(4, "little")
    with pytest.raises(MalformedEvidence, match="not a known TD report"):
        TdxQuote.parse(quote[:BODY] + described + quote[BODY + 6 :])


def test_td_report_1_0_is_the_same_in_both_quote_versions() -> None:
    four, five = TdxQuote.parse(QUOTES["1.0"]), TdxQuote.parse(QUOTES["1.0 in version 5"])
    assert (four.version, five.version) == (4, 5)
    assert four.report == five.report
    assert five.signed[BODY + 6 :] == four.signed[BODY:]


def test_too_many_chain_certificates_are_malformed() -> None:
    quote = INTEL.quote(TD.report(DATA))
    one = quote[quote.index(b"-----BEGIN") : quote.index(b"-----END")] + b"-----END CERTIFICATE-----\n"
    assert len(pem.read(one * 4, "chain", limit=1 << 14, most=4)) == 4
    for text in (one * 5, b"", b"\0", one + b"x", one[:-1] + b" \n", b"\n" + one, one + b"\n" * (1 << 14)):
        with pytest.raises(MalformedEvidence):
            pem.read(text, "chain", limit=1 << 14, most=4)


def test_statement_signed_by_another_root_is_rejected() -> None:
    other = Intel.create(AT)
    gathered = intel_collateral([Certificate.parse(der) for der in CHAIN])
    info = TcbInfo.parse(other.statement("tcbInfo", other.tcb_info()))
    assert not signer_path(info, gathered, INTEL.anchor()).certificates
