"""What a report says of guest, host and firmware, against what a policy demands of them."""

from cloister.attestation.result import Recorder
from cloister.attestation.snp.policy import KINDS, SnpPolicy
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.snp.report import PlatformBit, PolicyBit, Report

VMPL = 0
"""The privilege level of the image that is attested: nothing else runs beside it that could ask for its report."""


def check_guest(checks: Recorder, report: Report, section: SnpPolicy) -> None:
    """What the guest was launched as: level, rights, version, and who signed its identity block."""
    checks.record("snp-vmpl", report.vmpl == VMPL, str(VMPL), str(report.vmpl))
    bits = report.policy_bits()
    for name, bit in (("snp-debug", PolicyBit.DEBUG), ("snp-migration", PolicyBit.MIGRATE_MA)):
        checks.record(name, bit not in bits, f"{bit.name} clear", f"{bit.name} {'set' if bit in bits else 'clear'}")

    allowed = {PolicyBit.SMT: section.allow_smt, PolicyBit.CXL_ALLOW: section.allow_cxl}
    forbidden = [bit for bit, allow in allowed.items() if not allow]
    passed = not bits.intersection(forbidden) and bits.issuperset(section.require_guest_policy)
    checks.record(
        "snp-guest-policy", passed, _demand(forbidden, section.require_guest_policy), _names(bits) or "no bit set"
    )
    checks.record("snp-abi", report.abi >= section.minimum_abi, _least(section.minimum_abi), _dotted(report.abi))
    least = section.minimum_guest_svn
    checks.record("snp-guest-svn", report.guest_svn >= least, f"at least {least}", str(report.guest_svn))

    keys = (
        ("snp-id-key", section.id_key_digests, report.id_key_digest, True),
        ("snp-author-key", section.author_key_digests, report.author_key_digest, report.has_author_key),
    )
    for name, digests, digest, present in keys:
        if digests:
            wanted = " or ".join(one.hex() for one in digests)
            checks.record(name, present and digest in digests, wanted, digest.hex() if present else "absent")
        else:
            checks.not_applicable(name, "the policy names no key", digest.hex())


def check_platform(checks: Recorder, report: Report, section: SnpPolicy) -> None:
    """How the host is set up. A bit that has no meaning here may mean anything, so it is refused."""
    bits = report.platform_bits()
    allowed = {PlatformBit.SMT_EN: section.allow_smt, PlatformBit.TIO_EN: section.allow_tio}
    forbidden = [bit for bit, allow in allowed.items() if not allow]
    unknown = report.unknown_platform_bits()
    passed = not unknown and not bits.intersection(forbidden) and bits.issuperset(section.require_platform_info)
    found = _names(bits) or "no bit set"
    if unknown:
        found += f", and {unknown:#x}, which is not known"
    checks.record("snp-platform-info", passed, _demand(forbidden, section.require_platform_info), found)


def check_tcb(checks: Recorder, report: Report, line: ProductLine | None, section: SnpPolicy) -> None:
    """Every TCB version is new enough, and they are in the order that SNP_COMMIT and SNP_SET_CONFIG keep."""
    minimum = section.minimum_tcb.get(line) if line else None
    versions = report.tcb_versions(line) if line else {}
    for kind in KINDS:
        name = f"snp-tcb-{kind}"
        if minimum is None or kind not in versions:
            checks.not_applicable(name, "the policy has no minimum for this product")
        else:
            passed = not versions[kind].below(minimum[kind])
            checks.record(name, passed, f"at least {minimum[kind]}", str(versions[kind]))
    if versions:
        # The host may report less than what is committed, and run newer firmware on trial; never the reverse.
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


def _names(bits: frozenset[PolicyBit] | frozenset[PlatformBit]) -> str:
    return ", ".join(bit.name for bit in sorted(bits))


def _demand(
    forbidden: list[PolicyBit] | list[PlatformBit], required: tuple[PolicyBit, ...] | tuple[PlatformBit, ...]
) -> str:
    parts = [f"{bit.name} clear" for bit in forbidden] + [f"{bit.name} set" for bit in required]
    return ", ".join(parts) or "any"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _least(version: tuple[int, ...]) -> str:
    return f"at least {_dotted(version)}"
