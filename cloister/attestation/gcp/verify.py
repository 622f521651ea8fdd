"""Verify Google's launch endorsement: Google signed for the measurements in it."""

from collections.abc import Sequence
from datetime import datetime

from cloister.attestation.gcp.checks import WITHOUT_ENDORSEMENT
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.x509.certificate import Certificate, find_path, issuers_among
from cloister.protocol import canonical


def check_endorsement(
    checks: Recorder,
    endorsement: LaunchEndorsement | None,
    certificates: Sequence[Certificate],
    section: GcpPolicy,
    at: datetime,
) -> dict[str, str]:
    """Google's root vouches for the key that signed the endorsement. Returns claims about the firmware.

    ``certificates`` are those of the collateral; the endorsement may have issuers of its own.
    """
    if endorsement is None:
        checks.fail("gcp-endorsement-path", "a launch endorsement", "none", WITHOUT_ENDORSEMENT)
        return {}
    checks.use(endorsement)
    anchor, leaf = section.endorsement_root_spki_sha256, endorsement.certificate
    issuers = issuers_among(leaf, certificates, endorsement.issuers)
    path, why = find_path(leaf, (*endorsement.issuers, *issuers), anchor)
    wanted = f"a path to the authority with the key {anchor.hex()}"
    checks.record("gcp-endorsement-path", path is not None, wanted, why or "found")
    if path is None:
        checks.not_applicable("gcp-endorsement-validity", "there is no path whose certificates could be checked")
    else:
        worst = next((one for one in path if not one.valid_at(at)), leaf)
        period = f"valid from {canonical.to_time(worst.not_before)} to {canonical.to_time(worst.not_after)}"
        checks.record("gcp-endorsement-validity", worst.valid_at(at), f"valid at {canonical.to_time(at)}", period)
    signed = endorsement.signed()
    found = "valid" if signed else "not valid"
    checks.record("gcp-endorsement-signature", signed, "valid under the endorsement's certificate", found)
    return {"firmware_build": endorsement.build, "firmware_sha384": endorsement.digest.hex()}
