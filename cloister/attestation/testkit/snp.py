"""A simulated SEV-SNP machine, launched by its host without a paravisor. Change a field to cause a rejection."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.collateral_source import CRL, CollateralItem
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.testkit.amd import Processor
from cloister.attestation.testkit.attester import Attester

LAUNCH_DIGEST = hashlib.sha384(b"firmware, kernel, initrd, command line").digest()
"""The launch digest of the image that the machine booted."""


@dataclass(frozen=True, kw_only=True)
class SnpMachine(Attester):
    """``fields`` replace members of the report before it is signed, ``crls`` are the lists (DER) in the evidence."""

    processor: Processor
    crls: tuple[bytes, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def create(cls, processor: Processor, *, manifest_digest: bytes | None = None) -> Self:
        """A machine on this processor."""
        return cls(processor=processor, crls=(processor.amd.crl(),), manifest_digest=manifest_digest)

    @classmethod
    def create_at(cls, at: datetime) -> Self:
        """A machine on a new Milan processor, certified as of ``at``."""
        return cls.create(Processor.create(at))

    def image(self, flavor: str = "base", *, debug: bool = False) -> ImageReference:
        """The reference values of the image that this machine booted."""
        unused = dict.fromkeys((4, 9, 11), hashlib.sha256(b"no vTPM").digest())
        return ImageReference(flavor, debug, hashlib.sha256(flavor.encode()).digest(), unused, (LAUNCH_DIGEST,))

    def section(self, **changes: Any) -> SnpPolicy:
        """A section ``snp`` that accepts this machine's processor; ``changes`` replace members of it."""
        processor = self.processor
        section = SnpPolicy({processor.amd.line: dict.fromkeys(TCB_KINDS, processor.tcb)})
        return dataclasses.replace(section, **changes)

    def policy(self, **changes: Any) -> Policy:
        """A policy that accepts this machine; ``changes`` replace members of it."""
        policy = Policy(
            platforms=(Platform.SEV_SNP,),
            images=(self.image(),),
            boot_configuration=self.configuration_policy(),
            snp=self.section(),
        )
        return dataclasses.replace(policy, **changes)

    def evidence(self, binding: SessionBinding | ReceiptBinding) -> Evidence:
        """Evidence for any binding."""
        lists = tuple(CollateralItem(CRL, one) for one in self.crls)
        table = self.processor.table()
        return self.reported(self.statement(Platform.SEV_SNP, binding, snp_certificates=table, collateral=lists))

    def reported(self, evidence: Evidence) -> Evidence:
        """``evidence`` with a new report over its report data."""
        fields = {
            "report_data": evidence.report_data(),
            "host_data": evidence.boot_configuration_digest(),
            "measurement": LAUNCH_DIGEST,
            **self.fields,
        }
        return dataclasses.replace(evidence, snp_report=self.processor.report(**fields))
