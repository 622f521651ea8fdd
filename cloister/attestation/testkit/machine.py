"""A simulated machine with a TPM: booted and measured. Change a field to cause a rejection."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.evidence import Evidence, Platform, TpmQuote
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import LocalPolicy, Policy
from cloister.attestation.testkit.attester import Attester
from cloister.attestation.testkit.authority import Authority
from cloister.attestation.testkit.event_log import (
    EV_EFI_BOOT_SERVICES_APPLICATION,
    EV_IPL,
    EV_SEPARATOR,
    BootEvent,
    encode_event_log,
)
from cloister.attestation.testkit.tpm import RsaTpm, SoftwareTpm
from cloister.attestation.tpm import runtimelog
from cloister.attestation.tpm import structures as tpm
from cloister.attestation.tpm.eventlog import EventLog
from cloister.protocol import transcript

BOOT_EVENTS = (
    BootEvent(0, 0x8, b"firmware"),
    BootEvent(7, 0x80000001, b"SecureBoot off"),
    *(BootEvent(pcr, EV_SEPARATOR, bytes(4)) for pcr in range(8)),
    BootEvent(4, EV_EFI_BOOT_SERVICES_APPLICATION, b"kernel image"),
    BootEvent(11, EV_IPL, b".linux"),
    BootEvent(9, EV_IPL, b"initrd"),
)
"""A short boot: firmware, separators, one kernel image."""


@dataclass(frozen=True, kw_only=True)
class TpmMachine(Attester):
    """A machine with a TPM; ``registers`` override the values from events and runtime log."""

    tpm: SoftwareTpm | RsaTpm
    boot_events: tuple[BootEvent, ...] = BOOT_EVENTS
    registers: Mapping[int, bytes] = field(default_factory=dict)

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

    def evidence(
        self, binding: SessionBinding | ReceiptBinding, attest_changes: Mapping[str, Any] | None = None
    ) -> Evidence:
        """Evidence for any binding. ``attest_changes`` replace members of the TPMS_ATTEST before it is signed."""
        statement = self.statement(self.platform(), binding, boot_event_log=encode_event_log(self.boot_events))
        return self.quoted(self.complete(statement), attest_changes)

    def platform(self) -> Platform:
        """The platform that the evidence names."""
        raise NotImplementedError

    def complete(self, evidence: Evidence) -> Evidence:
        """``evidence`` with the parts that only this platform has."""
        raise NotImplementedError

    def quoted(self, evidence: Evidence, attest_changes: Mapping[str, Any] | None = None) -> Evidence:
        """``evidence`` with a new quote over its report data."""
        pcrs = self.pcrs()
        attest = self.tpm.attest(pcrs, transcript.tpm_qualifying_data(evidence.report_data()))
        data = dataclasses.replace(attest, **(attest_changes or {})).marshal()
        quote = TpmQuote(data, self.tpm.sign(data), self.tpm.public().marshal(), pcrs)
        return dataclasses.replace(evidence, tpm_quote=quote)


@dataclass(frozen=True, kw_only=True)
class LocalMachine(TpmMachine):
    """A machine of the platform ``local``; ``certificate`` is that of the TPM's key, by ``authority``."""

    authority: Authority
    tpm: SoftwareTpm
    certificate: bytes

    @classmethod
    def create(cls, at: datetime, *, manifest_digest: bytes | None = None) -> Self:
        """A machine certified as of ``at``."""
        authority = Authority.create(at)
        software = SoftwareTpm.create()
        certificate = authority.certify(software.key.public_key())
        return cls(authority=authority, tpm=software, certificate=certificate, manifest_digest=manifest_digest)

    def policy(self, **changes: Any) -> Policy:
        """A policy that accepts this machine; ``changes`` replace members of it."""
        policy = Policy(
            platforms=(Platform.LOCAL,),
            images=(self.image(),),
            boot_configuration=self.configuration_policy(),
            allow_local=True,
            local=LocalPolicy(self.authority.spki_sha256(), self.authority.certificate),
        )
        return dataclasses.replace(policy, **changes)

    def platform(self) -> Platform:
        """``local``."""
        return Platform.LOCAL

    def complete(self, evidence: Evidence) -> Evidence:
        """With the certificate of the TPM's key."""
        return dataclasses.replace(evidence, ak_certificates=(self.certificate,))
