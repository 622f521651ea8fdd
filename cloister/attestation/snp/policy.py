"""The policy's section ``snp``: what a party demands of SEV-SNP, and the checks of a report against it.

For every platform with a SEV-SNP report. A member that is omitted has its strict value. Some demands have no member:
DEBUG and MIGRATE_MA must be clear, VMPL must be 0, chip and TCB of a VCEK must be the report's, and TCB versions must
be in the order that the firmware keeps.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self, TypeVar

from cloister.attestation.errors import PolicyError
from cloister.attestation.result.checkinfo import Failure
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.snp.checks import GUEST_CXL, GUEST_SMT, HOST_SMT, HOST_TIO, UNKNOWN_SETTING
from cloister.attestation.snp.products import COMPONENTS, ProductLine, TcbVersion
from cloister.attestation.snp.report import VERSIONS, PlatformBit, PolicyBit, SnpReport

TCB_KINDS = ("reported", "committed", "launch", "current")
"""The TCB versions of a report: the one that the VCEK was derived from, the oldest one that the firmware can be rolled
back to, the one at launch, and the one that runs now."""

_REPORTED = TCB_KINDS[0]

_Bit = TypeVar("_Bit", PolicyBit, PlatformBit)

_GUEST_CHOICES: Mapping[frozenset[PolicyBit], Failure] = {
    frozenset({PolicyBit.SMT}): GUEST_SMT,
    frozenset({PolicyBit.CXL_ALLOW}): GUEST_CXL,
}
"""The failure of a guest policy that differs from the party's policy in exactly these bits."""

_HOST_CHOICES: Mapping[frozenset[PlatformBit], Failure] = {
    frozenset({PlatformBit.SMT_EN}): HOST_SMT,
    frozenset({PlatformBit.TIO_EN}): HOST_TIO,
}
"""The same for PLATFORM_INFO."""

VMPL = 0
"""The privilege level of the attested image: no more privileged code in the guest can request its report."""


@dataclass(frozen=True)
class SnpPolicy:
    """What a SEV-SNP machine must be.

    minimum_tcb: for each accepted product line, the minimum of each of TCB_KINDS. A missing line is rejected.
    minimum_report_version: the least version of the report; 2 is the oldest one that exists.
    allow_smt: accept hosts with simultaneous multithreading.
    allow_cxl: accept guests that may have memory behind CXL.
    allow_tio: accept hosts with trusted I/O.
    allow_vlek: accept reports signed with a cloud's key, which names no chip; requires ``vlek_clouds``.
    require_crl: require a current revocation list.
    max_crl_age_days: maximum age of that list; None: only its own nextUpdate limits it.
    require_guest_policy: bits of the guest policy that must be set; empty requires none.
    require_platform_info: bits of PLATFORM_INFO that must be set; empty requires none.
    minimum_abi: the least firmware ABI (major, minor) that the guest policy must demand.
    minimum_firmware: the least committed firmware (major, minor, build); None accepts any.
    minimum_guest_svn: the least security version of the guest.
    id_key_digests: accepted identity keys (SHA-384, 48 bytes); empty skips the check.
    author_key_digests: accepted author keys (SHA-384, 48 bytes); empty skips the check.
    vlek_clouds: accepted clouds of a VLEK, by a name of ``clouds.names``: as AMD's certificates name them, or a region.
    """

    minimum_tcb: Mapping[ProductLine, Mapping[str, TcbVersion]]
    minimum_report_version: int = VERSIONS[0]
    allow_smt: bool = False
    allow_cxl: bool = False
    allow_tio: bool = False
    allow_vlek: bool = False
    require_crl: bool = True
    max_crl_age_days: int | None = None
    require_guest_policy: tuple[PolicyBit, ...] = ()
    require_platform_info: tuple[PlatformBit, ...] = ()
    minimum_abi: tuple[int, int] = (0, 0)
    minimum_firmware: tuple[int, int, int] | None = None
    minimum_guest_svn: int = 0
    id_key_digests: tuple[bytes, ...] = ()
    author_key_digests: tuple[bytes, ...] = ()
    vlek_clouds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Rules that the schema cannot express. Raises PolicyError."""
        minimum = {line: MappingProxyType(dict(versions)) for line, versions in self.minimum_tcb.items()}
        object.__setattr__(self, "minimum_tcb", MappingProxyType(minimum))
        if self.vlek_clouds and not self.allow_vlek:
            raise PolicyError("The policy's section snp names clouds in vlek_clouds and does not set allow_vlek.")
        if self.allow_vlek and not self.vlek_clouds:
            raise PolicyError(
                "The policy's section snp sets allow_vlek and names no cloud in vlek_clouds.",
                hint="Name the clouds whose keys you accept; a verdict shows the one that it found as cloud.",
            )
        if any(not any(digest) for digest in (*self.id_key_digests, *self.author_key_digests)):
            raise PolicyError(
                "The policy's section snp has zeros as a key digest, which a report has if no key signed the guest.",
                hint="Omit id_key_digests and author_key_digests to accept guests that no key signed.",
            )
        for line, versions in self.minimum_tcb.items():
            wanted = {name for name in COMPONENTS[line] if name}
            for kind in TCB_KINDS:
                version = versions.get(kind)
                if version is None or set(version.components()) != wanted:
                    raise PolicyError(
                        f"The policy's snp.minimum_tcb.{line}.{kind} must have exactly {', '.join(sorted(wanted))}."
                    )

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Self:
        """From the JSON value, which has passed the schema. Raises PolicyError."""
        firmware = value.get("minimum_firmware")
        major, minor = value.get("minimum_abi", (0, 0))
        return cls(
            minimum_tcb={
                ProductLine(line): {kind: TcbVersion(**versions.get(kind, versions[_REPORTED])) for kind in TCB_KINDS}
                for line, versions in value["minimum_tcb"].items()
            },
            **{name: value[name] for name in ("allow_smt", "allow_cxl", "allow_tio", "allow_vlek") if name in value},
            minimum_report_version=value.get("minimum_report_version", VERSIONS[0]),
            require_crl=value.get("require_crl", True),
            max_crl_age_days=value.get("max_crl_age_days"),
            require_guest_policy=tuple(PolicyBit[name.upper()] for name in value.get("require_guest_policy", ())),
            require_platform_info=tuple(PlatformBit[name.upper()] for name in value.get("require_platform_info", ())),
            minimum_abi=(major, minor),
            minimum_firmware=None if firmware is None else (firmware[0], firmware[1], firmware[2]),
            minimum_guest_svn=value.get("minimum_guest_svn", 0),
            id_key_digests=tuple(bytes.fromhex(digest) for digest in value.get("id_key_digests", ())),
            author_key_digests=tuple(bytes.fromhex(digest) for digest in value.get("author_key_digests", ())),
            vlek_clouds=tuple(value.get("vlek_clouds", ())),
        )

    def value(self) -> dict[str, Any]:
        """The JSON value, including members with default values."""
        value: dict[str, Any] = {
            "minimum_tcb": {
                line.value: {kind: versions[kind].components() for kind in TCB_KINDS}
                for line, versions in self.minimum_tcb.items()
            },
            "minimum_report_version": self.minimum_report_version,
            "allow_smt": self.allow_smt,
            "allow_cxl": self.allow_cxl,
            "allow_tio": self.allow_tio,
            "allow_vlek": self.allow_vlek,
            "require_crl": self.require_crl,
            "require_guest_policy": [bit.name.lower() for bit in self.require_guest_policy],
            "require_platform_info": [bit.name.lower() for bit in self.require_platform_info],
            "minimum_abi": list(self.minimum_abi),
            "minimum_guest_svn": self.minimum_guest_svn,
            "id_key_digests": [digest.hex() for digest in self.id_key_digests],
            "author_key_digests": [digest.hex() for digest in self.author_key_digests],
            "vlek_clouds": list(self.vlek_clouds),
        }
        if self.max_crl_age_days is not None:
            value["max_crl_age_days"] = self.max_crl_age_days
        if self.minimum_firmware is not None:
            value["minimum_firmware"] = list(self.minimum_firmware)
        return value


def check_guest(checks: Recorder, report: SnpReport, section: SnpPolicy, vmpl: int = VMPL) -> None:
    """Privilege level, rights and version of the guest, and who signed its identity block."""
    checks.record("snp-vmpl", report.vmpl == vmpl, str(vmpl), str(report.vmpl))
    bits = report.policy_bits()
    for name, bit in (("snp-debug", PolicyBit.DEBUG), ("snp-migration", PolicyBit.MIGRATE_MA)):
        checks.record(name, bit not in bits, f"{bit.name} clear", f"{bit.name} {'set' if bit in bits else 'clear'}")

    forbidden = _forbidden((PolicyBit.SMT, section.allow_smt), (PolicyBit.CXL_ALLOW, section.allow_cxl))
    broken = _broken(bits, forbidden, section.require_guest_policy)
    wanted, found = _demand(forbidden, tuple(section.require_guest_policy)), _names(bits) or "no bit set"
    checks.judge("snp-guest-policy", not broken, wanted, found, _GUEST_CHOICES.get(broken))
    checks.record("snp-abi", report.abi >= section.minimum_abi, _least(section.minimum_abi), _dotted(report.abi))
    least = section.minimum_guest_svn
    checks.record("snp-guest-svn", report.guest_svn >= least, f"at least {least}", str(report.guest_svn))

    keys = (
        ("snp-id-key", section.id_key_digests, report.id_key_digest, any(report.id_key_digest)),
        ("snp-author-key", section.author_key_digests, report.author_key_digest, report.has_author_key),
    )
    for name, digests, digest, present in keys:
        if digests:
            wanted = " or ".join(one.hex() for one in digests)
            checks.record(name, present and digest in digests, wanted, digest.hex() if present else "absent")
        else:
            checks.not_applicable(name, "the policy names no key", digest.hex())


def check_platform(checks: Recorder, report: SnpReport, section: SnpPolicy) -> None:
    """The settings of the host. An unknown bit may mean anything, so it is rejected."""
    bits = report.platform_bits()
    forbidden = _forbidden((PlatformBit.SMT_EN, section.allow_smt), (PlatformBit.TIO_EN, section.allow_tio))
    unknown = report.unknown_platform_bits()
    broken = _broken(bits, forbidden, section.require_platform_info)
    found = _names(bits) or "no bit set"
    if unknown:
        found += f", and {unknown:#x}, which is not known"
    wanted = _demand(forbidden, tuple(section.require_platform_info))
    failure = UNKNOWN_SETTING if unknown else _HOST_CHOICES.get(broken)
    checks.judge("snp-platform-info", not unknown and not broken, wanted, found, failure)


def check_tcb(checks: Recorder, report: SnpReport, line: ProductLine | None, section: SnpPolicy) -> None:
    """Every TCB version is new enough, and they are in the order that SNP_COMMIT and SNP_SET_CONFIG maintain."""
    minimum = section.minimum_tcb.get(line) if line else None
    versions = report.tcb_versions(line) if line else {}
    for kind in TCB_KINDS:
        name = f"snp-tcb-{kind}"
        if minimum is None or kind not in versions:
            checks.not_applicable(name, "the policy has no minimum for this product")
        else:
            passed = not versions[kind].below(minimum[kind])
            checks.record(name, passed, f"at least {minimum[kind]}", str(versions[kind]))
    if versions:
        # The host may report less than what is committed, and run newer firmware on trial, but never the reverse.
        ordered = not versions["committed"].below(versions["reported"]) and not versions["current"].below(
            versions["committed"]
        )
        ordered = ordered and report.committed_firmware <= report.current_firmware
        found = "; ".join(f"{kind} {versions[kind]}" for kind in ("reported", "committed", "current"))
        found += f"; firmware {_dotted(report.committed_firmware)} to {_dotted(report.current_firmware)}"
        checks.record("snp-tcb-order", ordered, "reported at most committed, committed at most current", found)
    else:
        checks.not_applicable("snp-tcb-order", "the layout of an unknown product is not known")
    least = section.minimum_firmware
    committed = report.committed_firmware
    if least is None:
        checks.not_applicable("snp-firmware", "the policy names no version", _dotted(committed))
    else:
        checks.record("snp-firmware", committed >= least, _least(least), _dotted(committed))


def _broken(bits: frozenset[_Bit], forbidden: Iterable[_Bit], required: Iterable[_Bit]) -> frozenset[_Bit]:
    """The bits that are set and must not be, and those that must be set and are not."""
    return bits.intersection(forbidden) | (frozenset(required) - bits)


@functools.lru_cache(maxsize=256)
def _names(bits: frozenset[PolicyBit] | frozenset[PlatformBit]) -> str:
    return ", ".join(bit.name for bit in sorted(bits))


def _forbidden(*allowed: tuple[_Bit, bool]) -> tuple[_Bit, ...]:
    return tuple(bit for bit, allow in allowed if not allow)


@functools.lru_cache(maxsize=256)  # the numbers of the two kinds of bits are different ones
def _demand(forbidden: tuple[PolicyBit | PlatformBit, ...], required: tuple[PolicyBit | PlatformBit, ...]) -> str:
    parts = [f"{bit.name} clear" for bit in forbidden] + [f"{bit.name} set" for bit in required]
    return ", ".join(parts) or "any"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _least(version: tuple[int, ...]) -> str:
    return f"at least {_dotted(version)}"
