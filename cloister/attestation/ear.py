"""A verdict as an EAT Attestation Result (EAR), the form in which other systems read what a verifier concluded.

Sources: draft-ietf-rats-ear-03, sections 3 and 3.1 (claims, names, CDDL), in the JSON serialisation; the values of the
trustworthiness vector are those of draft-ietf-rats-ar4si, "Specific Claims"; RFC 9711, section 4.1 (nonce).

``affirming`` is said of one thing only: a machine that a policy accepted, whose hardware keeps its memory from its
host, by a vendor's own root, on evidence that was made over the caller's nonce, as of the time of the EAR. Whatever
lacks one of these carries no claim in the affirming tier: raw evidence and recordings, because they may be old;
``local``, because its host reads its memory; simulated roots, because anyone can make them; a verdict as of another
time, because keys may have been revoked since; and every rejection.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cloister.attestation.raw.verdict import RawVerdict
from cloister.attestation.result.checkinfo import FailureKind
from cloister.attestation.result.verdict import Check, CheckOutcome, Verdict
from cloister.attestation.x509.roots import SIMULATED

PROFILE = "tag:ietf.org,2026:rats/ear#03"
"""The ``eat_profile`` of every EAR that the draft defines."""

DEVELOPER = "Cloister"

AFFIRMING, CONTRAINDICATED, NONE = "affirming", "contraindicated", "none"
"""Trustworthiness tiers (AR4SI, "Enumeration Encoding"). A policy accepts or rejects, so nothing is only a warning."""

_NO_CLAIM, _CRYPTO_FAILED = 0, 99
_INSTANCE, _CONFIGURATION, _EXECUTABLES, _HARDWARE, _MEMORY = (
    "instance-identity",
    "configuration",
    "executables",
    "hardware",
    "runtime-opaque",
)

# AR4SI, "Specific Claims": recognised hardware, configuration and boot; memory that is encrypted for the guest alone.
_AFFIRMED = {_CONFIGURATION: 2, _EXECUTABLES: 3, _HARDWARE: 2, _MEMORY: 2}
_RECOGNISED = 2
_LONGEST = timedelta(minutes=5)
"""From a verdict to its EAR, which says that it is of now."""

_INSTANCE_CHECKS = ("snp-instance", "tdx-platform-instance", "azure-machine", "gcp-instance")
"""Checks that recognise one machine; without one that passed, the machine's identity carries no claim."""

_VISIBLE, _UNRECOGNISED_HARDWARE = 96, 97
_OF_FAILURE: Mapping[FailureKind, tuple[str, int]] = {
    FailureKind.PLATFORM: (_HARDWARE, _UNRECOGNISED_HARDWARE),
    FailureKind.SIGNATURE: (_HARDWARE, _CRYPTO_FAILED),
    FailureKind.REVOKED: (_INSTANCE, 96),  # its key shows a device that is not trustworthy
    FailureKind.DEBUG: (_MEMORY, _VISIBLE),
    FailureKind.BINDING: (_INSTANCE, 97),  # not the one that was asked
    FailureKind.MEASUREMENT: (_EXECUTABLES, 33),  # not recognised
    FailureKind.IDENTITY: (_INSTANCE, 97),
    FailureKind.OUTDATED: (_HARDWARE, 32),  # genuine, with known vulnerabilities
    FailureKind.SETTING: (_CONFIGURATION, 96),
    FailureKind.CHOICE: (_CONFIGURATION, 96),
    FailureKind.COLLATERAL: (_HARDWARE, _NO_CLAIM),  # what there is allows no conclusion
}


def ear_claims(verdict: Verdict | RawVerdict, *, issued: datetime, build: str) -> dict[str, Any]:
    """The claims of an EAR about ``verdict``, to be signed as a JWT.

    ``issued`` is the time of the EAR, aware; ``build`` names the verifier and its key. The platform is the label of the
    one appraisal; its policy is named by digest (RFC 6920, ``nih``). ``eat_nonce`` is the caller's nonce that the
    evidence was made over; it is absent where no check has shown that, and where the verdict is not as of now. ``exp``
    is when the first collateral that the verdict relied on expires; absent if none does, or one has. Certificates
    inside a quote are not counted.
    """
    nonce = shown_nonce(verdict) if timedelta(0) <= issued - verdict.at <= _LONGEST else None
    fresh = {"eat_nonce": base64.b64encode(nonce).decode()} if nonce else {}
    status, vector = appraise(verdict, fresh=nonce is not None)
    expires = min((one.until for one in verdict.used if one.until is not None), default=None)
    return {
        "eat_profile": PROFILE,
        "iat": int(issued.timestamp()),
        **({"exp": int(expires.timestamp())} if expires is not None and expires > issued else {}),
        "ear_verifier_id": {"developer": DEVELOPER, "build": build},
        "ear_status": status,
        "submods": {
            verdict.platform: {
                "ear_status": status,
                "ear_trustworthiness_vector": vector,
                "ear_appraisal_policy_ids": [f"nih:sha-256;{verdict.policy.hex()}"],
                **fresh,
            }
        },
        **fresh,
    }


def shown_nonce(verdict: Verdict | RawVerdict) -> bytes | None:
    """The caller's nonce that the evidence of a session was made over; None if nothing shows that it is fresh."""
    if not isinstance(verdict, Verdict) or verdict.recording:
        return None
    return next((bytes.fromhex(check.found) for check in verdict.checks if _passed(check, ("session-nonce",))), None)


def appraise(verdict: Verdict | RawVerdict, *, fresh: bool) -> tuple[str, dict[str, int]]:
    """The tier of a verdict, and its trustworthiness vector. The tier is never above the worst claim of the vector.

    ``fresh``: it is shown that the evidence was made for the caller, and the verdict is of now.
    """
    simulated = verdict.identity_root == SIMULATED
    if isinstance(verdict, Verdict) and verdict.accepted and verdict.confidential and fresh and not simulated:
        recognised = any(_passed(check, _INSTANCE_CHECKS) for check in verdict.checks)
        return AFFIRMING, {_INSTANCE: _RECOGNISED if recognised else _NO_CLAIM, **_AFFIRMED}
    vector = dict.fromkeys((_INSTANCE, *_AFFIRMED), _NO_CLAIM)
    for name, value in _against(verdict.failures):
        vector[name] = max(vector[name], value)
    if isinstance(verdict, Verdict) and verdict.accepted and not verdict.confidential:
        vector[_MEMORY] = _VISIBLE
    if simulated:
        vector[_HARDWARE] = max(vector[_HARDWARE], _UNRECOGNISED_HARDWARE)
    return CONTRAINDICATED if any(vector.values()) else NONE, vector


def _against(failures: Sequence[Check]) -> list[tuple[str, int]]:
    """The claims that failed checks make."""
    return [_OF_FAILURE[check.failure.kind] if check.failure else (_HARDWARE, _CRYPTO_FAILED) for check in failures]


def _passed(check: Check, names: Sequence[str]) -> bool:
    return check.name in names and check.outcome is CheckOutcome.PASSED
