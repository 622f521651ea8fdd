"""The platforms ``azure-snp`` and ``azure-tdx``: Microsoft's paravisor with its vTPM, and IMDS (metadata service).

The paravisor keeps its report in NV 0x01400001. When the guest writes to NV 0x01400002, the paravisor makes a new
report with these bytes in its runtime claims, which takes a few seconds. Until then NV 0x01400001 has the report of the
boot or of another session, which proves nothing about this one.
"""

import binascii
import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from agent_runtime.errors import AgentError
from agent_runtime.platform.boot_logs import read_event_log
from agent_runtime.platform.machine import EvidenceParts
from agent_runtime.platform.metadata import MAX_SIZE, MetadataClient
from agent_runtime.platform.tpm import Tpm
from cloister.attestation.azure import hcl
from cloister.attestation.azure.hcl import HclReport
from cloister.attestation.collateral_source import CERTIFICATE, CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Platform
from cloister.attestation.tpm.commands import Transport
from cloister.attestation.tpm.runtimelog import Measurement
from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError

# Microsoft, "Guest attestation for confidential VMs: design details" and its repository
# Azure/confidential-computing-cvm-guest-attestation.
NV_REPORT = 0x01400001
NV_USER_DATA = 0x01400002
NV_AK_CERTIFICATE = 0x01C101D0
AK_HANDLE = 0x81000003

# Azure Instance Metadata Service, "Access user data"; 2021-01-01 is the first version that has it.
USER_DATA = "/metadata/instance/compute/userData?api-version=2021-01-01&format=text"
# Microsoft, "Trusted Hardware Identity Management", section on AMD processors.
CERTIFICATES = "/metadata/THIM/amd/certification"
# Microsoft's guest attestation samples, ImdsClient: TDREPORT in the request, quote in the answer, base64url.
QUOTE = "/acc/tdquote"

_PLATFORMS = {hcl.TYPE_SNP: Platform.AZURE_SNP, hcl.TYPE_TDX: Platform.AZURE_TDX}
_RETRY_SECONDS = 0.1
_REPORT_READS = 150
"""Attempts to read the new report: 15 seconds in total. About 3 were observed."""

_MAX_CERTIFICATES = 4
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]{1,16384}?)-----END CERTIFICATE-----")
# AMD publication 56860, table 23: REPORTED_TCB and CHIP_ID identify the signing key's certificate.
_SIGNING_KEY = (slice(0x180, 0x188), slice(0x1A0, 0x1E0))
# Offsets of the report data: the same table; Intel TDX module ABI, REPORTMACSTRUCT.
_REPORT_DATA = {hcl.TYPE_SNP: slice(0x50, 0x90), hcl.TYPE_TDX: slice(128, 192)}


def metadata_service() -> MetadataClient:
    """A client of IMDS, which requires this header."""
    return MetadataClient({"Metadata": "true"})


class AzureMachine:
    """A CVM on Azure. The paravisor's claims contain the vTPM's key, and the hardware report covers the claims."""

    def __init__(
        self,
        transport: Transport,
        metadata: MetadataClient,
        *,
        boot_event_log: Path,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises AgentError, TpmError, MalformedEvidence or OSError when the machine is not a CVM."""
        # User data is base64.
        given = metadata.get(USER_DATA, what="boot configuration (user data)")
        self.boot_configuration = _decoded(given.strip(), "The VM's user data")
        self._metadata = metadata
        self._sleep = sleep
        self._event_log = read_event_log(boot_event_log)
        self._tpm = Tpm.from_handle(transport, AK_HANDLE)
        self.platform = _PLATFORMS[HclReport.parse(self._tpm.read(NV_REPORT)).report_type]
        self._certificates = (self._tpm.certificate(NV_AK_CERTIFICATE),) if self._tpm.has(NV_AK_CERTIFICATE) else ()
        if not self._tpm.has(NV_USER_DATA):
            self._tpm.define(NV_USER_DATA, hcl.USER_DATA_SIZE)
        self._signing_key: tuple[bytes, ...] = ()
        self._collateral: tuple[CollateralItem, ...] = ()

    def measure(self, measurement: Measurement) -> None:
        """Extend PCR 15 of the paravisor's vTPM."""
        self._tpm.extend(measurement)

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of the vTPM's PCRs."""
        return self._tpm.pcrs(indices)

    def attest(self, report_data: bytes) -> EvidenceParts:
        """A new report of the paravisor, a TPM quote over the same data, and the hardware report's endorsements."""
        encoded, report = self._fresh_report(report_data)
        parts = EvidenceParts(
            tpm_quote=self._tpm.quote(report_data),
            ak_certificates=self._certificates,
            boot_event_log=self._event_log,
            hcl_report=encoded,
        )
        if self.platform is Platform.AZURE_TDX:
            return replace(parts, tdx_quote=self._td_quote(report.hardware_report[: hcl.TDREPORT_SIZE]))
        return replace(parts, collateral=self._amd_certificates(report.hardware_report))

    def _fresh_report(self, report_data: bytes) -> tuple[bytes, HclReport]:
        """The report with ``report_data`` in its claims, encoded and parsed."""
        self._tpm.write(NV_USER_DATA, report_data)
        for _ in range(_REPORT_READS):
            encoded = self._tpm.read(NV_REPORT)
            report = _consistent(encoded)
            if report is not None and report.claims.user_data == report_data:
                return encoded, report
            self._sleep(_RETRY_SECONDS)
        raise AgentError("The paravisor did not make a new report in time.")

    def _td_quote(self, td_report: bytes) -> bytes:
        """The quote over a TDREPORT, from the quoting enclave. Only the host can reach it."""
        request = canonical.encode({"report": canonical.to_base64(td_report)})
        answer = _string_members(self._metadata.post(QUOTE, request, what="quote"), "quote")
        try:
            # Padding is not documented.
            return canonical.from_base64(answer["quote"].rstrip("="), what="the quote")
        except FormatError as error:
            raise AgentError("The platform's quote is not base64url.") from error

    def _amd_certificates(self, snp_report: bytes) -> tuple[CollateralItem, ...]:
        """VCEK, ASK and ARK. Fetched again when the host's firmware, and so the VCEK, has changed.

        A failure is not an error: a party can fetch them from AMD. The next call tries again.
        """
        signer = tuple(snp_report[part] for part in _SIGNING_KEY)
        if signer != self._signing_key or not self._collateral:
            try:
                answer = self._metadata.get(CERTIFICATES, what="certificate of the processor", attempts=3)
                texts = _string_members(answer, "vcekCert", "certificateChain")
                found = [der for text in texts.values() for der in _pem(text)]
                self._collateral = tuple(CollateralItem(CERTIFICATE, der) for der in found)
            except AgentError:
                self._collateral = ()
            self._signing_key = signer
        return self._collateral


def _consistent(encoded: bytes) -> HclReport | None:
    """The report. None when its parts do not match: it is read in blocks and may change in between."""
    try:
        report = HclReport.parse(encoded)
    except MalformedEvidence:
        return None
    bound = report.hardware_report[_REPORT_DATA[report.report_type]]
    return report if bound == report.report_data() else None


def _string_members(answer: bytes, *names: str) -> dict[str, str]:
    """String members of a JSON object, which may have others."""
    try:
        value = canonical.parse(answer, what="the answer", limit=MAX_SIZE)
    except FormatError as error:
        raise AgentError("The platform's metadata service did not answer with JSON.") from error
    found = {name: value.get(name) for name in names} if isinstance(value, dict) else {}
    if not found or not all(isinstance(text, str) for text in found.values()):
        raise AgentError(f"The answer of the platform's metadata service lacks {' and '.join(names)}.")
    return found


def _pem(text: str) -> tuple[bytes, ...]:
    """The first certificates in a PEM text, as DER."""
    found = _PEM.findall(text)[:_MAX_CERTIFICATES]
    return tuple(_decoded("".join(one.split()).encode(), "A certificate of the platform") for one in found)


def _decoded(text: bytes, what: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise AgentError(f"{what} is not base64.") from error
