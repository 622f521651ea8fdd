"""The parts of every simulated machine: boot configuration, an agent with its key, the agent's measurements."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.policy.policy import ConfigurationPolicy
from cloister.attestation.tpm import runtimelog
from cloister.protocol import signingkey
from cloister.protocol.bootconfig import BootConfiguration

_CONFIGURATION = BootConfiguration("trial", "main", (hashlib.sha256(b"owner").hexdigest(),))


def new_event_log_key() -> bytes:
    """The SubjectPublicKeyInfo of an agent's new key."""
    return signingkey.spki_of(ed25519.Ed25519PrivateKey.generate().public_key())


@dataclass(frozen=True, kw_only=True)
class Attester(ABC):
    """A simulated machine; by default named ``main``, of the workspace ``trial``, with one owner.

    ``event_log_key`` is a SubjectPublicKeyInfo.
    """

    boot_configuration: BootConfiguration = _CONFIGURATION
    event_log_key: bytes = field(default_factory=new_event_log_key)
    manifest_digest: bytes | None = None

    def runtime_log(self) -> tuple[runtimelog.Measurement, ...]:
        """Return the agent's measurements, also those that it only lists on a platform without a register for them."""
        entries = [
            runtimelog.Measurement(runtimelog.MeasurementKind.BOOT_CONFIGURATION, self.boot_configuration.digest()),
            runtimelog.Measurement(runtimelog.MeasurementKind.AGENT, hashlib.sha256(self.event_log_key).digest()),
        ]
        if self.manifest_digest is not None:
            entries.append(runtimelog.Measurement(runtimelog.MeasurementKind.MANIFEST, self.manifest_digest))
        return tuple(entries)

    def configuration_policy(self) -> ConfigurationPolicy:
        """A policy section that accepts this machine's boot configuration."""
        configuration = self.boot_configuration
        return ConfigurationPolicy(configuration.workspace, (configuration.cvm,), configuration.owners)

    def session(self, *, nonce: bytes, tls_key_digest: bytes, hpke_key_digest: bytes) -> Evidence:
        """Evidence for the opening of a session; all arguments 32 bytes."""
        return self.evidence(SessionBinding(nonce, tls_key_digest, hpke_key_digest, self.manifest_digest))

    def receipt(self, *, payload_digest: bytes, log_head: bytes) -> Evidence:
        """Evidence for a receipt of the machine's manifest; all arguments 32 bytes."""
        manifest = self.manifest_digest or hashlib.sha256(b"manifest").digest()
        return self.evidence(ReceiptBinding(payload_digest, manifest, log_head))

    @abstractmethod
    def evidence(self, binding: SessionBinding | ReceiptBinding) -> Evidence:
        """Evidence for any binding."""

    def statement(self, platform: Platform, binding: SessionBinding | ReceiptBinding, **parts: Any) -> Evidence:
        """The evidence with those ``parts`` of the platform that need no signature."""
        return Evidence(
            platform=platform,
            binding=binding,
            event_log_key=self.event_log_key,
            boot_configuration=self.boot_configuration.encode(),
            runtime_log=self.runtime_log(),
            **parts,
        )
