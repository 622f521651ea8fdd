"""The firmware that a machine at Google started with: whether Google signed for its measurement."""

from collections.abc import Collection

from cloister.attestation.evidence import CERTIFICATE, LAUNCH_ENDORSEMENT
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.platforms.appraisal import Case
from cloister.attestation.result import Recorder
from cloister.attestation.x509 import x509
from cloister.protocol import canonical

_MAX_ENDORSEMENTS = 16


def endorsements(case: Case) -> list[LaunchEndorsement]:
    """All that came: the evidence's own part, then collateral."""
    own = () if case.evidence.launch_endorsement is None else (case.evidence.launch_endorsement,)
    found = [*own, *case.items(LAUNCH_ENDORSEMENT)]
    return [LaunchEndorsement.parse(data) for data in found[:_MAX_ENDORSEMENTS]]


def check_endorsement(case: Case, endorsement: LaunchEndorsement | None, section: GcpPolicy) -> dict[str, str]:
    """Google's root vouches for the key that signed the endorsement. Returns what it says of the firmware."""
    checks = case.checks
    if endorsement is None:
        checks.record("gcp-endorsement-path", False, "a launch endorsement", "none")
        return {}
    anchor, leaf = section.endorsement_root_spki_sha256, endorsement.certificate
    issuers = x509.issuers_among(leaf, case.items(CERTIFICATE), endorsement.issuers)
    path, why = x509.find_path(leaf, (*endorsement.issuers, *issuers), anchor)
    wanted = f"a path to the authority with the key {anchor.hex()}"
    checks.record("gcp-endorsement-path", path is not None, wanted, why or "found")
    if path is None:
        checks.not_applicable("gcp-endorsement-validity", "there is no path whose certificates could be judged")
    else:
        worst = next((one for one in path if not one.valid_at(case.at)), leaf)
        period = f"valid from {canonical.to_time(worst.not_before)} to {canonical.to_time(worst.not_after)}"
        at = f"valid at {canonical.to_time(case.at)}"
        checks.record("gcp-endorsement-validity", worst.valid_at(case.at), at, period)
    signed = endorsement.signed()
    found = "valid" if signed else "not valid"
    checks.record("gcp-endorsement-signature", signed, "valid under the endorsement's certificate", found)
    return {"firmware_build": endorsement.build, "firmware_sha384": endorsement.digest.hex()}


def check_measurement(checks: Recorder, name: str, found: bytes, endorsed: Collection[bytes]) -> None:
    """The measurement is one that Google endorses."""
    wanted = f"one of the {len(endorsed)} measurements that Google endorses"
    checks.record(name, found in endorsed, wanted, found.hex())


def check_svn(checks: Recorder, least: int, found: int | None) -> None:
    """The firmware's security version is not too old; ``found`` is None without an endorsement of the hardware."""
    passed = found is not None and found >= least
    checks.record("gcp-firmware-svn", passed, f"at least {least}", "none" if found is None else str(found))
