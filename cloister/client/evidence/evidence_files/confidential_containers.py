"""JSON of Confidential Containers' attesters, of trustee, and envelopes of attestation-rs.

Sources: confidential-containers/guest-components, attestation-agent/attester/src (snp, tdx, tpm, az_snp_vtpm,
az_tdx_vtpm); confidential-containers/trustee, deps/verifier/src (compat.rs has the form before version 1);
attestation-rs, crates/attestation/src (types.rs and each platform's evidence.rs).
"""

from collections.abc import Iterator
from typing import Any

from cloister.attestation.azure.hcl import HclReport
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.tpm.structures import SHA256_SIZE
from cloister.client.collateral import content
from cloister.client.evidence.evidence_files import binary, encoding, snp_fields, tpm_tools, unsupported
from cloister.client.evidence.evidence_files.members import WrapperMembers
from cloister.client.evidence.evidence_files.parts import Parts
from cloister.client.evidence.evidence_files.source import EvidenceFile
from cloister.protocol.canonical import FormatError

_MAX_PCRS = 24
_MAX_CERTIFICATES = 16
_ENTRIES = ("Empty", "ARK", "ASK", "VCEK", "VLEK", "CRL")


def add_azure(parts: Parts, found: WrapperMembers) -> None:
    """The evidence of a machine at Azure, from version 1 on."""
    found.only("version", "hcl_report", "tpm_quote", "vcek", "td_quote")
    _hcl(parts, found.binary("hcl_report"), found.source)
    add_quote(parts, found.object("tpm_quote"))
    _leaf(parts, found)
    if "td_quote" in found:
        binary.add_quote(parts, found.binary("td_quote"), found.source)


def add_azure_before_1(parts: Parts, found: WrapperMembers) -> None:
    """The evidence of a SEV-SNP machine at Azure as it was before version 1: lists of numbers, and PEM."""
    found.only("report", "quote", "vcek")
    _hcl(parts, found.binary("report"), found.source)
    add_quote(parts, found.object("quote"))
    _leaf(parts, found)


def add_snp(parts: Parts, found: WrapperMembers) -> None:
    """A SEV-SNP report as fields or as bytes, and its certificates: a list, named members, or one."""
    found.only("version", "attestation_report", "cert_chain", "vek_cert")
    add_report(parts, found)
    if "vek_cert" in found:
        parts.certificates([_der(found.binary("vek_cert"), "vek_cert")])
    if "cert_chain" not in found:
        return
    if isinstance(found.value["cert_chain"], list):
        parts.items += _table(found, found.items("cert_chain", _MAX_CERTIFICATES))
        return
    chain = found.object("cert_chain")
    chain.only("vcek", "vlek", "ask", "asvk", "ark")
    parts.certificates(_der(chain.binary(name), name) for name in chain.value if name in chain)


def add_report(parts: Parts, found: WrapperMembers) -> None:
    """The member ``attestation_report``: fields, or bytes of a report or, in the same member, of a quote."""
    if snp_fields.is_restated(found.value.get("attestation_report")):
        add_fields(parts, found.object("attestation_report"))
        return
    unsupported.refuse_json(found)
    binary.add(parts, found.binary("attestation_report"), found.source, only=(binary.REPORT, binary.QUOTE))


def add_fields(parts: Parts, found: WrapperMembers) -> None:
    """A SEV-SNP report as fields."""
    report = found.like("a SEV-SNP report as fields")
    try:
        binary.add_report(parts, snp_fields.encode(report), report.source)
    except (MalformedEvidence, FormatError) as error:
        raise report.source.damaged(error) from error


def add_tdx(parts: Parts, found: WrapperMembers) -> None:
    """A TDX quote, and the TD's event log."""
    found.only("version", "quote", "cc_eventlog")
    binary.add_quote(parts, found.binary("quote"), found.source)
    if log := found.optional("cc_eventlog"):
        binary.add_log(parts, log, found.source)


def add_tpm(parts: Parts, found: WrapperMembers) -> None:
    """The quote of a TPM and the key that made it, which nothing vouches for."""
    found.only("version", "tpm_quote", "ak_public")
    add_quote(parts, found.object("tpm_quote"))
    if "ak_public" in found:
        key = found.binary("ak_public")
        read = tpm_tools.spki if tpm_tools.is_spki(key) else tpm_tools.public
        parts.put("carried_key", read(key, named=False), found.source)


def add_quote(parts: Parts, found: WrapperMembers) -> None:
    """The quote of a TPM: message, signature, and the PCRs of the SHA-256 bank from 0 on."""
    found.only("message", "signature", "pcrs")
    values = [encoding.from_value(one, "A PCR", SHA256_SIZE) for one in found.items("pcrs", _MAX_PCRS)]
    if not values or any(len(value) != SHA256_SIZE for value in values):
        raise found.source.refuse(
            "its PCRs are not SHA-256 digests", "Record the SHA-256 bank: 1 to 24 values of 32 bytes."
        )
    signature = found.binary("signature")
    bare = tpm_tools.is_plain_signature(signature)
    parts.put("tpm_attest", tpm_tools.attest(found.binary("message")), found.source)
    parts.put("tpm_signature", tpm_tools.plain_signature(signature) if bare else signature, found.source)
    parts.put("tpm_registers", dict(enumerate(values)), found.source)


def _hcl(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    HclReport.parse(data, recorded=True)
    parts.put("hcl_report", data, source)


def _leaf(parts: Parts, found: WrapperMembers) -> None:
    """The member ``vcek``: PEM before version 1, then DER."""
    if "vcek" not in found:
        return
    value = found.value["vcek"]
    if isinstance(value, str) and value.startswith("-----BEGIN "):
        parts.items += content.certificates(value.encode(), "vcek")
    else:
        parts.certificates([_der(found.binary("vcek"), "vcek")])


def _der(data: bytes, name: str) -> bytes:
    """A certificate, in DER or PEM."""
    items = content.read(data, name)
    if len(items) != 1:
        raise MalformedEvidence(name, 0, "is not one certificate")
    return items[0].content


def _table(found: WrapperMembers, entries: list[Any]) -> Iterator[Any]:
    """A certificate table as a list of entries. An entry of another kind is ignored, as in the table itself."""
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise found.source.refuse("its member 'cert_chain' has an entry that is not an object", "Remove the entry.")
        one = WrapperMembers(entry, found.source, f"cert_chain[{index}]")
        one.only("cert_type", "data")
        if one.value.get("cert_type") in _ENTRIES[1:]:
            yield from content.read(one.binary("data"), f"cert_chain[{index}]")
