"""One piece of evidence of each kind, forged once, in every form that other tools give it."""

import base64
import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloister.attestation.binding import SessionBinding
from cloister.attestation.raw.kinds import Raw, RawHcl, RawSnp, RawTdx
from cloister.attestation.raw.tpm import RawTpm, SignedRegisters, TpmKey
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.testkit import (
    AzureSnpMachine,
    AzureTdxMachine,
    Processor,
    RsaTpm,
    SnpMachine,
    SoftwareTpm,
    Td,
    encode_ccel,
)
from cloister.attestation.testkit.event_log import encode_event_log
from cloister.attestation.testkit.machine import BOOT_EVENTS
from cloister.attestation.tpm.structures import PcrSelection, sized

AT = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
DATA = bytes(range(64))
NONCE, HELD = b"v" * 32 + b"i" * 20, b"held by the attester"

SNP = SnpMachine.create_at(AT)
TURIN = Processor.create(AT, ProductLine.TURIN)
TD = Td.create(AT)
AZURE = AzureSnpMachine.create(AT)
AZURE_TD = AzureTdxMachine.create(AT)
TPM, RSA = SoftwareTpm.create(), RsaTpm.create()

REPORT = SNP.processor.report(report_data=DATA)
VCEK, ARK = SNP.processor.certificate, SNP.processor.amd.root
ASK = SNP.processor.amd.signers[SNP.processor.kind][1]
TURIN_REPORT = TURIN.report(report_data=DATA)
QUOTE = TD.intel.quote(TD.report(DATA))
QUOTE_4 = TD.intel.quote(dataclasses.replace(TD.report(DATA), tee_tcb_svn2=None, mr_service_td=None))
HASHED = TD.intel.quote(TD.report(hashlib.sha512(NONCE + HELD).digest()))
CCEL = encode_ccel(TD.boot_events, size=2048)
TCG = encode_event_log(BOOT_EVENTS)
PCRS = tuple(hashlib.sha256(bytes([index])).digest() for index in range(16))


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def pem_of(*certificates: bytes) -> str:
    lines = [base64.encodebytes(one).decode() for one in certificates]
    return "".join(f"-----BEGIN CERTIFICATE-----\n{one}-----END CERTIFICATE-----\n" for one in lines)


def fields_of(report: bytes) -> dict[str, Any]:
    """A report as versions 6 and 7 of the crate ``sev`` restate it."""
    parsed = SnpReport.parse(report)
    versions = {
        name: {part: getattr(parsed, f"{name}_{part}") for part in ("build", "minor", "major")}
        for name in ("current", "committed")
    }
    return {
        **_common(parsed),
        "key_info": parsed.key_info,
        "cpuid_fam_id": parsed.family,
        "cpuid_mod_id": parsed.model,
        "cpuid_step": parsed.stepping,
        **versions,
        **{f"{name}_tcb": _tcb(parsed, name) for name in ("current", "reported", "committed", "launch")},
        "launch_mit_vector": parsed.launch_mitigations if parsed.version > 4 else None,
        "current_mit_vector": parsed.current_mitigations if parsed.version > 4 else None,
        "signature": {"r": list(report[0x2A0:0x2E8]), "s": list(report[0x2E8:0x330])},
    }


def old_fields_of(report: bytes) -> dict[str, Any]:
    """A report as versions 3 to 5 of the crate restate it: with the reserved fields of version 2."""
    parsed = SnpReport.parse(report)
    versions = {
        f"{name}_{part}": getattr(parsed, f"{name}_{part}")
        for name in ("current", "committed")
        for part in ("build", "minor", "major")
    }
    tcbs = {
        f"{name}_tcb": {"bootloader": raw[0], "tee": raw[1], "_reserved": list(raw[2:6]), "snp": raw[6],
                        "microcode": raw[7]}
        for name in ("current", "reported", "committed", "launch")
        for raw in (getattr(parsed, f"{name}_tcb"),)
    }  # fmt: skip
    return {
        **_common(parsed),
        "_author_key_en": parsed.key_info,
        "_reserved_0": 0,
        "_reserved_1": list(report[0x188:0x1A0]),
        "_reserved_2": 0,
        "_reserved_3": 0,
        "_reserved_4": list(report[0x1F8:0x2A0]),
        **versions,
        **tcbs,
        "signature": {"r": list(report[0x2A0:0x2E8]), "s": list(report[0x2E8:0x330]), "_reserved": [0] * 368},
    }


def _common(parsed: SnpReport) -> dict[str, Any]:
    names = ("family_id", "image_id", "report_data", "measurement", "host_data", "id_key_digest", "author_key_digest",
             "report_id", "report_id_ma", "chip_id")  # fmt: skip
    return {
        **{name: list(getattr(parsed, name)) for name in names},
        **{name: getattr(parsed, name) for name in ("version", "guest_svn", "policy", "vmpl")},
        "sig_algo": parsed.signature_algorithm,
        "plat_info": parsed.platform_info,
    }


def _tcb(parsed: SnpReport, name: str) -> dict[str, Any]:
    line = parsed.product_line or ProductLine.MILAN
    version = parsed.tcb_versions(line)[name]
    return {
        "fmc": version.fmc,
        "bootloader": version.boot_loader,
        "tee": version.tee,
        "snp": version.snp,
        "microcode": version.microcode,
    }


def message_field(number: int, value: bytes | int) -> bytes:
    """A field of a protobuf message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value) if value else b""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    made = b""
    while value > 127:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


def protobuf_report(report: bytes) -> bytes:
    """A report as go-sev-guest restates it."""
    one = SnpReport.parse(report)
    number = lambda raw: int.from_bytes(raw, "little")  # noqa: E731
    cpuid = (one.family - 0xF) << 20 | 0xF << 8 | (one.model >> 4) << 16 | (one.model & 15) << 4 | one.stepping
    values = (
        one.version, one.guest_svn, one.policy, one.family_id, one.image_id, one.vmpl, one.signature_algorithm,
        number(one.current_tcb), one.platform_info, one.key_info, one.report_data, one.measurement, one.host_data,
        one.id_key_digest, one.author_key_digest, one.report_id, one.report_id_ma, number(one.reported_tcb),
        one.chip_id, number(one.committed_tcb), one.current_build, one.current_minor, one.current_major,
        one.committed_build, one.committed_minor, one.committed_major, number(one.launch_tcb), report[0x2A0:],
        cpuid if one.version > 2 else 0, one.launch_mitigations, one.current_mitigations,
    )  # fmt: skip
    return b"".join(message_field(index, value) for index, value in enumerate(values, 1))


def protobuf_quote(quote: bytes) -> bytes:
    """A quote as go-tdx-guest restates it."""
    one, f = TdxQuote.parse(quote), message_field
    header = b"".join(
        f(number, value)
        for number, value in (
            (1, one.version), (2, 2), (3, 0x81), (4, quote[10:12]), (5, quote[8:10]), (6, quote[12:28]),
            (7, quote[28:48]),
        )
    )  # fmt: skip
    report = one.report
    names = (
        "tee_tcb_svn", "mr_seam", "mr_signer_seam", "seam_attributes", "td_attributes", "xfam", "mr_td",
        "mr_config_id", "mr_owner", "mr_owner_config",
    )  # fmt: skip
    body = b"".join(f(at, getattr(report, name)) for at, name in enumerate(names, 1))
    body += b"".join(f(11, value) for value in report.rtmrs) + f(12, report.report_data)
    place = 48 + 584
    if one.version == 5:
        place = 54 + int.from_bytes(quote[50:54], "little")
        body += b"".join(f(at, more) for at, more in ((13, report.tee_tcb_svn2), (14, report.mr_service_td)) if more)
        body = f(1, int.from_bytes(quote[48:50], "little")) + f(2, place - 54) + f(3, body)
    data = quote[place + 4 : place + 4 + int.from_bytes(quote[place : place + 4], "little")]
    qe, sizes = one.qe_report_bytes, (16, 4, 28, 16, 32, 32, 32, 96, 2, 2, 60, 64)
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    pieces = [qe[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    numbers = (2, 9, 10)
    enclave = b"".join(
        f(at, int.from_bytes(piece, "little") if at in numbers else piece) for at, piece in enumerate(pieces, 1)
    )
    count = len(one.authentication_data)
    chain = data[134 + 384 + 64 + 2 + count + 6 :]
    inner = b"".join(
        (
            f(1, enclave),
            f(2, one.qe_report_signature),
            f(3, f(1, count) + (f(2, one.authentication_data) if count else b"")),
            f(4, f(1, 5) + f(2, len(chain)) + f(3, chain)),
        )
    )
    certification = f(1, 6) + f(2, len(data) - 134) + f(3, inner)
    signed_data = f(1, one.signature) + f(2, one.attestation_key) + f(3, certification)
    return f(1, header) + f(2, body) + f(3, len(data)) + f(4, signed_data)


def signed(tpm: SoftwareTpm | RsaTpm, pcrs: Mapping[int, bytes] | None = None) -> SignedRegisters:
    """A TPM's quote over the first 16 registers."""
    attest = tpm.attest(PCRS, b"nonce").marshal()
    return SignedRegisters(attest, tpm.sign(attest), pcrs or dict(enumerate(PCRS)))


TPM_QUOTE, RSA_QUOTE = signed(TPM), signed(RSA)
TPM_SPKI = TPM.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def serialized(pcrs: tuple[bytes, ...] = PCRS) -> bytes:
    """PCRs as `tpm2_quote -o` writes them."""
    bitmap = (1 << len(pcrs)) - 1
    selections = (11).to_bytes(2, "little") + b"\x03" + bitmap.to_bytes(4, "little") + b"\0"
    lists = [pcrs[at : at + 8] for at in range(0, len(pcrs), 8)]
    made = (1).to_bytes(4, "little") + selections.ljust(128, b"\0") + len(lists).to_bytes(4, "little")
    for one in lists:
        digests = b"".join((32).to_bytes(2, "little") + value.ljust(64, b"\0") for value in one)
        made += len(one).to_bytes(4, "little") + digests.ljust(8 * 66, b"\0")
    return made


def marshaled(pcrs: tuple[bytes, ...] = PCRS) -> bytes:
    """PCRs as `tpm2_quote -o -F marshaled` writes them."""
    selection = (1).to_bytes(4) + PcrSelection(11, tuple(range(len(pcrs)))).marshal()
    lists = [pcrs[at : at + 8] for at in range(0, len(pcrs), 8)]
    return selection + len(lists).to_bytes(4) + b"".join(
        len(one).to_bytes(4) + b"".join(sized(value) for value in one) for one in lists
    )  # fmt: skip


def azure(machine: AzureSnpMachine | AzureTdxMachine) -> tuple[dict[str, Any], RawHcl, bytes]:
    """Azure evidence of version 1, what it is, and the report."""
    evidence = machine.evidence(BINDING)
    quote, report = evidence.tpm_quote, evidence.hcl_report
    assert quote is not None and report is not None
    registers = SignedRegisters(quote.attest, quote.signature, dict(enumerate(quote.pcrs)))
    document: dict[str, Any] = {
        "version": 1,
        "hcl_report": url_of(report),
        "tpm_quote": {
            "message": quote.attest.hex(),
            "signature": quote.signature[6:].hex(),
            "pcrs": [pcr.hex() for pcr in quote.pcrs],
        },
    }
    if evidence.tdx_quote is not None:
        document["td_quote"] = url_of(evidence.tdx_quote)
    else:
        document["vcek"] = url_of(machine.processor.certificate)  # type: ignore[union-attr]
    return document, RawHcl(report, evidence.tdx_quote, registers), report


def before_1(document: dict[str, Any], raw: RawHcl) -> dict[str, Any]:
    """The same SEV-SNP evidence before version 1."""
    quote = {name: list(bytes.fromhex(document["tpm_quote"][name])) for name in ("message", "signature")}
    pcrs = [list(bytes.fromhex(one)) for one in document["tpm_quote"]["pcrs"]]
    return {
        "quote": {**quote, "pcrs": pcrs},
        "report": list(raw.report),
        "vcek": pem_of(AZURE.processor.certificate),
    }


@dataclass(frozen=True)
class Wrapper:
    """A document, what it holds, and the certificates in it.

    holds: the path to the member with the report or quote.
    lies: members that are claims, with another value.
    """

    document: dict[str, Any]
    given: Raw
    certificates: tuple[bytes, ...] = ()
    holds: tuple[str, ...] = ()
    lies: Mapping[str, Any] = field(default_factory=dict)


AZURE_DOCUMENT, AZURE_RAW, _ = azure(AZURE)
AZURE_TD_DOCUMENT, AZURE_TD_RAW, _ = azure(AZURE_TD)
_TPM_KEY = TpmKey(TPM.key.public_key(), None, named=False)
_AUTHORITY = {
    "verifier_nonce": {"val": base64_of(NONCE[:32]), "iat": base64_of(NONCE[32:]), "signature": base64_of(b"s" * 9)},
    "user_data": base64_of(HELD),
    "event_log": base64_of(CCEL),
    "policy_ids": [],
    "token_signing_alg": "PS384",
}

JSON: dict[str, Wrapper] = {
    "SEV-SNP report as fields": Wrapper(fields_of(REPORT), RawSnp(REPORT), holds=("measurement",)),
    "Confidential Containers, SEV-SNP": Wrapper(
        {
            "attestation_report": fields_of(REPORT),
            "cert_chain": [{"cert_type": "VCEK", "data": list(VCEK)}, {"cert_type": "ASK", "data": list(ASK)},
                           {"cert_type": {"OTHER": "x"}, "data": [1]}],
        },
        RawSnp(REPORT), (VCEK, ASK), ("attestation_report", "measurement"),
    ),
    "Confidential Containers, SEV-SNP, no chain": Wrapper(
        {"attestation_report": fields_of(REPORT), "cert_chain": None}, RawSnp(REPORT),
        holds=("attestation_report", "signature"),
    ),
    "Confidential Containers, SEV-SNP, old": Wrapper(
        {"attestation_report": old_fields_of(REPORT), "cert_chain": None}, RawSnp(REPORT),
        holds=("attestation_report", "report_data"),
    ),
    "Confidential Containers, Turin": Wrapper(
        {"version": 0, "attestation_report": fields_of(TURIN_REPORT)}, RawSnp(TURIN_REPORT),
        holds=("attestation_report", "measurement"),
    ),
    "Confidential Containers, Azure": Wrapper(
        AZURE_DOCUMENT, AZURE_RAW, (AZURE.processor.certificate,), ("hcl_report",), {"version": 2}
    ),
    "Confidential Containers, Azure before 1": Wrapper(
        before_1(AZURE_DOCUMENT, AZURE_RAW), AZURE_RAW, (AZURE.processor.certificate,), ("report",)
    ),
    "Confidential Containers, Azure with TDX": Wrapper(
        AZURE_TD_DOCUMENT, AZURE_TD_RAW, holds=("td_quote",), lies={"version": 2}
    ),
    "Confidential Containers, TDX": Wrapper(
        {"quote": base64_of(QUOTE), "cc_eventlog": base64_of(CCEL)}, RawTdx(QUOTE, CCEL), holds=("quote",)
    ),
    "Confidential Containers, TPM": Wrapper(
        {
            "ak_public": base64_of(TPM_SPKI),
            "tpm_quote": {
                "message": base64_of(TPM_QUOTE.attest), "signature": base64_of(TPM_QUOTE.signature),
                "pcrs": [one.hex() for one in PCRS],
            },
        },
        RawTpm(TPM_QUOTE, _TPM_KEY), holds=("tpm_quote", "message"),
    ),
    "attestation-rs, SEV-SNP": Wrapper(
        {
            "platform": "snp",
            "evidence": {
                "attestation_report": base64_of(REPORT),
                "cert_chain": {"vcek": base64_of(VCEK), "ask": base64_of(ASK), "ark": None},
            },
        },
        RawSnp(REPORT), (VCEK, ASK), ("evidence", "attestation_report"), {"platform": "tdx"},
    ),
    "attestation-rs, Azure": Wrapper(
        {"platform": "az-snp", "evidence": AZURE_DOCUMENT}, AZURE_RAW, (AZURE.processor.certificate,),
        ("evidence", "hcl_report"), {"platform": "snp"},
    ),
    "attestation-rs, Azure with TDX": Wrapper(
        {"platform": "az-tdx", "evidence": AZURE_TD_DOCUMENT}, AZURE_TD_RAW, holds=("evidence", "td_quote")
    ),
    "attestation-rs, TDX": Wrapper(
        {"platform": "tdx", "evidence": {"quote": base64_of(QUOTE), "cc_eventlog": None}}, RawTdx(QUOTE),
        holds=("evidence", "quote"),
    ),
    "report with one certificate": Wrapper(
        {"attestation_report": base64_of(REPORT), "vek_cert": base64_of(VCEK)}, RawSnp(REPORT), (VCEK,),
        ("attestation_report",),
    ),
    "dstack": Wrapper(
        {
            "quote": QUOTE.hex(), "event_log": json.dumps([{"imr": 0, "digest": "00"}]), "report_data": DATA.hex(),
            "vm_config": "{}",
        },
        RawTdx(QUOTE), holds=("quote",), lies={"report_data": "ff" * 64, "event_log": "[]", "vm_config": "{1}"},
    ),
    "Intel Trust Authority": Wrapper(
        {"quote": base64_of(HASHED), **_AUTHORITY}, RawTdx(HASHED, CCEL, NONCE + HELD), holds=("quote",),
        lies={"token_signing_alg": "none", "policy_ids": ["x"]},
    ),
    "Intel Trust Authority, several devices": Wrapper(
        {"tdx": {"quote": base64_of(HASHED), **{n: v for n, v in _AUTHORITY.items() if n != "user_data"},
                 "runtime_data": base64_of(HELD)}, "policy_must_match": True},
        RawTdx(HASHED, CCEL, NONCE + HELD), holds=("tdx", "quote"), lies={"policy_must_match": False},
    ),
    "Azure's clean rooms": Wrapper(
        {
            "evidence": base64_of(REPORT), "endorsements": base64_of(pem_of(VCEK, ASK, ARK).encode()),
            "uvm_endorsements": base64_of(b"cose"), "endorsed_tcb": "7308000000000003",
        },
        RawSnp(REPORT), (VCEK, ASK, ARK), ("evidence",), {"endorsed_tcb": "ff", "uvm_endorsements": ""},
    ),
    "request to Azure Attestation": Wrapper(
        {"SnpReport": url_of(REPORT), "VcekCertChain": url_of(pem_of(VCEK, ASK).encode()), "Endorsements": "e30"},
        RawSnp(REPORT), (VCEK, ASK), ("SnpReport",), {"Endorsements": "AAAA"},
    ),
    "report of Azure's containers": Wrapper({"report": REPORT.hex()}, RawSnp(REPORT), holds=("report",)),
}  # fmt: skip
"""Every form in JSON that holds a whole piece of evidence."""

ATTESTATION = b"".join(
    (
        message_field(1, RSA.public().marshal()),
        message_field(2, message_field(1, b"sha-1") + message_field(2, b"x") + message_field(3, message_field(1, 4))),
        message_field(
            2,
            message_field(1, RSA_QUOTE.attest)
            + message_field(2, RSA_QUOTE.signature)
            + message_field(
                3,
                message_field(1, 11)
                + b"".join(message_field(2, message_field(1, i) + message_field(2, v)) for i, v in enumerate(PCRS)),
            ),
        ),
        message_field(3, TCG),
    )
)
"""An Attestation of go-tpm-tools, with its quote of the SHA-1 bank."""

SNP_ATTESTATION = message_field(1, protobuf_report(REPORT)) + message_field(
    2, message_field(1, VCEK) + message_field(2, ASK) + message_field(3, ARK)
)
"""An Attestation of go-sev-guest."""
