"""A simulated paravisor with its vTPM, on simulated AMD or Intel hardware. Change a field to cause a rejection."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from cloister.attestation.azure import hcl
from cloister.attestation.azure.policy import AzurePolicy, AzureSnpPolicy, AzureTdxPolicy
from cloister.attestation.collateral_source import CRL, CollateralItem
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.policy.policy import Policy
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.testkit.amd import Processor
from cloister.attestation.testkit.intel import Intel
from cloister.attestation.testkit.machine import TpmMachine
from cloister.attestation.testkit.td import Td
from cloister.attestation.testkit.tpm import RsaTpm
from cloister.attestation.x509.roots import Anchor
from cloister.protocol import canonical

ID_KEY_DIGEST = b"\x31" * 48
"""SHA-384 of the key that signs the simulated paravisor."""

GUEST_SVN = 10
"""Its security version."""

VM_ID = "911B0EF8-9DBA-48B0-B275-4E4DF2D39252"

_SIZE = 2600
_CLAIMS_OFFSET = 1236
_RESERVED = bytes(16)


def encode_hcl_report(hardware: bytes, claims: bytes, report_type: int) -> bytes:
    """The report as the guest reads it from NV 0x01400001, padding included."""
    size = len(claims)
    head = b"HCLA" + _little(1) + _little(_CLAIMS_OFFSET + size) + _little(2) + _RESERVED
    runtime = _little(20 + size) + _little(1) + _little(report_type) + _little(1) + _little(size)
    report = head + hardware.ljust(hcl.REPORT_SIZE, b"\0") + runtime + claims
    return report.ljust(_SIZE, b"\0")


@dataclass(frozen=True, kw_only=True)
class Paravisor:
    """The paravisor's claims. ``ak`` and ``user_data`` replace the vTPM's key and the fresh report data."""

    ak: RsaTpm | None = None
    user_data: bytes | None = None
    vm_unique_id: str = VM_ID
    configuration: Mapping[str, Any] = field(
        default_factory=lambda: {"console-enabled": True, "secure-boot": True, "tpm-enabled": True}
    )

    def claims(self, vtpm: RsaTpm, report_data: bytes) -> bytes:
        """The runtime claims, JSON."""
        user_data = report_data if self.user_data is None else self.user_data
        value = {
            "keys": [_jwk("HCLAkPub", "sign", self.ak or vtpm), _jwk("HCLEkPub", "encrypt", vtpm)],
            "vm-configuration": {**self.configuration, "vmUniqueId": self.vm_unique_id},
            "user-data": user_data.hex().upper(),
        }
        return canonical.encode(value)


@dataclass(frozen=True, kw_only=True)
class AzureSnpMachine(TpmMachine):
    """A machine at Azure with SEV-SNP. ``fields`` replace members of the report before it is signed.

    ``crls`` are AMD's revocation lists that the evidence carries, ``certificates`` Azure's of the vTPM's key (DER).
    """

    tpm: RsaTpm
    processor: Processor
    crls: tuple[bytes, ...]
    paravisor: Paravisor = field(default_factory=Paravisor)
    fields: Mapping[str, Any] = field(default_factory=dict)
    report_type: int = hcl.TYPE_SNP
    certificates: tuple[bytes, ...] = ()

    @classmethod
    def create(cls, at: datetime, *, manifest_digest: bytes | None = None) -> Self:
        """A machine on a new processor, certified as of ``at``."""
        processor = Processor.create(at)
        crls = (processor.amd.crl(),)
        return cls(tpm=RsaTpm.create(), processor=processor, crls=crls, manifest_digest=manifest_digest)

    def roots(self) -> tuple[Anchor, ...]:
        """The anchors to pass to the verifier to have this machine accepted."""
        return (self.processor.amd.anchor(),)

    def policy(self, **changes: Any) -> Policy:
        """A policy that accepts this machine; ``changes`` replace members of it."""
        policy = Policy(
            platforms=(Platform.AZURE_SNP,),
            images=(self.image(),),
            boot_configuration=self.configuration_policy(),
            snp=SnpPolicy({self.processor.amd.line: dict.fromkeys(TCB_KINDS, self.processor.tcb)}),
            azure=AzurePolicy(snp=AzureSnpPolicy((ID_KEY_DIGEST,), GUEST_SVN)),
        )
        return dataclasses.replace(policy, **changes)

    def platform(self) -> Platform:
        """``azure-snp``."""
        return Platform.AZURE_SNP

    def complete(self, evidence: Evidence) -> Evidence:
        """With a fresh report of the paravisor and AMD's certificates."""
        claims = self.paravisor.claims(self.tpm, evidence.report_data())
        # The report's parser computes what the hardware must carry.
        draft = hcl.HclReport.parse(encode_hcl_report(b"", claims, hcl.TYPE_SNP))
        fields = {
            "report_data": draft.report_data(),
            "id_key_digest": ID_KEY_DIGEST,
            "guest_svn": GUEST_SVN,
            **self.fields,
        }
        report = encode_hcl_report(self.processor.report(**fields), claims, self.report_type)
        return dataclasses.replace(
            evidence,
            hcl_report=report,
            ak_certificates=self.certificates,
            snp_certificates=self.processor.table(),
            collateral=tuple(CollateralItem(CRL, one) for one in self.crls),
        )


@dataclass(frozen=True, kw_only=True)
class AzureTdxMachine(TpmMachine):
    """A machine at Azure with TDX. ``fields`` replace members of the TD report before it is signed.

    ``certificates`` are Azure's of the vTPM's key (DER). The caller must bring Intel's collateral.
    """

    tpm: RsaTpm
    intel: Intel
    paravisor: Paravisor = field(default_factory=Paravisor)
    fields: Mapping[str, Any] = field(default_factory=dict)
    report_type: int = hcl.TYPE_TDX
    certificates: tuple[bytes, ...] = ()

    @classmethod
    def create(cls, at: datetime, *, manifest_digest: bytes | None = None) -> Self:
        """A machine on a new platform, certified as of ``at``."""
        return cls(tpm=RsaTpm.create(), intel=Intel.create(at), manifest_digest=manifest_digest)

    def roots(self) -> tuple[Anchor, ...]:
        """The anchors to pass to the verifier to have this machine accepted."""
        return (self.intel.anchor(),)

    def policy(self, **changes: Any) -> Policy:
        """A policy that accepts this machine; ``changes`` replace members of it."""
        report = Td(intel=self.intel).report(bytes(64))
        policy = Policy(
            platforms=(Platform.AZURE_TDX,),
            images=(self.image(),),
            boot_configuration=self.configuration_policy(),
            tdx=TdxPolicy(),
            azure=AzurePolicy(tdx=AzureTdxPolicy((report.mr_td,), (report.mr_seam,))),
        )
        return dataclasses.replace(policy, **changes)

    def platform(self) -> Platform:
        """``azure-tdx``."""
        return Platform.AZURE_TDX

    def complete(self, evidence: Evidence) -> Evidence:
        """With a fresh report of the paravisor and a quote over it."""
        claims = self.paravisor.claims(self.tpm, evidence.report_data())
        draft = encode_hcl_report(b"", claims, self.report_type)
        report_data = hcl.HclReport.parse(draft).report_data()
        unused = {f"rtmr{index}": bytes(48) for index in range(4)}
        fields = {"td_attributes": bytes(8), "mr_config_id": bytes(48), **unused, **self.fields}
        report = Td(intel=self.intel).report(**{"report_data": report_data, **fields})
        return dataclasses.replace(
            evidence, hcl_report=draft, tdx_quote=self.intel.quote(report), ak_certificates=self.certificates
        )


def _jwk(name: str, operation: str, vtpm: RsaTpm) -> dict[str, Any]:
    """A JSON Web Key as the paravisor writes it."""
    modulus = canonical.to_base64(vtpm.public().modulus)
    return {"kid": name, "key_ops": [operation], "kty": "RSA", "e": "AQAB", "n": modulus}


def _little(value: int) -> bytes:
    return value.to_bytes(4, "little")
