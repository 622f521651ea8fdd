"""Every check says what to do after each of its failures, by the kind of the failure."""

import json
import re
from pathlib import Path

import pytest

from cloister.attestation.checks import CHECKS
from cloister.attestation.collateral_source import COLLATERAL_KINDS
from cloister.attestation.errors import AttestationError
from cloister.attestation.raw.checks import RAW_CHECKS
from cloister.attestation.result.checkinfo import COMPARED, SETTLED, CheckInfo, Failure, FailureKind
from cloister.attestation.result.outcomes import Check, CheckOutcome, advice, lacking, sentences
from cloister.attestation.result.verdict import Recorder

SCHEMAS = Path(__file__).resolve().parents[3] / "cloister" / "protocol" / "schemas"
POLICY = json.loads((SCHEMAS / "policy.schema.json").read_text())

ALL = [*CHECKS.items(), *((name, info) for name, info in RAW_CHECKS.items() if info != CHECKS.get(name))]
FAILURES = [(name, failure) for name, info in ALL for failure in (info.failure, *info.others) if failure]
CASES = pytest.mark.parametrize(("name", "failure"), FAILURES, ids=[f"{name}-{one.kind}" for name, one in FAILURES])


@CASES
def test_advice_is_a_sentence_that_offers_no_value(name: str, failure: Failure) -> None:
    assert re.fullmatch(r"[A-Z].*\.", failure.advice), failure.advice
    assert not re.search(r"[0-9a-f]{16}", failure.advice)
    assert not re.search(r"\b(paste|pin the|copy)\b", failure.advice)


@CASES
def test_advice_fits_the_kind_of_the_failure(name: str, failure: Failure) -> None:
    if failure.kind in COMPARED:
        assert re.search(r"\bCompare .+ with .+\.", failure.advice)
    if failure.kind in SETTLED:
        last = re.split(r"(?<=[.])\s+(?=[A-Z])", failure.advice)[-1]
        assert all(member in last for member in failure.members)
        assert failure.members or "--collateral" in last
    else:
        assert failure.members == ()
        assert "in your policy." not in failure.advice or failure.kind is FailureKind.PLATFORM
    if failure.kind is FailureKind.COLLATERAL:
        assert failure.lacks and set(failure.lacks) <= set(COLLATERAL_KINDS)
        assert "--fetch" in failure.advice
    else:
        assert failure.lacks == ()
    if failure.kind is FailureKind.CHOICE:
        assert failure.members


@CASES
def test_members_are_those_of_a_policy(name: str, failure: Failure) -> None:
    for member in failure.members:
        section, leaf = member.split(".")
        described = POLICY["properties"][section]
        described = POLICY["$defs"][described["$ref"].rpartition("/")[2]] if "$ref" in described else described
        assert leaf in described["properties"], member


@pytest.mark.parametrize("schema", ["verdict", "raw-verdict"])
def test_schema_has_every_kind_of_failure(schema: str) -> None:
    checks = json.loads((SCHEMAS / f"{schema}.schema.json").read_text())["properties"]["checks"]["items"]
    assert checks["properties"]["failure"]["enum"] == [kind.value for kind in FailureKind]


DEBUG = Failure(FailureKind.DEBUG, "Compare one with another.")


def failed(*names: str) -> list[Check]:
    checks = Recorder(names, CHECKS)
    for name in names:
        checks.record(name, False, "one", "another")
    return list(checks.finish())


def test_wrong_platform_comes_first_and_nothing_is_said_of_collateral() -> None:
    failures = failed("snp-crl", "snp-signature", "snp-product")

    (said,) = advice(failures)
    assert said.startswith("snp-product: Use a machine")
    assert lacking(failures) == frozenset()
    first, crl, signature = sentences(failures)
    assert first.startswith("The product line of the processor: expected one, found another. Use a machine")
    assert crl == "AMD's certificate revocation list: expected one, found another."
    assert "Compare" in signature


def test_what_a_file_or_a_member_settles_comes_last() -> None:
    said = advice(failed("snp-crl", "snp-guest-policy", "snp-signature", "snp-tcb-order"))

    assert [one.split(":")[0] for one in said] == ["snp-signature, snp-tcb-order", "snp-guest-policy", "snp-crl"]
    assert said[-1].endswith("To do without it, change snp.require_crl in your policy.")
    assert lacking(failed("snp-crl", "snp-debug")) == {"crl"}


def test_failure_that_a_check_does_not_describe_is_refused() -> None:
    checks = Recorder(("snp-crl",), CHECKS)
    with pytest.raises(AttestationError, match="no such failure"):
        checks.fail("snp-crl", "one", "another", DEBUG)


def test_check_without_a_failure_cannot_fail() -> None:
    """It would have no advice, and a verdict that no one can act on."""
    checks = Recorder(("shown",), {"shown": CheckInfo("Something that is shown")})
    with pytest.raises(AttestationError, match="no failure in its description"):
        checks.record("shown", False, "one", "another")
    checks.record("shown", True, "one", "one")
    assert [check.outcome for check in checks.finish()] == [CheckOutcome.PASSED]


def test_passed_check_has_no_advice() -> None:
    info = CheckInfo("Something", Failure(FailureKind.SETTING, "Do something."))
    checks = Recorder(("one", "two"), {"one": info, "two": info})
    checks.record("one", True, "a", "a")
    checks.not_applicable("two", "it does not matter")
    assert all("advice" not in check.value() for check in checks.finish())
    assert advice(checks.finish()) == ()
    (one, _) = checks.finish()
    assert one.outcome is CheckOutcome.PASSED
