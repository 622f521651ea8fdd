"""What bytes are: one table of all forms, each with how it begins and what it adds."""

from collections.abc import Callable
from typing import NamedTuple

from cloister.attestation.azure.hcl import HclReport
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.reader import Reader
from cloister.attestation.snp.report import SIZE, VERSIONS, SnpReport
from cloister.attestation.snp.table import CertificateTable
from cloister.attestation.tdx.quote import TEE_TDX, TdxQuote, size_of
from cloister.attestation.tpm.ccel import ALG_SHA384, Ccel
from cloister.attestation.tpm.eventlog import EventLog, is_log, read_spec_id_sizes
from cloister.attestation.tpm.structures import ALG_SHA256
from cloister.client.collateral import content
from cloister.client.evidence.evidence_files import protobufs, tpm_tools, unsupported
from cloister.client.evidence.evidence_files.parts import Parts
from cloister.client.evidence.evidence_files.source import EvidenceFile
from cloister.protocol.canonical import FormatError

REPORT = "a SEV-SNP report"
QUOTE = "a TDX quote"
LOG = "an event log"

_SIGNATURE_ALGORITHM = slice(0x34, 0x38)


class Form(NamedTuple):
    """``fits`` says whether bytes begin like this form, ``add`` raises MalformedEvidence if they are not."""

    name: str
    fits: Callable[[bytes], bool]
    add: Callable[[Parts, bytes, EvidenceFile], None]


def add(parts: Parts, data: bytes, source: EvidenceFile, only: tuple[str, ...] = ()) -> None:
    """Recognise bytes and add what they are, or keep them until the other files explain them.

    ``only`` are the names of the forms that they may have, any if empty. Raises InputError, MalformedEvidence.
    """
    unsupported.refuse(data, source)
    for form in FORMS:
        if form.fits(data):
            if only and form.name not in only:
                break
            recognised = source.like(form.name)
            try:
                form.add(parts, data, recognised)
            except (MalformedEvidence, FormatError) as error:
                raise recognised.damaged(error) from error
            return
    if only:
        raise source.refuse(
            f"what it has in place of {' or '.join(only)} is something else",
            "Get the file again from the tool that wrote it, or pass the report or quote alone.",
        )
    parts.blobs.append((data, source))


def add_report(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """A SEV-SNP report. The certificate table of an extended report may follow, or bytes that no one signed."""
    report, rest = data[:SIZE], data[SIZE:]
    SnpReport.parse(report)
    parts.put("snp_report", report, source)
    if _is_table(rest):
        parts.put("snp_certificates", rest, source)
    else:
        parts.unsigned = len(rest)


def add_quote(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """A TDX quote. Bytes that no one signed may follow. Raises InputError for a quote of another kind."""
    unsupported.refuse(data, source)
    size = size_of(data)
    TdxQuote.parse(data[:size])
    parts.put("tdx_quote", data[:size], source)
    parts.unsigned = len(data) - size


def add_log(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """The event log of a TD, which has SHA-384 alone, or of a TPM."""
    sizes = read_spec_id_sizes(Reader(data, "event log", "little"))
    if ALG_SHA384 in sizes and ALG_SHA256 not in sizes:
        Ccel.parse(data)
        parts.put("ccel", data, source)
    else:
        EventLog.parse(data, filled=True)
        parts.put("tcg_log", data, source)


def _is_report(data: bytes) -> bool:
    if len(data) == SIZE:
        return data[1:4] == bytes(3) and 0 < data[0] < 0x20
    version = int.from_bytes(data[:4], "little")
    return len(data) > SIZE and version in VERSIONS and data[_SIGNATURE_ALGORITHM] == b"\x01\0\0\0"


def _is_table(data: bytes) -> bool:
    try:
        return bool(CertificateTable.parse(data).certificates)
    except MalformedEvidence:
        return False


def _add_hcl(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    HclReport.parse(data, recorded=True)
    parts.put("hcl_report", data, source)


def _is_der(data: bytes) -> bool:
    """A sequence with a length that DER can have, not text that begins with the digit 0 (0x30)."""
    long = data[:2] in (b"\x30\x81", b"\x30\x82", b"\x30\x83")
    return long or (data[:1] == b"\x30" and 2 <= len(data) < 0x82 and data[1] == len(data) - 2)


def _add_der(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """A certificate, a revocation list, a public key, or a bare ECDSA signature."""
    if tpm_tools.is_spki(data):
        parts.put("tpm_key", tpm_tools.spki(data, named=True), source)
    elif tpm_tools.is_ecdsa(data):
        parts.blobs.append((data, source))
    else:
        parts.items += content.read(data, source.path.name)


def _add_pem(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """Certificates and revocation lists, or one public key."""
    key = content.public_key(data)
    if key is not None:
        parts.put("tpm_key", tpm_tools.spki(key, named=True), source)
    else:
        parts.items += content.read(data, source.path.name)


FORMS = (
    Form("an HCL report of Azure", lambda data: data[:4] == b"HCLA", _add_hcl),
    Form(QUOTE, lambda data: data[2:8] == b"\x02\0" + TEE_TDX.to_bytes(4, "little"), add_quote),
    Form(
        "a message of TPM 2.0 (TPMS_ATTEST)",
        tpm_tools.is_attest,
        lambda parts, data, source: parts.put("tpm_attest", tpm_tools.attest(data), source),
    ),
    Form(LOG, is_log, add_log),
    Form(
        "a message of evidence of Cloister",
        lambda data: data[:3] == b"\x08\x01\x12",  # the fields version = 1 and platform
        lambda parts, data, source: parts.put("evidence", Evidence.parse(data), source),
    ),
    Form("PEM", lambda data: data.lstrip()[:11] == b"-----BEGIN ", _add_pem),
    Form("a protobuf of go-tpm-tools", protobufs.is_attestation, protobufs.add_attestation),
    Form("a protobuf of go-tdx-guest", protobufs.is_tdx, protobufs.add_tdx),
    Form("a protobuf of go-sev-guest", protobufs.is_snp, protobufs.add_snp),
    Form(REPORT, _is_report, add_report),
    Form(
        "a list of PCRs of tpm2-tools (serialized)",
        tpm_tools.is_serialized,
        lambda parts, data, source: parts.put("tpm_registers", tpm_tools.serialized(data), source),
    ),
    Form(
        "a list of PCRs of tpm2-tools (marshaled)",
        tpm_tools.is_marshaled,
        lambda parts, data, source: parts.put("tpm_registers", tpm_tools.marshaled(data), source),
    ),
    Form(
        "a signature of TPM 2.0 (TPMT_SIGNATURE)",
        tpm_tools.is_signature,
        lambda parts, data, source: parts.put("tpm_signature", tpm_tools.signature(data), source),
    ),
    Form(
        "a public key of TPM 2.0 (TPMT_PUBLIC)",
        tpm_tools.is_public,
        lambda parts, data, source: parts.put("tpm_key", tpm_tools.public(data, named=True), source),
    ),
    Form("DER (a certificate, a revocation list or a key)", _is_der, _add_der),
    Form(
        "a certificate table of AMD",
        _is_table,
        lambda parts, data, source: parts.put("snp_certificates", data, source),
    ),
)
"""Every form, in the order in which it is tried."""
