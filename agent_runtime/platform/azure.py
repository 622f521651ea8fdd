"""The platforms ``azure-snp`` and ``azure-tdx``: Microsoft's paravisor with its vTPM, and the metadata service (IMDS).

The paravisor keeps its report in NV 0x01400001. What the guest writes to NV 0x01400002 goes into the runtime claims of
a report that the paravisor then makes anew, which takes it some seconds: the one that is there from the boot, or was
made for another session, is no evidence.
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
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import CERTIFICATE, CollateralItem, Platform
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

# Azure Instance MetadataClient Service, "Access user data"; 2021-01-01 is the first version that has it.
USER_DATA = "/metadata/instance/compute/userData?api-version=2021-01-01&format=text"
# Microsoft, "Trusted Hardware Identity Management", section on AMD processors.
CERTIFICATES = "/metadata/THIM/amd/certification"
# Microsoft's guest attestation samples, ImdsClient: the body has the TDREPORT, the answer the quote, in base64url.
QUOTE = "/acc/tdquote"

_PLATFORMS = {hcl.TYPE_SNP: Platform.AZURE_SNP, hcl.TYPE_TDX: Platform.AZURE_TDX}
_RETRY_SECONDS = 0.1
_REPORT_READS = 150
"""How often the report is read until it is the new one: 15 seconds, where 3 have been seen."""

_MAX_CERTIFICATES = 4
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]{1,16384}?)-----END CERTIFICATE-----")
# AMD publication 56860, table 23: REPORTED_TCB and CHIP_ID decide which certificate is the key's.
_SIGNING_KEY = (slice(0x180, 0x188), slice(0x1A0, 0x1E0))
# Where a hardware report has its report data: the same table; Intel TDX module ABI, REPORTMACSTRUCT.
_REPORT_DATA = {hcl.TYPE_SNP: slice(0x50, 0x90), hcl.TYPE_TDX: slice(128, 192)}


def metadata_service() -> MetadataClient:
    """IMDS, which answers only to requests with this header."""
    return MetadataClient({"Metadata": "true"})


class AzureMachine:
    """A confidential VM at Azure. Its vTPM's key is in the paravisor's claims, which the hardware's report binds."""

    def __init__(
        self,
        transport: Transport,
        metadata: MetadataClient,
        *,
        boot_event_log: Path,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises AgentError, TpmError, MalformedEvidence or OSError for a machine that is no confidential VM."""
        # Azure keeps it in base64.
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
        """Into register 15 of the paravisor's vTPM."""
        self._tpm.extend(measurement)

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of the vTPM's registers."""
        return self._tpm.pcrs(indices)

    def attest(self, report_data: bytes) -> EvidenceParts:
        """The paravisor's report made anew, a quote over the same data, and what vouches for the hardware's report."""
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
        """The report whose claims have ``report_data``, as bytes and as a value."""
        self._tpm.write(NV_USER_DATA, report_data)
        for _ in range(_REPORT_READS):
            encoded = self._tpm.read(NV_REPORT)
            report = _consistent(encoded)
            if report is not None and report.claims.user_data == report_data:
                return encoded, report
            self._sleep(_RETRY_SECONDS)
        raise AgentError("The paravisor did not make its report anew.")

    def _td_quote(self, td_report: bytes) -> bytes:
        """The quoting enclave's quote over the TDREPORT: only the host can ask it."""
        asked = canonical.encode({"report": canonical.to_base64(td_report)})
        answer = _string_members(self._metadata.post(QUOTE, asked, what="quote"), "quote")
        try:
            # Whether it is filled up with = is not written anywhere.
            return canonical.from_base64(answer["quote"].rstrip("="), what="the quote")
        except FormatError as error:
            raise AgentError("The platform's quote is not base64url.") from error

    def _amd_certificates(self, snp_report: bytes) -> tuple[CollateralItem, ...]:
        """VCEK, ASK and ARK, asked for again when the host's firmware, and with it the VCEK, is another.

        Without them a party fetches them from AMD: no answer is no failure, and is asked for again next time.
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
    """The report, None when its parts do not belong together: it is read in pieces, and may change between them."""
    try:
        report = HclReport.parse(encoded)
    except MalformedEvidence:
        return None
    bound = report.hardware_report[_REPORT_DATA[report.report_type]]
    return report if bound == report.report_data() else None


def _string_members(answer: bytes, *names: str) -> dict[str, str]:
    """Members of a JSON object that are texts; the services have others besides."""
    try:
        value = canonical.parse(answer, what="the answer", limit=MAX_SIZE)
    except FormatError as error:
        raise AgentError("The platform's metadata service answered with something else than JSON.") from error
    found = {name: value.get(name) for name in names} if isinstance(value, dict) else {}
    if not found or not all(isinstance(text, str) for text in found.values()):
        raise AgentError(f"The platform's metadata service answered without {' and '.join(names)}.")
    return found


def _pem(text: str) -> tuple[bytes, ...]:
    """The certificates (DER) in PEM, the first few of them."""
    found = _PEM.findall(text)[:_MAX_CERTIFICATES]
    return tuple(_decoded("".join(one.split()).encode(), "A certificate of the platform's") for one in found)


def _decoded(text: bytes, what: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise AgentError(f"{what} is not base64.") from error
