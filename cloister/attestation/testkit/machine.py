"""A whole local machine: booted, measured, certified, asked for evidence. Change a field to see what refuses it."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.attestation import runtimelog, tpm
from cloister.attestation.eventlog import EventLog
from cloister.attestation.evidence import Evidence, Platform, ReceiptBinding, SessionBinding, TpmQuote
from cloister.attestation.policy import ConfigurationPolicy, ImageReference, LocalPolicy, Policy
from cloister.attestation.testkit.authority import Authority
from cloister.attestation.testkit.firmware import (
    EV_EFI_BOOT_SERVICES_APPLICATION,
    EV_IPL,
    EV_SEPARATOR,
    BootEvent,
    encode_event_log,
)
from cloister.attestation.testkit.tpm import SoftwareTpm
from cloister.protocol import transcript
from cloister.protocol.bootconfig import BootConfiguration

BOOT_EVENTS = (
    BootEvent(0, 0x8, b"firmware"),
    BootEvent(7, 0x80000001, b"SecureBoot off"),
    *(BootEvent(pcr, EV_SEPARATOR, bytes(4)) for pcr in range(8)),
    BootEvent(4, EV_EFI_BOOT_SERVICES_APPLICATION, b"kernel image"),
    BootEvent(11, EV_IPL, b".linux"),
    BootEvent(9, EV_IPL, b"initrd"),
)
"""A short boot: firmware, separators, one kernel image."""


@dataclass(frozen=True)
class LocalMachine:
    """``event_log_key`` is a SubjectPublicKeyInfo; ``registers`` overrides what events and runtime log lead to."""

    authority: Authority
    tpm: SoftwareTpm
    certificate: bytes
    boot_configuration: BootConfiguration
    event_log_key: bytes
    manifest_digest: bytes | None = None
    boot_events: tuple[BootEvent, ...] = BOOT_EVENTS
    registers: Mapping[int, bytes] = field(default_factory=dict)

    @classmethod
    def create(cls, at: datetime, *, manifest_digest: bytes | None = None) -> Self:
        """A machine named ``main`` of the workspace ``trial`` with one owner, certified as of ``at``."""
        authority = Authority.create(at)
        software = SoftwareTpm.create()
        event_log_key = transcript.spki_of(ed25519.Ed25519PrivateKey.generate().public_key())
        return cls(
            authority=authority,
            tpm=software,
            certificate=authority.certify(software.key.public_key()),
            boot_configuration=BootConfiguration("trial", "main", (hashlib.sha256(b"owner").hexdigest(),)),
            event_log_key=event_log_key,
            manifest_digest=manifest_digest,
        )

    def runtime_log(self) -> tuple[runtimelog.Measurement, ...]:
        """What the agent measured."""
        entries = [
            runtimelog.Measurement(runtimelog.Kind.BOOT_CONFIGURATION, self.boot_configuration.digest()),
            runtimelog.Measurement(runtimelog.Kind.AGENT, hashlib.sha256(self.event_log_key).digest()),
        ]
        if self.manifest_digest is not None:
            entries.append(runtimelog.Measurement(runtimelog.Kind.MANIFEST, self.manifest_digest))
        return tuple(entries)

    def pcrs(self) -> tuple[bytes, ...]:
        """PCR 0 to 15."""
        values = EventLog.parse(encode_event_log(self.boot_events)).replay(tpm.QUOTED_PCRS)
        values[runtimelog.PCR] = runtimelog.replay(self.runtime_log())
        values.update(self.registers)
        return tuple(values[index] for index in tpm.QUOTED_PCRS)

    def image(self, flavor: str = "base", *, debug: bool = False) -> ImageReference:
        """The reference values of the image that this machine booted."""
        pcrs = self.pcrs()
        digest = hashlib.sha256(flavor.encode()).digest()
        return ImageReference(flavor, debug, digest, {index: pcrs[index] for index in (4, 9, 11)})

    def policy(self, **changes: Any) -> Policy:
        """A policy that accepts this machine; ``changes`` replace members of it."""
        configuration = self.boot_configuration
        policy = Policy(
            platforms=(Platform.LOCAL,),
            images=(self.image(),),
            boot_configuration=ConfigurationPolicy(configuration.workspace, (configuration.cvm,), configuration.owners),
            allow_local=True,
            local=LocalPolicy(self.authority.spki_sha256(), self.authority.certificate),
        )
        return dataclasses.replace(policy, **changes)

    def session(self, *, nonce: bytes, tls_key_digest: bytes, hpke_key_digest: bytes) -> Evidence:
        """Evidence for the opening of a session; all arguments 32 bytes."""
        return self.evidence(SessionBinding(nonce, tls_key_digest, hpke_key_digest, self.manifest_digest))

    def receipt(self, *, payload_digest: bytes, log_head: bytes) -> Evidence:
        """Evidence for a receipt of the machine's manifest; all arguments 32 bytes."""
        manifest = self.manifest_digest or hashlib.sha256(b"manifest").digest()
        return self.evidence(ReceiptBinding(payload_digest, manifest, log_head))

    def evidence(
        self, binding: SessionBinding | ReceiptBinding, attest_changes: Mapping[str, Any] | None = None
    ) -> Evidence:
        """Evidence for any binding. ``attest_changes`` replace members of the TPMS_ATTEST before it is signed."""
        parts: dict[str, Any] = {
            "platform": Platform.LOCAL,
            "binding": binding,
            "event_log_key": self.event_log_key,
            "boot_configuration": self.boot_configuration.encode(),
            "runtime_log": self.runtime_log(),
            "ak_certificates": (self.certificate,),
            "boot_event_log": encode_event_log(self.boot_events),
        }
        return self.quoted(Evidence(**parts), attest_changes)

    def quoted(self, evidence: Evidence, attest_changes: Mapping[str, Any] | None = None) -> Evidence:
        """``evidence`` with a fresh quote over what it says now."""
        pcrs = self.pcrs()
        attest = self.tpm.attest(pcrs, transcript.tpm_qualifying_data(evidence.report_data()))
        data = dataclasses.replace(attest, **(attest_changes or {})).marshal()
        quote = TpmQuote(data, self.tpm.sign(data), self.tpm.public().marshal(), pcrs)
        return dataclasses.replace(evidence, tpm_quote=quote)
