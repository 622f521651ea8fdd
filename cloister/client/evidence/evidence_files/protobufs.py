"""Protobuf messages of Google's tools: an Attestation of go-tpm-tools, and what go-sev-guest and go-tdx-guest write,
inside it or alone.

Sources: google/go-tpm-tools, proto/attest.proto and proto/tpm.proto; google/go-sev-guest, proto/sevsnp.proto;
google/go-tdx-guest, proto/tdx.proto. Reports and quotes are restated there field by field, so their bytes are made
again, and the signature decides.
"""

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.gcp.protobuf import Message
from cloister.attestation.snp.report import FIELDS, SIZE, SnpReport
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.tpm.structures import ALG_SHA256, PCR_COUNT
from cloister.client.collateral import content
from cloister.client.evidence.evidence_files import quote_fields, tpm_tools
from cloister.client.evidence.evidence_files.parts import Parts
from cloister.client.evidence.evidence_files.source import EvidenceFile

_MAX_QUOTES = 8
_MAX_CERTIFICATES = 16
_PLACES: dict[str, tuple[int, int]] = {name.lstrip("*"): (offset, size) for name, offset, size in FIELDS}
# sevsnp.Report: number of each field, and its name in the report.
_NUMBERS = {
    1: "version", 2: "guest_svn", 3: "policy", 6: "vmpl", 7: "signature_algorithm", 8: "current_tcb",
    9: "platform_info", 10: "key_info", 18: "reported_tcb", 20: "committed_tcb", 21: "current_build",
    22: "current_minor", 23: "current_major", 24: "committed_build", 25: "committed_minor", 26: "committed_major",
    27: "launch_tcb", 30: "launch_mitigations", 31: "current_mitigations",
}  # fmt: skip
_BYTES = {
    4: "family_id", 5: "image_id", 11: "report_data", 12: "measurement", 13: "host_data", 14: "id_key_digest",
    15: "author_key_digest", 16: "report_id", 17: "report_id_ma", 19: "chip_id",
}  # fmt: skip
_SIGNATURE, _SIGNATURE_PLACE = 28, 0x2A0
_CPUID, _CPUID_PLACE = 29, 0x188
_CERTIFICATES = {1: "vcek_cert", 6: "vlek_cert", 2: "ask_cert", 3: "ark_cert"}
_ATTESTATION_FIELDS = range(1, 10)
_TDX_FIELD = 9


def is_attestation(data: bytes) -> bool:
    """Whether the bytes begin like an Attestation of go-tpm-tools: with a key's public area, of RSA or ECC."""
    return data[:1] == b"\x0a" and any(
        data[at : at + 2] in (b"\0\x01", b"\0\x23") and data[at + 2 : at + 4] == ALG_SHA256.to_bytes(2) for at in (2, 3)
    )


def is_snp(data: bytes) -> bool:
    """Whether the bytes begin like an Attestation of go-sev-guest: with a report of version 2 to 5."""
    return data[:1] == b"\x0a" and any(data[at : at + 1] == b"\x08" and 2 <= data[at + 1] <= 5 for at in (2, 3)
                                       if len(data) > at + 1)  # fmt: skip


def is_tdx(data: bytes) -> bool:
    """Whether the bytes begin like a quote of go-tdx-guest: with a header of version 4 or 5 for TDX."""
    return data[:1] == b"\x0a" and data[2:4] in (b"\x08\x04", b"\x08\x05") and data[4:9] == b"\x10\x02\x18\x81\x01"


def add_attestation(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """The quote over the SHA-256 bank, the key with its certificates, the log, and a SEV-SNP report or TDX quote."""
    message = Message(data, "Attestation")
    _require_known(message, source, _ATTESTATION_FIELDS)
    quotes = message.repeated(2, "quotes")
    if len(quotes) > _MAX_QUOTES:
        raise MalformedEvidence("Attestation.quotes", 0, f"are {len(quotes)}, at most {_MAX_QUOTES} are allowed")
    of_bank = [quote for one in quotes if (quote := _quote(one))[2] is not None]
    if len(of_bank) != 1:
        raise MalformedEvidence(
            "Attestation.quotes", 0, f"has {len(of_bank)} quotes over the SHA-256 bank, must have 1"
        )
    attest, signature, registers = of_bank[0]
    parts.put("tpm_attest", tpm_tools.attest(attest), source)
    parts.put("tpm_signature", tpm_tools.signature(signature), source)
    parts.put("tpm_registers", registers, source)
    parts.put("carried_key", tpm_tools.public(message.bytes_(1, "ak_pub"), named=False), source)
    log = message.optional(3, "event_log")
    if log:
        parts.put("tcg_log", log, source)
    certificates = (message.optional(6, "ak_cert"), *message.repeated(7, "intermediate_certs"))
    parts.certificates(one for one in certificates[:_MAX_CERTIFICATES] if one)
    if (snp := message.optional(8, "sev_snp_attestation")) is not None:
        add_snp(parts, snp, source)
    if (tdx := message.optional(_TDX_FIELD, "tdx_attestation")) is not None:
        add_tdx(parts, tdx, source)


def add_snp(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """A SEV-SNP report and its certificates."""
    message = Message(data, "sevsnp.Attestation")
    _require_known(message, source, range(1, 4))
    parts.put("snp_report", _checked(_report(Message(message.bytes_(1, "report"), "sevsnp.Report"))), source)
    chain = message.optional(2, "certificate_chain")
    if chain:
        found = Message(chain, "sevsnp.CertificateChain")
        for number, name in _CERTIFICATES.items():
            if der := found.optional(number, name):
                parts.items += content.read(der, name)


def add_tdx(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """A TDX quote."""
    message = Message(data, "tdx.Quote")
    _require_known(message, source, quote_fields.FIELDS)
    quote, parts.unsigned = quote_fields.encode(message)
    TdxQuote.parse(quote)
    parts.put("tdx_quote", quote, source)


def _report(message: Message) -> bytes:
    """The 1184 bytes of a report. Raises MalformedEvidence."""
    made = bytearray(SIZE)
    for number, name in _NUMBERS.items():
        offset, size = _PLACES[name]
        made[offset : offset + size] = message.little(number, name, size)
    for number, name in _BYTES.items():
        offset, size = _PLACES[name]
        made[offset : offset + size] = message.sized(number, name, size)
    cpuid = message.unsigned(_CPUID, "cpuid1eax_fms")
    if cpuid:
        family = (cpuid >> 8 & 0xF) + (cpuid >> 20 & 0xFF)
        model = (cpuid >> 4 & 0xF) | (cpuid >> 12 & 0xF0)
        if family > 0xFF:
            raise message.malformed("cpuid1eax_fms", "is not a family of processors")
        made[_CPUID_PLACE : _CPUID_PLACE + 3] = bytes([family, model, cpuid & 0xF])
    made[_SIGNATURE_PLACE:] = message.sized(_SIGNATURE, "signature", SIZE - _SIGNATURE_PLACE)
    return bytes(made)


def _checked(report: bytes) -> bytes:
    SnpReport.parse(report)
    return report


def _quote(data: bytes) -> tuple[bytes, bytes, dict[int, bytes] | None]:
    """Message, signature and registers of a tpm.Quote; no registers if it is over another bank."""
    message = Message(data, "Quote")
    pcrs = Message(message.bytes_(3, "pcrs"), "PCRs")
    if pcrs.unsigned(1, "hash") != ALG_SHA256:
        return b"", b"", None
    registers: dict[int, bytes] = {}
    for entry in pcrs.repeated(2, "pcrs"):
        pair = Message(entry, "PCRs.pcrs")
        index, value = pair.unsigned(1, "key"), pair.bytes_(2, "value")
        if index >= PCR_COUNT or index in registers or len(value) != 32:
            raise pcrs.malformed("pcrs", f"has PCR {index} twice, beyond {PCR_COUNT - 1}, or with another size")
        registers[index] = value
    return message.bytes_(1, "quote"), message.bytes_(2, "raw_sig"), registers


def _require_known(message: Message, source: EvidenceFile, known: range) -> None:
    """Raises InputError for a field that is not ``known``: it may be a second piece of evidence."""
    for number in message.numbers():
        if number not in known:
            raise source.refuse(
                f"it has the unknown field {number}", "Pass the report or quote alone, as bytes, with its certificates."
            )
