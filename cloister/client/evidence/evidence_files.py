"""Files that are parts of one piece of evidence: what each is, told by its content, and what they make together."""

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
from cloister.client.collateral.folder import ENDORSEMENT, gathered
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
    """A vTPM's quote as tools for Azure write it: TPMS_ATTEST, RSASSA signature, values of the SHA-256 bank from 0."""

    attest: bytes
    signature: bytes
    pcrs: tuple[bytes, ...]


@dataclass
class Pieces:
    """What was found in the files so far; a second one of the same kind belongs to other evidence."""

    evidence: Evidence | None = None
    snp_report: bytes | None = None
    snp_certificates: bytes | None = None
    tdx_quote: bytes | None = None
    hcl_report: bytes | None = None
    tpm_quote: TpmQuoteFile | None = None
    items: list[CollateralItem] = field(default_factory=list)

    def whole(self) -> tuple[Evidence | Raw, InMemory]:
        """The evidence that the parts make, and the collateral that came with it. Raises InputError."""
        collateral = gathered(self.items)
        rest = [part for part in (self.snp_report, self.tdx_quote, self.hcl_report, self.tpm_quote) if part is not None]
        if self.evidence is not None:
            if rest or self.snp_certificates is not None:
                raise InputError("The files are evidence of Cloister's own and parts of other evidence.")
            return self.evidence, collateral
        if self.hcl_report is not None:
            return self._paravisor(self.hcl_report), collateral
        if len(rest) != 1 or self.tpm_quote is not None:
            raise InputError(
                "The files are not one piece of evidence.",
                hint="Name one report, quote or bundle, and what belongs to it: certificates, collateral.",
            )
        if self.snp_report is not None:
            return RawSnp(self.snp_report, self.snp_certificates), collateral
        if self.tdx_quote is None or self.snp_certificates is not None:
            raise InputError("A TDX quote has no certificate table of AMD's.")
        return RawTdx(self.tdx_quote), collateral

    def _paravisor(self, report: bytes) -> RawHcl:
        """The parts that go with a report of Azure's paravisor, all of them and no other. Raises InputError."""
        quote = self.tpm_quote
        if quote is None or self.snp_report is not None or self.snp_certificates is not None:
            raise InputError(
                "A report of Azure's paravisor is judged with a quote of its vTPM, without another report and without "
                "a host's certificate table.",
                hint='The quote is JSON: {"message": HEX, "signature": HEX, "pcrs": [HEX, ...]}.',
            )
        is_tdx = HclReport.parse(report).report_type == TYPE_TDX
        if is_tdx != (self.tdx_quote is not None):
            raise InputError(
                "A report of Azure's paravisor is judged with a TDX quote exactly when it is of a TDX machine; "
                f"this one is of {'TDX' if is_tdx else 'SEV-SNP'}.",
                hint="Azure's hosts give a machine its TDX quote for the TDREPORT in the paravisor's report.",
            )
        return RawHcl(report, quote.attest, quote.signature, dict(enumerate(quote.pcrs)), self.tdx_quote)


def load(paths: Sequence[Path]) -> tuple[Evidence | Raw, InMemory]:
    """The evidence in ``paths`` and the collateral beside it. Raises InputError for a file that is neither."""
    if len(paths) > _MAX_FILES:
        raise InputError(f"{len(paths)} files are too many for one piece of evidence.")
    pieces = Pieces()
    for path in paths:
        try:
            data = userfile.read(path, _MAX_FILE)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        try:
            _sort(pieces, data, path)
        except MalformedEvidence as error:
            raise InputError(f"{path} is no evidence that can be read: {error.place}.") from error
        except FormatError as error:
            raise InputError(f"{path} is no evidence that can be read: {error.message}") from error
    return pieces.whole()


def _sort(pieces: Pieces, data: bytes, path: Path) -> None:
    """Put one file where it belongs. Raises MalformedEvidence, FormatError, InputError."""
    if len(data) > _MAX_FILE:
        raise InputError(f"{path} has more than {_MAX_FILE} bytes.")
    if data.startswith(b"HCLA"):
        HclReport.parse(data)
        _set(pieces, "hcl_report", data, path)
    elif data.lstrip()[:1] == b"{":
        _sort_json(pieces, data, path)
    elif data[2:8] == b"\x02\0" + _TEE_TDX.to_bytes(4, "little"):
        TdxQuote.parse(data)
        _set(pieces, "tdx_quote", data, path)
    elif len(data) == _REPORT_SIZE and data[1:4] == bytes(3):
        SnpReport.parse(data)
        _set(pieces, "snp_report", data, path)
    elif data.startswith(b"\x08\x01\x12"):  # the fields version = 1 and platform of the message
        _set(pieces, "evidence", Evidence.parse(data), path)
    elif path.suffix == ENDORSEMENT:
        pieces.items.append(content.endorsement(data))
    elif data[:1] == b"\x30" or b"-----BEGIN " in data[:4096]:
        pieces.items += content.read(data, path.name)
    elif _is_table(data):
        _set(pieces, "snp_certificates", data, path)
    else:
        raise InputError(
            f"{path} is no evidence that is known here.",
            hint="It may be a SEV-SNP report, a TDX quote, an HCL report with a quote, or a bundle of `attest --save`.",
        )


def _sort_json(pieces: Pieces, data: bytes, path: Path) -> None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path.name} is not JSON that can be read.") from error
    if "binding" in value:
        _set(pieces, "evidence", Evidence.parse_json(data), path)
    elif "message" in value:
        _set(pieces, "tpm_quote", _tpm_quote(value, path.name), path)
    elif "hcl_report" in value:
        # The evidence of an Azure machine as Confidential Containers' attester writes it.
        report = _binary(value.get("hcl_report"), path.name)
        HclReport.parse(report)
        _set(pieces, "hcl_report", report, path)
        _set(pieces, "tpm_quote", _tpm_quote(value.get("tpm_quote"), path.name), path)
        if "vcek" in value:
            pieces.items.append(CollateralItem(CERTIFICATE, _binary(value["vcek"], path.name)))
        if "td_quote" in value:
            _set(pieces, "tdx_quote", _binary(value["td_quote"], path.name), path)
    else:
        pieces.items += content.read(data, path.name)


def _tpm_quote(value: Any, name: str) -> TpmQuoteFile:
    if not isinstance(value, dict) or not isinstance(value.get("pcrs"), list):
        raise FormatError(f"{name} has no quote with message, signature and pcrs.")
    pcrs = tuple(_binary(text, name) for text in value["pcrs"])
    if not 1 <= len(pcrs) <= _MAX_PCRS or any(len(pcr) != 32 for pcr in pcrs):
        raise FormatError(f"{name} has registers that are not SHA-256 digests.")
    signature = _binary(value.get("signature"), name)
    if len(signature) in _RSA_SIZES:  # the number alone, without the head of a TPMT_SIGNATURE
        signature = RsaSignature(ALG_SHA256, signature).marshal()
    return TpmQuoteFile(_binary(value.get("message"), name), signature, pcrs)


def _binary(value: Any, name: str) -> bytes:
    """Hex, or base64url with or without padding."""
    if not isinstance(value, str):
        raise FormatError(f"{name} has a member that is not text.")
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


def _set(pieces: Pieces, name: str, value: Any, path: Path) -> None:
    if getattr(pieces, name) is not None:
        raise InputError(
            f"{path} is a second {name.replace('_', ' ')}: the files belong to several pieces of evidence."
        )
    setattr(pieces, name, value)
