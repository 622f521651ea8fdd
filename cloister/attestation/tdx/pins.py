"""Pins of a policy for raw evidence in its section ``tdx``: what a quote must show of the TD and its platform.

A pin that is omitted is not checked, and the verdict shows the value. A pin of a field that the TD report does not have
fails. Source: Intel TDX DCAP Quoting Library API, A.3.2 and A.4.4; FMSPC is in the PCK certificate's SGX extension.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from cloister.attestation.errors import PolicyError
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.tdx.quote import TdReport

MEMBERS = ("mrtds", "rtmrs", "mr_config_id", "fmspcs", "minimum_tee_tcb_svn", "minimum_tee_tcb_svn2")
"""The members of the section that are pins of this module; the others are ``TdxPolicy``'s."""

RTMRS = (0, 1, 2, 3)
SVN_SIZE = 16

_NONE = "the policy pins no value"


@dataclass(frozen=True)
class TdxPins:
    """What a quote must show; None pins nothing.

    mrtds: accepted values of MRTD (48 bytes).
    rtmrs: registers by number, 0 to 3 (48 bytes); those that are absent are not pinned.
    mr_config_id: MRCONFIGID (48 bytes).
    fmspcs: accepted kinds of platforms (6 bytes).
    minimum_tee_tcb_svn: the least of each of the 16 bytes of TEE_TCB_SVN: the TDX module at launch.
    minimum_tee_tcb_svn2: the same of TEE_TCB_SVN2: the TDX module that runs now. A TD report 1.0 does not have it.
    """

    mrtds: tuple[bytes, ...] | None = None
    rtmrs: Mapping[int, bytes] = field(default_factory=dict)
    mr_config_id: bytes | None = None
    fmspcs: tuple[bytes, ...] | None = None
    minimum_tee_tcb_svn: bytes | None = None
    minimum_tee_tcb_svn2: bytes | None = None

    def __post_init__(self) -> None:
        """Raises PolicyError for an empty list, which must not count as none, and for what no TD report has."""
        for name in ("mrtds", "fmspcs"):
            if getattr(self, name) == ():
                raise PolicyError(f"The policy's tdx.{name} is empty.", hint=f"Omit {name} to pin none.")
        if not set(self.rtmrs) <= set(RTMRS):
            raise PolicyError("The policy's tdx.rtmrs names an unknown register.", hint="There are RTMR 0 to 3.")
        for name in ("minimum_tee_tcb_svn", "minimum_tee_tcb_svn2"):
            least = getattr(self, name)
            if least is not None and len(least) != SVN_SIZE:
                raise PolicyError(
                    f"The policy's tdx.{name} has {len(least)} bytes.",
                    hint=f"Write all {SVN_SIZE} bytes, as a quote has them; 00 demands nothing of that byte.",
                )

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Self:
        """From the section's JSON value, which has passed the schema."""

        def pinned(name: str) -> bytes | None:
            return bytes.fromhex(value[name]) if name in value else None

        def lists(name: str) -> tuple[bytes, ...] | None:
            return tuple(bytes.fromhex(text) for text in value[name]) if name in value else None

        return cls(
            mrtds=lists("mrtds"),
            rtmrs={int(index): bytes.fromhex(text) for index, text in value.get("rtmrs", {}).items()},
            mr_config_id=pinned("mr_config_id"),
            fmspcs=lists("fmspcs"),
            minimum_tee_tcb_svn=pinned("minimum_tee_tcb_svn"),
            minimum_tee_tcb_svn2=pinned("minimum_tee_tcb_svn2"),
        )

    def value(self) -> dict[str, Any]:
        """The members of the section's JSON value; what is not pinned is omitted."""
        lists = {name: getattr(self, name) for name in ("mrtds", "fmspcs")}
        texts = {name: getattr(self, name) for name in ("mr_config_id", "minimum_tee_tcb_svn", "minimum_tee_tcb_svn2")}
        registers = {str(index): digest.hex() for index, digest in sorted(self.rtmrs.items())}
        return {
            **{name: [one.hex() for one in listed] for name, listed in lists.items() if listed is not None},
            **({"rtmrs": registers} if registers else {}),
            **{name: text.hex() for name, text in texts.items() if text is not None},
        }


def check_pins(checks: Recorder, report: TdReport, fmspc: bytes, pins: TdxPins) -> None:
    """TD and platform show what the policy pins. ``fmspc`` is that of the PCK certificate in the quote."""
    for name, accepted, found in (("tdx-mrtd", pins.mrtds, report.mr_td), ("tdx-fmspc", pins.fmspcs, fmspc)):
        if accepted is not None:
            checks.one_of(name, accepted, found)
        else:
            checks.not_applicable(name, _NONE, found.hex())
    for index in RTMRS:
        _check_equal(checks, f"tdx-rtmr-{index}", pins.rtmrs.get(index), report.rtmrs[index])
    _check_equal(checks, "tdx-mr-config-id", pins.mr_config_id, report.mr_config_id)
    _check_least(checks, "tdx-tee-tcb-svn", pins.minimum_tee_tcb_svn, report.tee_tcb_svn)
    _check_least(checks, "tdx-tee-tcb-svn2", pins.minimum_tee_tcb_svn2, report.tee_tcb_svn2)


def _check_equal(checks: Recorder, name: str, wanted: bytes | None, found: bytes) -> None:
    if wanted is None:
        checks.not_applicable(name, _NONE, found.hex())
    else:
        checks.equal(name, wanted, found)


def _check_least(checks: Recorder, name: str, least: bytes | None, found: bytes | None) -> None:
    """Every byte is at least the policy's. ``found`` is None if the TD report has no such field."""
    shown = found.hex() if found is not None else ""
    if least is None:
        checks.not_applicable(name, _NONE, shown)
        return
    enough = found is not None and all(one >= wanted for one, wanted in zip(found, least, strict=True))
    checks.record(name, enough, f"each byte at least that of {least.hex()}", shown or "absent in a TD report 1.0")
