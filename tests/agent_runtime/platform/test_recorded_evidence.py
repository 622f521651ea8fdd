"""The agent on a recorded machine: recordings replace what reads hardware.

The evidence is genuine but made for another session, and the verdict shows exactly that.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

from agent_runtime.clock import Clock
from agent_runtime.limits import Limits
from agent_runtime.operations.operations import Operations
from agent_runtime.platform import azure
from agent_runtime.platform.attester import Attester
from agent_runtime.platform.machine import EvidenceParts
from agent_runtime.rpc.keys import EventKey
from cloister.attestation.azure.hcl import HclReport
from cloister.attestation.azure.policy import AzurePolicy, AzureSnpPolicy
from cloister.attestation.collateral_source import CERTIFICATE, CollateralItem
from cloister.attestation.evidence import Evidence, Platform, TpmQuote
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import ConfigurationPolicy, Policy
from cloister.attestation.snp.policy import SnpPolicy
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tpm import structures
from cloister.attestation.tpm.rsa import RsaPublic, RsaSignature
from cloister.attestation.tpm.runtimelog import Measurement
from cloister.attestation.verifier import SessionPurpose, verify
from cloister.protocol.bootconfig import BootConfiguration
from tests.attestation.clouds import names, recorded
from tests.attestation.platforms.test_azure import (
    AZURE_ATTRIBUTES,
    LIMITS,
    VECTOR_TIME,
    WITHOUT,
    amd_certificates,
    attested,
)

OWNER = "0" * 64
PURPOSE = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)


@dataclass(frozen=True)
class RecordedMachine:
    """A machine on Azure whose answers were recorded."""

    recording: EvidenceParts
    platform: Platform = Platform.AZURE_SNP
    boot_configuration: bytes = BootConfiguration("trial", "main", (OWNER,)).encode()

    def measure(self, measurement: Measurement) -> None:
        """A recording cannot be extended."""

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        quote = self.recording.tpm_quote
        return {index: quote.pcrs[index] for index in indices} if quote else {}

    def attest(self, report_data: bytes) -> EvidenceParts:
        return self.recording


@pytest.fixture
def machine() -> RecordedMachine:
    report = recorded("azure-snp/hcl-report.bin")
    message, signature, pcrs = attested(json.loads(recorded("azure-snp/tpm-quote-v1.json")))
    modulus = HclReport.parse(report).claims.ak_modulus
    quote = TpmQuote(
        message,
        RsaSignature(structures.ALG_SHA256, signature).marshal(),
        RsaPublic(structures.ALG_SHA256, AZURE_ATTRIBUTES, b"", modulus).marshal(),
        tuple(pcrs[index] for index in structures.QUOTED_PCRS),
    )
    certificates = tuple(CollateralItem(CERTIFICATE, der) for der in amd_certificates())
    return RecordedMachine(
        EvidenceParts(tpm_quote=quote, hcl_report=report, boot_event_log=b"", collateral=certificates)
    )


@pytest.mark.parametrize("name", ["azure-snp", "azure-tdx"])
def test_reports_of_real_paravisors_are_consistent(name: str) -> None:
    report = recorded(f"{name}/hcl-report.bin")
    assert azure._consistent(report) is not None
    changed = bytearray(report)
    changed[1300] ^= 1
    assert azure._consistent(bytes(changed)) is None


def test_recorded_evidence_is_rejected_for_another_session(machine: RecordedMachine) -> None:
    # The firmware's log was not recorded; any readable one stands in for it.
    log = recorded("eventlog/ubuntu-2404-amd-sevsnp.bin")
    machine = replace(machine, recording=replace(machine.recording, boot_event_log=log))
    attester = Attester(
        machine,
        event_log_key=EventKey.generate().spki,
        boot_configuration=BootConfiguration.parse(machine.boot_configuration),
        limits=Limits(),
        operations=Operations(Clock()),
    )
    evidence = attester.for_session(
        nonce=PURPOSE.nonce, tls_key_digest=PURPOSE.tls_key_digest, hpke_key_digest=PURPOSE.hpke_key_digest
    )

    assert machine.recording.hcl_report is not None
    hardware = SnpReport.parse(HclReport.parse(machine.recording.hcl_report).hardware_report)
    image = ImageReference("theirs", False, bytes(32), machine.pcrs((4, 9, 11)))
    policy = Policy(
        platforms=(Platform.AZURE_SNP,),
        images=(image,),
        boot_configuration=ConfigurationPolicy("trial", ("main",), (OWNER,)),
        snp=SnpPolicy({ProductLine.MILAN: LIMITS}, allow_smt=True, require_crl=False),
        azure=AzurePolicy(snp=AzureSnpPolicy((hardware.id_key_digest,), 0)),
    )
    received = Evidence.parse(evidence.encode())
    verdict = verify(received, policy, purpose=PURPOSE, at=VECTOR_TIME, manifest_digest=None)
    assert names(verdict) == WITHOUT
