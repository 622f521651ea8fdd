"""A whole machine on SEV-SNP, launched by its host without a paravisor. Change a field to see what refuses it."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.attestation import runtimelog
from cloister.attestation.evidence import CRL, CollateralItem, Evidence, Platform, ReceiptBinding, SessionBinding
from cloister.attestation.policy import ConfigurationPolicy, ImageReference, Policy
from cloister.attestation.snp.policy import KINDS, SnpPolicy
from cloister.attestation.testkit.amd import Processor
from cloister.protocol import transcript
from cloister.protocol.bootconfig import BootConfiguration

LAUNCH_DIGEST = hashlib.sha384(b"firmware, kernel, initrd, command line").digest()
"""The launch digest of the image that the machine booted."""


@dataclass(frozen=True)
class SnpMachine:
    """``event_log_key`` is a SubjectPublicKeyInfo; ``fields`` replace members of the report before it is signed.

    ``crls`` are the revocation lists (DER) that the evidence carries.
    """

    processor: Processor
    boot_configuration: BootConfiguration
    event_log_key: bytes
    crls: tuple[bytes, ...]
    manifest_digest: bytes | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def create(cls, processor: Processor, *, manifest_digest: bytes | None = None) -> Self:
        """A machine named ``main`` of the workspace ``trial`` with one owner."""
        return cls(
            processor=processor,
            boot_configuration=BootConfiguration("trial", "main", (hashlib.sha256(b"owner").hexdigest(),)),
            event_log_key=transcript.spki_of(ed25519.Ed25519PrivateKey.generate().public_key()),
            crls=(processor.amd.crl(),),
            manifest_digest=manifest_digest,
        )

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
        section = SnpPolicy({processor.amd.line: dict.fromkeys(KINDS, processor.tcb)})
        return dataclasses.replace(section, **changes)

    def policy(self, **changes: Any) -> Policy:
        """A policy that accepts this machine; ``changes`` replace members of it."""
        configuration = self.boot_configuration
        policy = Policy(
            platforms=(Platform.SEV_SNP,),
            images=(self.image(),),
            boot_configuration=ConfigurationPolicy(configuration.workspace, (configuration.cvm,), configuration.owners),
            snp=self.section(),
        )
        return dataclasses.replace(policy, **changes)

    def runtime_log(self) -> tuple[runtimelog.Measurement, ...]:
        """What the agent lists; there is no register that it could measure it into."""
        entries = [
            runtimelog.Measurement(runtimelog.Kind.BOOT_CONFIGURATION, self.boot_configuration.digest()),
            runtimelog.Measurement(runtimelog.Kind.AGENT, hashlib.sha256(self.event_log_key).digest()),
        ]
        if self.manifest_digest is not None:
            entries.append(runtimelog.Measurement(runtimelog.Kind.MANIFEST, self.manifest_digest))
        return tuple(entries)

    def session(self, *, nonce: bytes, tls_key_digest: bytes, hpke_key_digest: bytes) -> Evidence:
        """Evidence for the opening of a session; all arguments 32 bytes."""
        return self.evidence(SessionBinding(nonce, tls_key_digest, hpke_key_digest, self.manifest_digest))

    def receipt(self, *, payload_digest: bytes, log_head: bytes) -> Evidence:
        """Evidence for a receipt of the machine's manifest; all arguments 32 bytes."""
        manifest = self.manifest_digest or hashlib.sha256(b"manifest").digest()
        return self.evidence(ReceiptBinding(payload_digest, manifest, log_head))

    def evidence(self, binding: SessionBinding | ReceiptBinding) -> Evidence:
        """Evidence for any binding."""
        return self.reported(
            Evidence(
                platform=Platform.SEV_SNP,
                binding=binding,
                event_log_key=self.event_log_key,
                boot_configuration=self.boot_configuration.encode(),
                runtime_log=self.runtime_log(),
                snp_certificates=self.processor.table(),
                collateral=tuple(CollateralItem(CRL, one) for one in self.crls),
            )
        )

    def reported(self, evidence: Evidence) -> Evidence:
        """``evidence`` with a fresh report over what it says now."""
        fields = {
            "report_data": evidence.report_data(),
            "host_data": evidence.boot_configuration_digest(),
            "measurement": LAUNCH_DIGEST,
            **self.fields,
        }
        return dataclasses.replace(evidence, snp_report=self.processor.report(**fields))
