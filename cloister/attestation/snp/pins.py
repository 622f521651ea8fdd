"""Pins of a policy for raw evidence in its section ``snp``: what a report must show of the guest.

A pin that is omitted is not checked, and the verdict shows the value; VMPL is 0 unless the policy pins another. Source:
AMD publication 56860, table 23 (ATTESTATION_REPORT); the ID block is section 8.17.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cloister.attestation.errors import PolicyError
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.snp.policy import VMPL
from cloister.attestation.snp.report import SnpReport

MEMBERS = ("launch_digests", "host_data", "family_id", "image_id", "vmpl")
"""The members of the section that are pins of this module; the others are ``SnpPolicy``'s."""


@dataclass(frozen=True)
class SnpPins:
    """What a report must show; None pins nothing.

    launch_digests: accepted values of MEASUREMENT (48 bytes).
    host_data: HOST_DATA (32 bytes).
    family_id, image_id: FAMILY_ID and IMAGE_ID of the ID block (16 bytes).
    vmpl: the privilege level that requested the report.
    """

    launch_digests: tuple[bytes, ...] | None = None
    host_data: bytes | None = None
    family_id: bytes | None = None
    image_id: bytes | None = None
    vmpl: int = VMPL

    def __post_init__(self) -> None:
        """Raises PolicyError for an empty list, which must not count as none, and for zeros as a name in the ID block,
        which a report has without one.
        """
        if self.launch_digests is not None and not self.launch_digests:
            raise PolicyError("The policy's snp.launch_digests is empty.", hint="Omit it to pin no launch digest.")
        for name in ("family_id", "image_id"):
            value = getattr(self, name)
            if value is not None and not any(value):
                raise PolicyError(
                    f"The policy's snp.{name} is zero, which a report shows if the guest has no ID block.",
                    hint=f"Omit {name} to accept guests without one.",
                )

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Self:
        """From the section's JSON value, which has passed the schema. Raises PolicyError."""

        def pinned(name: str) -> bytes | None:
            return bytes.fromhex(value[name]) if name in value else None

        listed = value.get("launch_digests")
        return cls(
            launch_digests=tuple(bytes.fromhex(text) for text in listed) if listed is not None else None,
            host_data=pinned("host_data"),
            family_id=pinned("family_id"),
            image_id=pinned("image_id"),
            vmpl=value.get("vmpl", VMPL),
        )

    def value(self) -> dict[str, Any]:
        """The members of the section's JSON value; what is not pinned is omitted."""
        texts = {name: getattr(self, name) for name in ("host_data", "family_id", "image_id")}
        digests = self.launch_digests
        return {
            **({} if digests is None else {"launch_digests": [one.hex() for one in digests]}),
            **{name: value.hex() for name, value in texts.items() if value is not None},
            "vmpl": self.vmpl,
        }


def check_pins(checks: Recorder, report: SnpReport, pins: SnpPins) -> None:
    """The report shows what the policy pins. VMPL is checked with the rest of the guest (``policy.check_guest``)."""
    if pins.launch_digests is not None:
        checks.one_of("snp-launch-digest", pins.launch_digests, report.measurement)
    else:
        checks.not_applicable("snp-launch-digest", "the policy pins no launch digest", report.measurement.hex())
    for name, wanted, found in (
        ("snp-host-data", pins.host_data, report.host_data),
        ("snp-family-id", pins.family_id, report.family_id),
        ("snp-image-id", pins.image_id, report.image_id),
    ):
        if wanted is None:
            checks.not_applicable(name, "the policy pins no value", found.hex())
        else:
            checks.equal(name, wanted, found)
