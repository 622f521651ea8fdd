"""What each file is: every form gives the same evidence as its bytes alone, or is refused by its name."""

import base64
import copy
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cloister.attestation.collateral_source import CERTIFICATE, CRL
from cloister.attestation.raw.kinds import RawHcl, RawSnp, RawTdx
from cloister.attestation.raw.log import RawLog
from cloister.attestation.raw.tpm import RawTpm, TpmKey
from cloister.attestation.testkit.event_log import BootEvent, encode_event_log
from cloister.attestation.testkit.microsoft import encode_hcl_report
from cloister.attestation.tpm.eventlog import EV_NO_ACTION
from cloister.attestation.tpm.structures import sized
from cloister.client.collateral import content
from cloister.client.evidence.evidence_files import encoding
from cloister.client.evidence.evidence_files.loading import load
from cloister.errors import InputError
from cloister.protocol import canonical
from tests.client.evidence.wrappers import (
    ARK,
    ASK,
    ATTESTATION,
    AZURE,
    AZURE_RAW,
    AZURE_TD_RAW,
    BINDING,
    CCEL,
    DATA,
    JSON,
    PCRS,
    QUOTE,
    QUOTE_4,
    REPORT,
    RSA,
    RSA_QUOTE,
    SNP,
    SNP_ATTESTATION,
    TCG,
    TPM,
    TPM_QUOTE,
    TPM_SPKI,
    TURIN_REPORT,
    VCEK,
    Wrapper,
    base64_of,
    fields_of,
    marshaled,
    message_field,
    pem_of,
    protobuf_quote,
    serialized,
)

TPM_PEM = TPM.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
TPM_PUBLIC = TPM.public()
NAMED = TpmKey(TPM.key.public_key(), None, named=True)
PLAIN = TPM.key.sign(TPM_QUOTE.attest, ec.ECDSA(hashes.SHA256()))


def written(folder: Path, **contents: bytes) -> list[Path]:
    paths = [folder / name for name in contents]
    for path, data in zip(paths, contents.values(), strict=True):
        path.write_bytes(data)
    return paths


def refused(folder: Path, **contents: bytes) -> InputError:
    """The error for these files: one sentence with the name of a file, and what to do."""
    with pytest.raises(InputError) as caught:
        load(written(folder, **contents))
    error = caught.value
    assert error.exit_code == 2 and error.hint and str(error).isprintable()
    assert any(str(folder / name) in error.message for name in contents)
    return error


def changed(document: Mapping[str, Any], path: tuple[str, ...], value: Any) -> bytes:
    """The document with another value at ``path``."""
    made = copy.deepcopy(dict(document))
    place = made
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return json.dumps(made).encode()


@pytest.fixture(params=JSON)
def wrapper(request: pytest.FixtureRequest) -> Wrapper:
    return JSON[request.param]


def test_json_holds_the_same_evidence_as_its_bytes(tmp_path: Path, wrapper: Wrapper) -> None:
    given, collateral = load(written(tmp_path, x=json.dumps(wrapper.document).encode()))
    assert given == wrapper.given
    assert tuple(collateral.items(CERTIFICATE)) == wrapper.certificates


def test_truncated_json_is_refused(tmp_path: Path, wrapper: Wrapper) -> None:
    data = json.dumps(wrapper.document).encode()
    for size in (len(data) - 1, len(data) // 2):
        assert "JSON" in refused(tmp_path, x=data[:size]).message


def test_foreign_member_is_refused_by_its_name(tmp_path: Path, wrapper: Wrapper) -> None:
    inside = wrapper.holds[:-1]
    for path in {("surprise",), (*inside, "surprise")}:
        assert "surprise" in refused(tmp_path, x=changed(wrapper.document, path, base64_of(REPORT))).message


def test_member_in_another_encoding_is_refused(tmp_path: Path, wrapper: Wrapper) -> None:
    value: Any = wrapper.document
    for name in wrapper.holds:
        value = value[name]
    nested = base64_of(json.dumps(value).encode())
    for other in ("!", "abc$", 5, [256], [True], "", nested, base64_of(base64_of(DATA).encode()), {"x": 1}):
        assert "looks like" in refused(tmp_path, x=changed(wrapper.document, wrapper.holds, other)).message


def test_member_of_too_many_bytes_is_refused(tmp_path: Path, wrapper: Wrapper) -> None:
    for large in ("00" * (encoding.MAX_DECODED + 1), "A" * (2 * encoding.MAX_DECODED + 8)):
        error = refused(tmp_path, x=changed(wrapper.document, wrapper.holds, large))
        assert "more than" in error.message or "at most" in error.message


def test_claims_of_a_wrapper_change_nothing(tmp_path: Path, wrapper: Wrapper) -> None:
    lies = {**wrapper.document, **wrapper.lies}
    assert load(written(tmp_path, x=json.dumps(lies).encode()))[0] == wrapper.given


def test_second_piece_of_evidence_is_refused(tmp_path: Path, wrapper: Wrapper) -> None:
    data = json.dumps(wrapper.document).encode()
    assert "a second" in refused(tmp_path, x=data, y=data).message
    other = {RawSnp: QUOTE, RawTdx: REPORT, RawHcl: REPORT, RawTpm: AZURE_RAW.report}[type(wrapper.given)]
    assert "belong" in refused(tmp_path, x=data, y=other).message


def test_changed_field_of_a_report_gives_other_bytes(tmp_path: Path) -> None:
    """The signature decides: what a wrapper restates wrongly is another report."""
    fields = fields_of(REPORT)
    for name, other in (("guest_svn", 9), ("report_data", [1] * 64), ("cpuid_step", 3)):
        given, _ = load(written(tmp_path, x=json.dumps({**fields, name: other}).encode()))
        assert isinstance(given, RawSnp) and given.report != REPORT and given.report[0x2A0:] == REPORT[0x2A0:]


BYTES: dict[str, tuple[bytes, Any]] = {
    "report": (REPORT, RawSnp(REPORT)),
    "report of Turin": (TURIN_REPORT, RawSnp(TURIN_REPORT)),
    "report of Azure, 1204 bytes": (REPORT + b"\x14\0\0\0" + bytes(16), RawSnp(REPORT, unsigned=20)),
    "extended report": (REPORT + SNP.processor.table(), RawSnp(REPORT, SNP.processor.table())),
    "quote": (QUOTE, RawTdx(QUOTE)),
    "quote with filling": (QUOTE.ljust(8000, b"\0"), RawTdx(QUOTE, unsigned=8000 - len(QUOTE))),
    "quote and more": (QUOTE + b"claims", RawTdx(QUOTE, unsigned=6)),
    "HCL report": (AZURE_RAW.report, RawHcl(AZURE_RAW.report)),
    "CCEL": (CCEL, RawLog(CCEL, is_ccel=True)),
    "TCG log": (TCG, RawLog(TCG, is_ccel=False)),
    "TCG log with filling": (TCG.ljust(1 << 18, b"\xff"), RawLog(TCG.ljust(1 << 18, b"\xff"), is_ccel=False)),
    "go-sev-guest": (SNP_ATTESTATION, RawSnp(REPORT)),
    "go-tdx-guest": (protobuf_quote(QUOTE), RawTdx(QUOTE)),
    "go-tdx-guest, version 4": (protobuf_quote(QUOTE_4), RawTdx(QUOTE_4)),
    "go-tdx-guest, filled": (protobuf_quote(QUOTE) + message_field(5, bytes(9)), RawTdx(QUOTE, unsigned=9)),
    "go-tpm-tools": (
        ATTESTATION,
        RawTpm(RSA_QUOTE, TpmKey(RSA.key.public_key(), RSA.public(), named=False), (), TCG),
    ),
}
"""Files of bytes that are a whole piece of evidence."""


@pytest.fixture(params=BYTES)
def form(request: pytest.FixtureRequest) -> tuple[bytes, Any]:
    return BYTES[request.param]


def test_bytes_hex_and_base64_are_the_same_evidence(tmp_path: Path, form: tuple[bytes, Any]) -> None:
    data, expected = form
    texts = [data.hex(), "0x" + data.hex().upper() + "\n", base64_of(data), base64_of(data).rstrip("=") + "\r\n"]
    texts.append(base64.encodebytes(data).decode())
    for one in (data, *(text.encode() for text in texts if len(text) <= encoding.MAX_FILE)):
        assert load(written(tmp_path, x=one))[0] == expected


def test_only_one_layer_is_decoded(tmp_path: Path, form: tuple[bytes, Any]) -> None:
    data, _ = form
    for twice in (data.hex().encode().hex(), base64_of(data.hex().encode()), base64_of(base64_of(data).encode())):
        if len(twice) <= encoding.MAX_FILE:
            refused(tmp_path, x=twice.encode())


def test_truncated_bytes_are_refused(tmp_path: Path, form: tuple[bytes, Any]) -> None:
    data, _ = form
    kernel = next((one for one in (REPORT, QUOTE) if data.startswith(one)), data.rstrip(b"\xff").rstrip(b"\0"))
    whole = len(kernel)
    for size in (whole // 3, whole // 2, whole - 1):
        refused(tmp_path, x=data[:size])


def test_file_of_too_many_bytes_is_refused(tmp_path: Path, form: tuple[bytes, Any]) -> None:
    refused(tmp_path, x=form[0].ljust(encoding.MAX_FILE + 1, b"\0"))


def test_json_in_base64_is_refused(tmp_path: Path, wrapper: Wrapper) -> None:
    data = base64_of(json.dumps(wrapper.document).encode())
    if len(data) <= encoding.MAX_FILE:
        assert "is not evidence" in refused(tmp_path, x=data.encode()).message


TPM_FILES = {
    "tpm2-tools, serialized": (
        {"m": TPM_QUOTE.attest, "s": TPM_QUOTE.signature, "o": serialized(), "u": TPM_PEM}, NAMED,
    ),
    "tpm2-tools, values": (
        {"o": b"".join(PCRS), "s": TPM_QUOTE.signature, "m": TPM_QUOTE.attest, "u": TPM_SPKI}, NAMED,
    ),
    "tpm2-tools, marshaled": (
        {"m": TPM_QUOTE.attest, "s": TPM_QUOTE.signature, "o": marshaled(), "u": sized(TPM_PUBLIC.marshal())},
        TpmKey(TPM.key.public_key(), TPM_PUBLIC, named=True),
    ),
    "public area": (
        {"m": TPM_QUOTE.attest, "s": TPM_QUOTE.signature, "o": serialized(), "u": TPM_PUBLIC.marshal()},
        TpmKey(TPM.key.public_key(), TPM_PUBLIC, named=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TPM_FILES)
def test_files_of_tpm2_tools_are_one_quote_in_any_order(tmp_path: Path, name: str) -> None:
    contents, key = TPM_FILES[name]
    for order in (list(contents), list(reversed(contents))):
        assert load(written(tmp_path, **{one: contents[one] for one in order}))[0] == RawTpm(TPM_QUOTE, key)


def test_bare_signatures_of_a_tpm_are_recognised(tmp_path: Path) -> None:
    files = {"m": TPM_QUOTE.attest, "s": PLAIN, "o": serialized(), "u": TPM_PEM}
    given, _ = load(written(tmp_path, **files))
    assert isinstance(given, RawTpm) and given.quote.attest == TPM_QUOTE.attest
    rsa = RSA.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    eight = tuple(PCRS[:8])
    attest = RSA.attest(PCRS, b"nonce")
    assert attest.quote is not None
    selection = dataclasses.replace(attest.quote.selections[0], indices=tuple(range(8)))
    digest = hashlib.sha256(b"".join(eight)).digest()
    of_eight = dataclasses.replace(
        attest, quote=dataclasses.replace(attest.quote, selections=(selection,), pcr_digest=digest)
    )
    message = of_eight.marshal()
    # Both have 256 bytes: only the quote says which is which.
    files = {"m": message, "s": RSA.sign(message)[6:], "o": b"".join(eight), "u": rsa}
    for order in (list(files), list(reversed(files))):
        given, _ = load(written(tmp_path, **{one: files[one] for one in order}))
        assert isinstance(given, RawTpm) and given.quote.pcrs == dict(enumerate(eight))


def test_bare_signature_that_begins_like_json_is_recognised(tmp_path: Path) -> None:
    signed = (RSA.attest(PCRS, number.to_bytes(2)).marshal() for number in range(1 << 16))
    message = next(one for one in signed if RSA.sign(one)[6:7] == b"{")
    rsa = RSA.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    given, _ = load(written(tmp_path, m=message, s=RSA.sign(message)[6:], o=serialized(), u=rsa))
    assert isinstance(given, RawTpm) and given.quote.attest == message


def test_json_that_is_not_utf_8_says_so(tmp_path: Path) -> None:
    assert "is not UTF-8" in refused(tmp_path, x=b'{"quote": "\xe4"}').message


@pytest.mark.parametrize("lacks", ["m", "s", "o", "u"])
def test_incomplete_quote_of_a_tpm_says_what_to_add(tmp_path: Path, lacks: str) -> None:
    files = {"m": TPM_QUOTE.attest, "s": TPM_QUOTE.signature, "o": serialized(), "u": TPM_PEM}
    del files[lacks]
    error = refused(tmp_path, **files)
    words = {"m": "", "s": "without its signature", "o": "without the PCRs", "u": "without its key"}
    assert words[lacks] in error.message


def test_key_of_another_tpm_than_in_the_wrapper_is_refused(tmp_path: Path) -> None:
    assert "is another key" in refused(tmp_path, x=ATTESTATION, u=TPM_PEM).message
    pem = RSA.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    given, _ = load(written(tmp_path, x=ATTESTATION, u=pem))
    assert isinstance(given, RawTpm) and given.key is not None and given.key.named


def _sgx(version: int) -> bytes:
    return version.to_bytes(2, "little") + b"\x02\0" + bytes(4) + bytes(40) + b"q" * 600


def _p384() -> bytes:
    return b"\x04\0\x03\0\x81\0\0\0" + QUOTE[8:]


PRIVATE = TPM.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
KNOWN: dict[str, tuple[bytes, str]] = {
    "SGX 3": (_sgx(3), "SGX"),
    "SGX 4": (_sgx(4), "SGX"),
    "SGX in JSON": (json.dumps({"quote": base64_of(_sgx(3))}).encode(), "SGX"),
    "SGX in hex": (_sgx(3).hex().encode(), "SGX"),
    "P-384": (_p384(), "P-384"),
    "P-384 in JSON": (json.dumps({"quote": base64_of(_p384()), "event_log": "[]"}).encode(), "P-384"),
    "TDREPORT": (b"\x81\0\0\0" + bytes(1020), "TDREPORT"),
    "Nitro": (b"\x84\x44\xa1\x01\x38\x22\xa0" + b"x" * 99, "Nitro"),
    "CCA": (b"\xd9\x01\x8f\xa2" + b"x" * 99, "CCA"),
    "CCA in JSON": (b'{"token": [217, 1, 143]}', "CCA"),
    "CSV": (
        json.dumps({"attestation_report": {"data": [1], "magic": [0], "flags": 0}, "cert_chain": {}}).encode(),
        "CSV",
    ),
    "token": (b"eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln", "token"),
    "token in JSON": (b'{"token": "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln"}', "token"),
    "dstack's own": (b'{"attestation": "0000394e04000200"}', "dstack"),
    "dstack's own, of Nitro": (b"\0\x02\xbd\x46\x84\x44\xa1\x01\x38\x22\xa0" + bytes(90), "dstack"),
    "claims": (b'{"iss": "https://verifier.example", "exp": 1, "iat": 0}', "claims of another verifier"),
    "dstack's own, binary": (b"\0\0\x39\x4e" + QUOTE, "dstack"),
    "utility VM": (b"\xd2\x84\x59\x13\xce\xa7\x01\x38\x25\x03\x70application/json" + bytes(90), "utility VM"),
    "PSA": (b"\xd2\x84\x43\xa1\x01\x26\xa0\x59\x01\xd6\xa9\x19\x01\x09\x78\x18http://arm.com/psa/2.0.0", "PSA"),
    "COSE": (b"\xd2\x84\x43\xa1\x01\x26\xa0" + bytes(90), "COSE"),
    "ACPI table": (b"CCEL" + bytes(52), "ACPI"),
    "SHA-1 log": (
        b"".join(
            (bytes(4) + (kind).to_bytes(4, "little") + bytes(20) + (4).to_bytes(4, "little") + b"data")
            for kind in (8, 4)
        ),
        "SHA-1",
    ),
    "private key": (PRIVATE, "private key"),
    "GPU": (b'{"evidence_list": [], "arch": "HOPPER"}', "NVIDIA"),
    "evaluation numbers": (b'{"tcbEvaluationDataNumbers": {"id": "TDX"}, "signature": "00"}', "evaluation numbers"),
    "request": (b'{"report": "e30", "runtimeData": {"data": "e30", "dataType": "JSON"}}', "Azure Attestation"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_evidence_that_is_not_judged_is_named(tmp_path: Path, name: str) -> None:
    data, word = KNOWN[name]
    assert word in refused(tmp_path, x=data).message


UNKNOWN: dict[str, bytes] = {
    "nothing": b"",
    "text": b"not evidence at all",
    "JSON": b'{"a": 1, "b": 2}',
    "list": b"[1, 2]",
    "empty JSON": b"{}",
    "member twice": b'{"quote": "00", "quote": "01"}',
    "wrong type": b'{"quote": {"a": 1}}',
    "envelope": b'{"platform": "sgx", "evidence": {"quote": "00"}}',
    "envelope in an envelope": b'{"platform": "snp", "evidence": {"platform": "snp", "evidence": {}}}',
    "PEM inside": b"a note\n" + pem_of(VCEK).encode(),
    "PEM and more": pem_of(VCEK).encode() + b"a note\n",
    "PEM between": pem_of(VCEK).encode() + b"a note\n" + pem_of(ASK).encode(),
    "truncated PEM": pem_of(VCEK).encode()[:-20],
    "two keys": TPM_PEM + TPM_PEM,
    "report of version 1": b"\x01" + REPORT[1:],
    "report of version 9": b"\x09" + REPORT[1:],
    "zeros": bytes(1184),
    "attest of another kind": b"\xff\x54\x43\x47\x80\x17" + TPM_QUOTE.attest[6:],
    "old log": (0).to_bytes(4) + (8).to_bytes(4, "little") + bytes(20) + (4).to_bytes(4, "little") + b"abcd",
    "SHA-1 log": TCG.replace(b"\x0b\0\x20\0", b"\x04\0\x14\0", 1),
    "protobuf of two quotes": ATTESTATION + message_field(2, message_field(1, b"q") + message_field(2, b"s")
                              + message_field(3, message_field(1, 11))),
    "protobuf with more": ATTESTATION + message_field(77, b"x"),
    "protobuf with half a TDX quote": ATTESTATION + message_field(9, b"x"),
    **{f"protobuf of a quote without its byte {at}": protobuf_quote(QUOTE)[:at] + protobuf_quote(QUOTE)[at + 1 :]
       for at in (5, 60, 700, 900, -1)},
    "protobuf of a quote with more": protobuf_quote(QUOTE) + message_field(6, b"x"),
    "protobuf of a quote with another size": protobuf_quote(QUOTE) + message_field(3, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_any_other_file_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    refused(tmp_path, x=UNKNOWN[name])
    refused(tmp_path, report=REPORT, x=UNKNOWN[name])


OTHER: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "an empty file"),
    "ZIP": (b"PK\x03\x04" + bytes(99), "ZIP"),
    "gzip": (b"\x1f\x8b\x08" + bytes(99), "compressed"),
    "picture": (b"\xff\xd8\xff\xe0" + bytes(99), "a picture"),
    "PDF": (b"%PDF-1.4\n", "PDF"),
    "program": (b"\x7fELF" + bytes(99), "a program"),
    "web page": (b"<!DOCTYPE html>\n<html></html>\n", "a web page"),
    "UTF-16": (REPORT.hex().encode("utf-16"), "UTF-16"),
    "JSON with a mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "xxd": (b"00000000: 0200 0000 1f00 0300 0100 0000 0000 0000  ................\n" * 2, "a hex dump"),
    "hexdump": (b"00000000  02 00 00 00 1f 00 03 00  01 00 00 00 00 00 00 00  |................|\n", "a hex dump"),
    "report cut off": (REPORT[:900], "a SEV-SNP report that was cut off"),
    "list": (b"[1, 2]", "a JSON list"),
    "text": (b"Content-Type: text/plain\n\n" + base64_of(REPORT).encode(), "looks like text"),
    "JSON in base64": (base64_of(b'{"vcekCert": "' + pem_of(VCEK).encode() + b'"}').encode(), "JSON (hex or base64)"),
    "base64 twice": (base64_of(base64_of(REPORT).encode()).encode(), "text (hex or base64)"),
}


@pytest.mark.parametrize("name", OTHER)
def test_file_of_another_kind_says_what_it_looks_like(tmp_path: Path, name: str) -> None:
    data, word = OTHER[name]
    assert word in refused(tmp_path, x=data).message


def test_log_whose_second_event_has_no_digest_is_not_taken_for_one_with_sha1_alone(tmp_path: Path) -> None:
    """Google's and Intel's firmware writes such events: EV_NO_ACTION, with zeros for digests."""
    note = BootEvent(0, EV_NO_ACTION, b"SP800-155 Event3" + bytes(20))
    log = encode_event_log((note, BootEvent(0, 0x8, b"firmware")))
    given, _ = load(written(tmp_path, log=log))

    assert given == RawLog(log, is_ccel=False)


MISPLACED: dict[str, dict[str, bytes]] = {
    "report and quote": {"a": REPORT, "b": QUOTE},
    "report and CCEL": {"a": REPORT, "b": CCEL},
    "report and TCG log": {"a": REPORT, "b": TCG},
    "quote and certificate table": {"a": QUOTE, "b": SNP.processor.table()},
    "quote and PCRs": {"a": QUOTE, "b": serialized()},
    "report and key": {"a": REPORT, "b": TPM_PEM},
    "HCL report and report": {"a": AZURE_RAW.report, "b": REPORT},
    "HCL report and quote": {"a": AZURE_RAW.report, "b": QUOTE},
    "HCL report and log": {"a": AZURE_RAW.report, "b": TCG},
    "HCL report of TDX": {"a": AZURE_TD_RAW.report},
    "two logs": {"a": CCEL, "b": TCG},
    "bundle and report": {"a": SNP.evidence(BINDING).encode(), "b": REPORT},
    "certificates": {"a": pem_of(VCEK, ASK).encode()},
    "key": {"a": TPM_PEM},
}


@pytest.mark.parametrize("name", MISPLACED)
def test_files_that_are_not_one_piece_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        load(written(tmp_path, **MISPLACED[name]))
    assert caught.value.exit_code == 2 and caught.value.hint


def test_quote_of_an_azure_vtpm_may_come_in_files_of_tpm2_tools(tmp_path: Path) -> None:
    assert AZURE_RAW.quote is not None
    attest, signature = AZURE_RAW.quote.attest, AZURE_RAW.quote.signature
    files = {
        "hcl": AZURE_RAW.report,
        "m": attest,
        "s": signature,
        "o": serialized(tuple(AZURE_RAW.quote.pcrs.values())),
    }
    assert load(written(tmp_path, **files))[0] == AZURE_RAW
    log = load(written(tmp_path, **files, log=TCG))[0]
    assert log == dataclasses.replace(AZURE_RAW, event_log=TCG)


def test_quote_may_come_with_its_log(tmp_path: Path) -> None:
    assert load(written(tmp_path, q=QUOTE, l=CCEL))[0] == RawTdx(QUOTE, CCEL)
    files = {"m": TPM_QUOTE.attest, "s": TPM_QUOTE.signature, "o": serialized(), "u": TPM_PEM, "l": TCG}
    assert load(written(tmp_path, **files))[0] == RawTpm(TPM_QUOTE, NAMED, (), TCG)


def test_report_and_quote_of_a_tpm_are_judged_together(tmp_path: Path) -> None:
    data = ATTESTATION + message_field(8, SNP_ATTESTATION)
    given, collateral = load(written(tmp_path, x=data))
    assert isinstance(given, RawSnp) and given.report == REPORT and given.tpm is not None
    assert set(collateral.items(CERTIFICATE)) == {VCEK, ASK, ARK}


def test_quotes_of_a_td_and_a_tpm_are_judged_together(tmp_path: Path) -> None:
    given, _ = load(written(tmp_path, x=ATTESTATION + message_field(9, protobuf_quote(QUOTE_4))))
    assert isinstance(given, RawTdx) and given.quote == QUOTE_4 and given.tpm is not None


def test_claims_of_2022_are_read_from_files_alone(tmp_path: Path) -> None:
    claims = json.loads(AZURE.paravisor.claims(AZURE.tpm, bytes(64)))
    del claims["user-data"], claims["keys"][1], claims["vm-configuration"]["vmUniqueId"]
    old = encode_hcl_report(REPORT, canonical.encode(claims), 2)
    assert load(written(tmp_path, x=old))[0] == RawHcl(old)


@pytest.mark.parametrize("text", [False, True])
def test_revocation_list_may_be_hex_in_a_folder_and_in_a_set(text: bool) -> None:
    crl = SNP.crls[0]
    hexed = crl.hex().encode() + (b"\n" if text else b"")
    assert [(item.kind, item.content) for item in content.read(hexed, "x")] == [(CRL, crl)]


def test_list_of_evaluation_numbers_in_a_folder_is_passed_over() -> None:
    assert content.read(b'{"tcbEvaluationDataNumbers": {"id": "TDX"}, "signature": "00"}', "x") == ()
