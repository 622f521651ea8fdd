"""A simulated TD: started by a host, booted and measured. Change a field to cause a rejection."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.tdx.policy import TdxPolicy, TdxReference
from cloister.attestation.tdx.quote import TdReport
from cloister.attestation.testkit.attester import Attester
from cloister.attestation.testkit.event_log import BootEvent
from cloister.attestation.testkit.intel import Intel
from cloister.attestation.tpm.ccel import ALG_SHA384, SHA384_SIZE, Ccel
from cloister.attestation.tpm.eventlog import EV_NO_ACTION

_PCRS = {index: hashlib.sha256(bytes([index])).digest() for index in (4, 9, 11)}

CC_EVENTS = (
    BootEvent(1, 0x8000000B, b"configuration of the firmware"),
    BootEvent(0xFFFFFFFF, EV_NO_ACTION, b"something that belongs to no register"),
    BootEvent(1, 0x4, bytes(4)),
    BootEvent(2, 0x80000003, b"kernel image"),
    BootEvent(3, 0xD, b"initrd"),
    BootEvent(3, 0xD, b"command line"),
)
"""A short boot of a TD; the registers of events are 1 to 4 for RTMR 0 to 3."""


@dataclass(frozen=True, kw_only=True)
class Td(Attester):
    """A TD on a platform of ``intel``."""

    intel: Intel
    boot_events: tuple[BootEvent, ...] = CC_EVENTS

    @classmethod
    def create(cls, at: datetime, *, manifest_digest: bytes | None = None) -> Self:
        """On a new platform of a new Intel."""
        return cls(intel=Intel.create(at), manifest_digest=manifest_digest)

    def report(self, report_data: bytes, **changes: Any) -> TdReport:
        """The TD report, 1.5 unless ``changes`` set its last two members to None."""
        rtmrs = Ccel.parse(encode_ccel(self.boot_events)).replay()
        members: dict[str, Any] = {
            "tee_tcb_svn": bytes([5, 1, 3, *[0] * 13]),
            "mr_seam": b"m" * 48,
            "mr_signer_seam": bytes(48),
            "seam_attributes": bytes(8),
            "td_attributes": bytes.fromhex("0000001000000000"),
            "xfam": bytes.fromhex("e702060000000000"),
            "mr_td": hashlib.sha384(b"firmware").digest(),
            "mr_config_id": hashlib.sha384(self.boot_configuration.encode()).digest(),
            "mr_owner": bytes(48),
            "mr_owner_config": bytes(48),
            **{f"rtmr{index}": value for index, value in enumerate(rtmrs)},
            "report_data": report_data,
            "tee_tcb_svn2": bytes([5, 1, 3, *[0] * 13]),
            "mr_service_td": bytes(48),
        }
        return TdReport(**(members | changes))

    def image(self, flavor: str = "base", *, debug: bool = False) -> ImageReference:
        """The reference values of the image that this TD booted."""
        report = self.report(bytes(64))
        reference = TdxReference((report.mr_td,), {1: report.rtmr1, 2: report.rtmr2})
        return ImageReference(flavor, debug, hashlib.sha256(flavor.encode()).digest(), _PCRS, tdx=reference)

    def policy(self, **changes: Any) -> Policy:
        """A policy that accepts this TD; ``changes`` replace members of it."""
        policy = Policy(
            platforms=(Platform.TDX,),
            images=(self.image(),),
            boot_configuration=self.configuration_policy(),
            tdx=TdxPolicy(),
        )
        return dataclasses.replace(policy, **changes)

    def evidence(
        self,
        binding: SessionBinding | ReceiptBinding,
        changes: Mapping[str, Any] | None = None,
        *,
        qe_report: Mapping[str, bytes] | None = None,
    ) -> Evidence:
        """Evidence for any binding. ``changes`` replace members of the TD report, ``qe_report`` of the enclave's."""
        evidence = self.statement(Platform.TDX, binding, ccel=encode_ccel(self.boot_events))
        report = self.report(**({"report_data": evidence.report_data()} | dict(changes or {})))
        return dataclasses.replace(evidence, tdx_quote=self.intel.quote(report, qe_report=qe_report))


def encode_ccel(events: Iterable[BootEvent], *, size: int = 4096) -> bytes:
    """The log as firmware leaves it, in an area of ``size`` bytes; what is extended is the SHA-384 of the data."""
    sizes = _little(ALG_SHA384, 2) + _little(SHA384_SIZE, 2)
    spec = b"Spec ID Event03\0" + bytes(4) + bytes([0, 2, 0, 2]) + _little(1, 4) + sizes + b"\0"
    log = _little(1, 4) + _little(EV_NO_ACTION, 4) + bytes(20) + _little(len(spec), 4) + spec
    for event in events:
        log += _little(event.pcr, 4) + _little(event.kind, 4) + _little(1, 4) + _little(ALG_SHA384, 2)
        log += hashlib.sha384(event.data).digest() + _little(len(event.data), 4) + event.data
    return log.ljust(size, b"\xff")


def _little(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")
