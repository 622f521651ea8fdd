"""What a party demands of SEV-SNP: the section ``snp`` of a policy, for every platform that stands on it.

What is left out is the strict choice. Some demands have no member: DEBUG and MIGRATE_MA must be clear, VMPL must be 0,
chip and TCB of a VCEK must be the report's, and TCB versions must be in the order that the firmware keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cloister.attestation.errors import PolicyError
from cloister.attestation.snp.products import COMPONENTS, ProductLine, TcbVersion
from cloister.attestation.snp.report import PlatformBit, PolicyBit

KINDS = ("reported", "committed", "launch", "current")
"""The TCB versions of a report: what the VCEK was derived from, what the firmware cannot be rolled back below, what
it was when the guest was launched, and what it is now."""

_REPORTED = KINDS[0]


@dataclass(frozen=True)
class SnpPolicy:
    """``minimum_tcb`` has, for each accepted product line, all of KINDS; a machine of another line is refused, and
    with none every machine.

    ``allow_smt``, ``allow_cxl`` and ``allow_tio`` accept what widens the ground for attacks; ``allow_vlek`` accepts
    reports signed by a cloud's key, which names no chip: of ``vlek_clouds`` only, so it needs one.
    ``require_guest_policy`` and ``require_platform_info`` are bits that must be set: those that narrow what the host
    may do, or tell of a protection. ``minimum_firmware`` (major, minor, build) is compared with the committed version.
    Empty ``id_key_digests`` and ``author_key_digests`` (SHA-384, 48 bytes) judge nothing.
    ``max_crl_age_days`` bounds the age of the revocation list, besides its own nextUpdate.
    """

    minimum_tcb: Mapping[ProductLine, Mapping[str, TcbVersion]]
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
        """Rules that the schema cannot say. Raises PolicyError."""
        if self.vlek_clouds and not self.allow_vlek:
            raise PolicyError("The policy's section snp names clouds in vlek_clouds and does not set allow_vlek.")
        if self.allow_vlek and not self.vlek_clouds:
            raise PolicyError(
                "The policy's section snp sets allow_vlek and names no cloud in vlek_clouds.",
                hint="Name the clouds whose keys count; a verdict calls the one that it found cloud.",
            )
        if any(not any(digest) for digest in (*self.id_key_digests, *self.author_key_digests)):
            raise PolicyError(
                "The policy's section snp names zeros as a key, which a report has when no key signed the guest.",
                hint="Leave id_key_digests and author_key_digests out to accept guests that nobody signed.",
            )
        for line, versions in self.minimum_tcb.items():
            wanted = {name for name in COMPONENTS[line] if name}
            for kind in KINDS:
                version = versions.get(kind)
                if version is None or set(version.components()) != wanted:
                    raise PolicyError(
                        f"The policy's snp.minimum_tcb.{line}.{kind} must have exactly {', '.join(sorted(wanted))}."
                    )

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Self:
        """From the JSON value, which its schema has been checked against. Raises PolicyError."""
        firmware = value.get("minimum_firmware")
        major, minor = value.get("minimum_abi", (0, 0))
        return cls(
            minimum_tcb={
                ProductLine(line): {kind: TcbVersion(**versions.get(kind, versions[_REPORTED])) for kind in KINDS}
                for line, versions in value["minimum_tcb"].items()
            },
            **{name: value[name] for name in ("allow_smt", "allow_cxl", "allow_tio", "allow_vlek") if name in value},
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
        """The JSON value, with every member that has a default written out."""
        value: dict[str, Any] = {
            "minimum_tcb": {
                line.value: {kind: versions[kind].components() for kind in KINDS}
                for line, versions in self.minimum_tcb.items()
            },
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
