"""Evidence from files: each file is recognised by its content, and all must belong to one piece of evidence."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.azure.hcl import TYPE_TDX, HclReport
from cloister.attestation.collateral_source import CERTIFICATE, CollateralItem, InMemory
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import MAX_SIZE, Evidence
from cloister.attestation.raw_evidence import Raw, RawHcl, RawSnp, RawTdx
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.snp.table import CertificateTable
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.tpm.rsa import RsaSignature
from cloister.attestation.tpm.structures import ALG_SHA256
from cloister.client.collateral import content
from cloister.client.collateral.folder import ENDORSEMENT, collect
from cloister.client.evidence.attestation_results import kind_of_result
from cloister.errors import InputError
from cloister.protocol.canonical import FormatError

_MAX_FILE = 2 * MAX_SIZE
_MAX_FILES = 16
_REPORT_SIZE = 1184
_TEE_TDX = 0x81
_RSA_SIZES = (256, 384, 512)
_MAX_PCRS = 24


@dataclass(frozen=True)
class TpmQuoteFile:
    """A vTPM quote as tools for Azure write it: TPMS_ATTEST, RSASSA signature, PCRs of the SHA-256 bank from 0."""

    attest: bytes
    signature: bytes
    pcrs: tuple[bytes, ...]


@dataclass
class _Parts:
    """The content of the files so far, at most one of each kind except collateral; None where absent."""

    evidence: Evidence | None = None
    snp_report: bytes | None = None
    snp_certificates: bytes | None = None
    tdx_quote: bytes | None = None
    hcl_report: bytes | None = None
    tpm_quote: TpmQuoteFile | None = None
    items: list[CollateralItem] = field(default_factory=list)

    def whole(self) -> tuple[Evidence | Raw, InMemory]:
        """The evidence that the parts form, and the collateral among them. Raises InputError."""
        collateral = collect(self.items)
        rest = [part for part in (self.snp_report, self.tdx_quote, self.hcl_report, self.tpm_quote) if part is not None]
        if self.evidence is not None:
            if rest or self.snp_certificates is not None:
                raise InputError("A bundle of Cloister's cannot be combined with other reports or quotes.")
            return self.evidence, collateral
        if self.hcl_report is not None:
            return self._paravisor(self.hcl_report), collateral
        if len(rest) != 1 or self.tpm_quote is not None:
            raise InputError(
                "The files do not form one piece of evidence.",
                hint="Name one report, quote or bundle, and the certificates and collateral that belong to it.",
            )
        if self.snp_report is not None:
            return RawSnp(self.snp_report, self.snp_certificates), collateral
        if self.tdx_quote is None or self.snp_certificates is not None:
            raise InputError("An AMD certificate table does not belong to a TDX quote.")
        return RawTdx(self.tdx_quote), collateral

    def _paravisor(self, report: bytes) -> RawHcl:
        """The evidence of an Azure paravisor: exactly the parts that it needs. Raises InputError."""
        quote = self.tpm_quote
        if quote is None or self.snp_report is not None or self.snp_certificates is not None:
            raise InputError(
                "An Azure HCL report needs a quote of its vTPM, and no separate SEV-SNP report or certificate table.",
                hint='Add the quote as JSON: {"message": HEX, "signature": HEX, "pcrs": [HEX, ...]}.',
            )
        is_tdx = HclReport.parse(report).report_type == TYPE_TDX
        if is_tdx and self.tdx_quote is None:
            raise InputError(
                "An Azure HCL report of a TDX machine needs a TDX quote.",
                hint="Add it: on the machine, Azure's host makes one from the TDREPORT in the HCL report.",
            )
        if not is_tdx and self.tdx_quote is not None:
            raise InputError(
                "A TDX quote does not belong to an Azure HCL report of a SEV-SNP machine.", hint="Remove the TDX quote."
            )
        return RawHcl(report, quote.attest, quote.signature, dict(enumerate(quote.pcrs)), self.tdx_quote)


_DAMAGED = "The file was truncated or changed: get it again from where it was recorded."


def load(paths: Sequence[Path]) -> tuple[Evidence | Raw, InMemory]:
    """The evidence in ``paths``, and the collateral among them. Raises InputError for a file that is neither."""
    if len(paths) > _MAX_FILES:
        raise InputError(
            f"{len(paths)} files are too many for one piece of evidence; at most {_MAX_FILES} are supported."
        )
    parts = _Parts()
    for path in paths:
        try:
            data = userfile.read(path, _MAX_FILE)
        except OSError as error:
            raise userfile.unreadable(path, error) from error
        try:
            _add(parts, data, path)
        except MalformedEvidence as error:
            raise InputError(f"{path} is malformed evidence: {error.place}.", hint=_DAMAGED) from error
        except FormatError as error:
            raise InputError(f"{path} is malformed evidence: {error.message}", hint=_DAMAGED) from error
    return parts.whole()


def _add(parts: _Parts, data: bytes, path: Path) -> None:
    """Recognise one file and add it. Raises MalformedEvidence, FormatError, InputError."""
    if len(data) > _MAX_FILE:
        raise InputError(f"{path} has more than {_MAX_FILE} bytes.")
    if (result := kind_of_result(data)) is not None:
        raise InputError(
            f"{path} is {result}: it says what a verifier concluded, and is not evidence.",
            hint="Pass the evidence that it was made from, as the machine gave it.",
        )
    if data.startswith(b"HCLA"):
        HclReport.parse(data)
        _set(parts, "hcl_report", data, path)
    elif data.lstrip()[:1] == b"{":
        _add_json(parts, data, path)
    elif data[2:8] == b"\x02\0" + _TEE_TDX.to_bytes(4, "little"):
        TdxQuote.parse(data)
        _set(parts, "tdx_quote", data, path)
    elif len(data) == _REPORT_SIZE and data[1:4] == bytes(3):
        SnpReport.parse(data)
        _set(parts, "snp_report", data, path)
    elif data.startswith(b"\x08\x01\x12"):  # the fields version = 1 and platform of the message
        _set(parts, "evidence", Evidence.parse(data), path)
    elif path.suffix == ENDORSEMENT:
        parts.items.append(content.endorsement(data))
    elif data[:1] == b"\x30" or b"-----BEGIN " in data[:4096]:
        parts.items += content.read(data, path.name)
    elif _is_table(data):
        _set(parts, "snp_certificates", data, path)
    else:
        raise InputError(
            f"{path} is not evidence of a supported kind.",
            hint="Pass a SEV-SNP report, a TDX quote, an HCL report with a quote, or a bundle of `attest --save`.",
        )


def _add_json(parts: _Parts, data: bytes, path: Path) -> None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path.name} is malformed JSON.") from error
    if "binding" in value:
        _set(parts, "evidence", Evidence.parse_json(data), path)
    elif "message" in value:
        _set(parts, "tpm_quote", _tpm_quote(value, path.name), path)
    elif "hcl_report" in value:
        # The evidence of an Azure machine as Confidential Containers' attester writes it.
        report = _binary(value.get("hcl_report"), path.name)
        HclReport.parse(report)
        _set(parts, "hcl_report", report, path)
        _set(parts, "tpm_quote", _tpm_quote(value.get("tpm_quote"), path.name), path)
        if "vcek" in value:
            parts.items.append(CollateralItem(CERTIFICATE, _binary(value["vcek"], path.name)))
        if "td_quote" in value:
            _set(parts, "tdx_quote", _binary(value["td_quote"], path.name), path)
    else:
        parts.items += content.read(data, path.name)


def _tpm_quote(value: Any, name: str) -> TpmQuoteFile:
    if not isinstance(value, dict) or not isinstance(value.get("pcrs"), list):
        raise FormatError(f"{name} has no quote with message, signature and pcrs.")
    pcrs = tuple(_binary(text, name) for text in value["pcrs"])
    if not 1 <= len(pcrs) <= _MAX_PCRS or any(len(pcr) != 32 for pcr in pcrs):
        raise FormatError(f"{name} has PCRs that are not SHA-256 digests.")
    signature = _binary(value.get("signature"), name)
    if len(signature) in _RSA_SIZES:  # the bare signature, without the header of a TPMT_SIGNATURE
        signature = RsaSignature(ALG_SHA256, signature).marshal()
    return TpmQuoteFile(_binary(value.get("message"), name), signature, pcrs)


def _binary(value: Any, name: str) -> bytes:
    """Hex, or base64url with or without padding."""
    if not isinstance(value, str):
        raise FormatError(f"{name} has a member that is not a string.")
    try:
        return bytes.fromhex(value)
    except ValueError:
        pass
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{name} has a member that is neither hex nor base64url.") from error


def _is_table(data: bytes) -> bool:
    try:
        return bool(CertificateTable.parse(data).certificates)
    except MalformedEvidence:
        return False


def _set(parts: _Parts, name: str, value: Any, path: Path) -> None:
    if getattr(parts, name) is not None:
        raise InputError(
            f"{path} is a second {name.replace('_', ' ')}; one piece of evidence has one.",
            hint="Verify each piece of evidence by itself.",
        )
    setattr(parts, name, value)
