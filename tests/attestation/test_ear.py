"""An EAR is affirming only for an accepted verdict on fresh evidence of confidential hardware under a vendor's root."""

import base64
import dataclasses
import datetime
from typing import Any

import pytest

from cloister.attestation import ear
from cloister.attestation.binding import SessionBinding
from cloister.attestation.checks import CHECKS
from cloister.attestation.collateral_source import InMemory
from cloister.attestation.raw.verdict import RawVerdict
from cloister.attestation.result.checkinfo import FailureKind
from cloister.attestation.result.verdict import Check, CheckOutcome, Verdict
from cloister.attestation.testkit import LocalMachine, SnpMachine
from cloister.attestation.verifier import RecordingPurpose, SessionPurpose, verify
from cloister.attestation.x509.roots import Anchor
from cloister.protocol import schema

AT = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
SESSION = SessionPurpose(BINDING.nonce, BINDING.tls_key_digest, BINDING.hpke_key_digest)
BUILD = f"cloister 1.0, key {'0f' * 32}"


@pytest.fixture(scope="module")
def machine() -> SnpMachine:
    return SnpMachine.create_at(AT)


@pytest.fixture(scope="module")
def accepted(machine: SnpMachine) -> Verdict:
    """An accepted verdict of a session, as a vendor's own root would give it."""
    anchor = machine.processor.amd.anchor()
    real: tuple[Anchor, ...] = (dataclasses.replace(anchor, simulated=False),)
    found = verify(
        machine.evidence(BINDING), machine.policy(), purpose=SESSION, at=AT, collateral=InMemory(), roots=real
    )
    assert found.accepted and found.confidential and found.identity_root == "amd"
    return found


def claims(verdict: Verdict | RawVerdict) -> dict[str, Any]:
    found = ear.ear_claims(verdict, issued=AT, build=BUILD)
    schema.validate("ear", found, what="The EAR")
    (label,) = found["submods"]
    part = found["submods"][label]
    assert label == verdict.platform
    assert part["ear_status"] == found["ear_status"]
    assert part.get("eat_nonce") == found.get("eat_nonce")
    _require_no_better_than_its_claims(part)
    return found


def _require_no_better_than_its_claims(part: dict[str, Any]) -> None:
    """Section 3.1: a tier of no higher trust than that of the worst claim (AR4SI, Enumeration Encoding)."""
    worst = max(part["ear_trustworthiness_vector"].values())
    if part["ear_status"] == "affirming":
        assert worst < 32
    if worst >= 96:
        assert part["ear_status"] == "contraindicated"


def failing(verdict: Verdict, name: str, *, other: int = 0) -> Verdict:
    info = CHECKS[name]
    failure = (info.failure, *info.others)[other]
    failed = Check(name, CheckOutcome.FAILED, "one", "another", "", info, failure)
    checks = tuple(failed if check.name == name else check for check in verdict.checks)
    return dataclasses.replace(verdict, checks=checks, confidential=False)


def test_accepted_fresh_verdict_is_affirming_and_names_nonce_policy_and_verifier(accepted: Verdict) -> None:
    found = claims(accepted)
    part = found["submods"]["sev-snp"]

    assert found["ear_status"] == "affirming"
    assert base64.b64decode(found["eat_nonce"]) == BINDING.nonce
    assert part["ear_appraisal_policy_ids"] == [f"nih:sha-256;{accepted.policy.hex()}"]
    assert found["ear_verifier_id"]["build"] == BUILD
    assert found["iat"] == 1772366400
    assert part["ear_trustworthiness_vector"] == {
        "instance-identity": 0,  # the policy names no chip
        "configuration": 2,
        "executables": 3,
        "hardware": 2,
        "runtime-opaque": 2,
    }


def test_recognised_chip_has_an_identity(accepted: Verdict) -> None:
    seen = Check("snp-instance", CheckOutcome.PASSED, "a chip", "a chip")
    named = tuple(seen if check.name == seen.name else check for check in accepted.checks)
    vector = claims(dataclasses.replace(accepted, checks=named))["submods"]["sev-snp"]["ear_trustworthiness_vector"]
    assert vector["instance-identity"] == 2


def without_nonce(verdict: Verdict) -> Verdict:
    checks = tuple(
        dataclasses.replace(check, outcome=CheckOutcome.NOT_APPLICABLE) if check.name == "session-nonce" else check
        for check in verdict.checks
    )
    return dataclasses.replace(verdict, checks=checks)


def raw(verdict: Verdict) -> RawVerdict:
    checks = tuple(check for check in verdict.checks if check.name.startswith("snp-"))
    return RawVerdict("sev-snp", "amd", AT, verdict.policy, checks, {}, ("the rest",))


def recorded(verdict: Verdict) -> Verdict:
    return dataclasses.replace(verdict, recording=True)


def simulated(verdict: Verdict) -> Verdict:
    return dataclasses.replace(verdict, identity_root="simulated")


def debug(verdict: Verdict) -> Verdict:
    return dataclasses.replace(verdict, confidential=False)


@pytest.mark.parametrize(
    ("lacking", "tier"),
    [
        (raw, "none"),
        (recorded, "none"),
        (without_nonce, "none"),
        (simulated, "contraindicated"),
        (debug, "contraindicated"),
    ],
)
def test_whatever_lacks_one_condition_makes_no_affirming_claim(accepted: Verdict, lacking: Any, tier: str) -> None:
    found = claims(lacking(accepted))
    (part,) = found["submods"].values()

    assert found["ear_status"] == tier
    assert not {1, 2, 3}.intersection(part["ear_trustworthiness_vector"].values())
    assert ("eat_nonce" in found) == (lacking in (simulated, debug))


def test_local_machine_is_never_affirming() -> None:
    machine = LocalMachine.create(AT)
    for purpose in (SESSION, RecordingPurpose()):
        verdict = verify(machine.evidence(BINDING), machine.policy(), purpose=purpose, at=AT)
        assert verdict.accepted
        found = claims(verdict)
        assert found["ear_status"] == "contraindicated"
        assert found["submods"]["local"]["ear_trustworthiness_vector"]["runtime-opaque"] == 96


FAILURES = [(name, index) for name, info in CHECKS.items() for index in range(1 + len(info.others))]


@pytest.mark.parametrize(("name", "other"), FAILURES, ids=[f"{name}-{index}" for name, index in FAILURES])
def test_no_failed_check_leaves_an_affirming_claim(accepted: Verdict, name: str, other: int) -> None:
    missing = () if name in {check.name for check in accepted.checks} else (Check(name, CheckOutcome.PASSED, "", ""),)
    verdict = failing(dataclasses.replace(accepted, checks=(*accepted.checks, *missing)), name, other=other)
    found = claims(verdict)
    (part,) = found["submods"].values()

    (failed,) = verdict.failures
    collateral = failed.failure is not None and failed.failure.kind is FailureKind.COLLATERAL
    assert found["ear_status"] == ("none" if collateral else "contraindicated")
    assert not {1, 2, 3}.intersection(part["ear_trustworthiness_vector"].values())


@pytest.mark.parametrize(
    "later",
    [datetime.timedelta(minutes=5, seconds=1), datetime.timedelta(days=400), -datetime.timedelta(seconds=1)],
)
def test_verdict_as_of_another_time_makes_no_affirming_claim(accepted: Verdict, later: datetime.timedelta) -> None:
    """What was revoked since then is not in it, and ``iat`` would say that it is of now."""
    found = ear.ear_claims(accepted, issued=AT + later, build=BUILD)
    schema.validate("ear", found, what="The EAR")
    part = found["submods"][accepted.platform]
    assert (part["ear_status"], part["ear_trustworthiness_vector"]["hardware"]) == ("none", 0)
    assert "eat_nonce" not in found and "eat_nonce" not in part


def test_ear_ends_when_the_first_collateral_of_its_verdict_expires(accepted: Verdict) -> None:
    """The draft's section 3: from ``exp`` on no reader may accept it."""
    ends = [one.until for one in accepted.used if one.until is not None]
    assert len(ends) > 1
    found = claims(accepted)
    assert found["exp"] == int(min(ends).timestamp()) > found["iat"]
    lasting = dataclasses.replace(accepted, used=tuple(one for one in accepted.used if one.until is None))
    assert "exp" not in claims(lasting)
    late = ear.ear_claims(accepted, issued=min(ends), build=BUILD)
    assert late["ear_status"] == "none" and "exp" not in late
