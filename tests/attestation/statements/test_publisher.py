"""What a publisher states about the image: the newest statement decides, and how old the image may be."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from cloister.attestation.result.checkinfo import FailureKind
from cloister.attestation.result.verdict import CheckOutcome
from cloister.attestation.statements.lifecycle import ImageStatus
from cloister.attestation.testkit import LocalMachine
from cloister.attestation.verifier import verify
from cloister.protocol import canonical
from tests.attestation.platforms.test_local import AT, BINDING, OTHER, SESSION
from tests.attestation.statements import samples
from tests.attestation.statements.judging import judged
from tests.attestation.statements.samples import (
    DAY,
    LAB,
    PUBLISHER,
    brought,
    built,
    life,
    publisher,
    signed,
)

MILLISECOND = timedelta(milliseconds=1)

ISSUED = f"counter 7, issued {canonical.to_time(AT - DAY)}, expires {canonical.to_time(AT + 30 * DAY)}"

Given = Callable[[bytes], tuple[list[bytes], list[bytes]]]


def one(**changes: Any) -> Given:
    return lambda image: ([signed(life(image, AT, **changes), PUBLISHER)], [])


def after(counter: int, **changes: Any) -> Given:
    """The party has seen a statement with this counter."""
    return lambda image: (
        [signed(life(image, AT), PUBLISHER)],
        [signed(life(image, AT, counter=counter, **changes), PUBLISHER)],
    )


LIFE: dict[str, tuple[Given, FailureKind | None, str]] = {
    "current": (one(), None, f"{ISSUED}, with the image as current"),
    "missing": (lambda image: ([], []), FailureKind.OUTDATED, "no statement that its key has signed"),
    "of someone else": (
        lambda image: ([signed(life(image, AT), LAB)], []),
        FailureKind.OUTDATED,
        "no statement that its key has signed",
    ),
    "provenance of the publisher": (
        lambda image: ([built(image, PUBLISHER)], []),
        FailureKind.OUTDATED,
        "no statement that its key has signed",
    ),
    "expired now": (one(expires=AT), FailureKind.OUTDATED, "expired"),
    "expires later": (one(expires=AT + MILLISECOND), None, "with the image as current"),
    "issued in the future": (
        one(issued=AT + timedelta(minutes=5) + MILLISECOND),
        FailureKind.OUTDATED,
        "issued in the future",
    ),
    "issued by a clock that is ahead": (one(issued=AT + timedelta(minutes=5)), None, "with the image as current"),
    "withdrawn": (one(status=ImageStatus.WITHDRAWN), FailureKind.REVOKED, f"{ISSUED}, with the image as withdrawn"),
    "not listed": (
        lambda image: ([signed(life(OTHER, AT), PUBLISHER)], []),
        FailureKind.IDENTITY,
        f"{ISSUED}, which does not list the image",
    ),
    "older than the last one seen": (after(8), FailureKind.OUTDATED, f"{ISSUED}: older than the last one seen"),
    "older than an expired one": (after(8, expires=AT), FailureKind.OUTDATED, "older than the last one seen"),
    "the last one seen": (after(7), None, "with the image as current"),
    "newer than the last one seen": (after(6), None, "with the image as current"),
    "the counter of another that was seen": (
        after(7, expires=AT + 31 * DAY),
        FailureKind.OUTDATED,
        "another statement with this counter was seen before",
    ),
    "two with one counter": (
        lambda image: (
            [signed(life(image, AT), PUBLISHER), signed(life(image, AT, issued=AT - 2 * DAY), PUBLISHER)],
            [],
        ),
        FailureKind.OUTDATED,
        "two different statements have this counter",
    ),
    "a newer one that withdraws": (
        lambda image: (
            [
                signed(life(image, AT, counter=8, status=ImageStatus.WITHDRAWN), PUBLISHER),
                signed(life(image, AT), PUBLISHER),
            ],
            [],
        ),
        FailureKind.REVOKED,
        "with the image as withdrawn",
    ),
    "a newer one that has expired": (
        lambda image: (
            [signed(life(image, AT, counter=8, expires=AT), PUBLISHER), signed(life(image, AT), PUBLISHER)],
            [],
        ),
        FailureKind.OUTDATED,
        "expired",
    ),
    "what a stranger has seen": (
        lambda image: ([signed(life(image, AT), PUBLISHER)], [signed(life(image, AT, counter=9), LAB)]),
        None,
        "with the image as current",
    ),
}


@pytest.mark.parametrize("name", LIFE)
def test_the_newest_statement_of_the_publisher_decides(machine: LocalMachine, image: bytes, name: str) -> None:
    make, kind, found = LIFE[name]
    given, seen = make(image)
    check, verdict = judged(machine, "image-lifecycle", *given, seen=tuple(seen), publisher=publisher())
    assert (check.failure.kind if check.failure else None) is kind
    assert check.found.endswith(found)
    assert check.expected.startswith(f"a statement of team, valid at {canonical.to_time(AT)}")
    assert ("not older than the last one seen (counter" in check.expected) is (bool(seen) and "stranger" not in name)
    assert verdict.accepted is (kind is None)


def test_a_receipt_or_recording_may_be_older_than_the_statement_at_hand(machine: LocalMachine, image: bytes) -> None:
    later = signed(life(image, AT, issued=AT + 2 * DAY), PUBLISHER)
    check, _ = judged(machine, "image-lifecycle", later, live=False, publisher=publisher())
    assert check.outcome is CheckOutcome.PASSED


@pytest.mark.parametrize(
    ("indexed", "days", "outcome"),
    [
        (AT - 7 * DAY, 7, CheckOutcome.PASSED),
        (AT - 7 * DAY - MILLISECOND, 7, CheckOutcome.FAILED),
        (AT - 400 * DAY, None, CheckOutcome.NOT_APPLICABLE),
    ],
)
def test_age_counts_from_the_index_of_the_lock(
    machine: LocalMachine, image: bytes, indexed: datetime, days: int | None, outcome: CheckOutcome
) -> None:
    statement = signed(life(image, AT, indexed=indexed), PUBLISHER)
    check, _ = judged(machine, "image-age", statement, publisher=publisher(days))
    assert check.outcome is outcome
    if days:
        assert check.expected == "an index of Debian that is at most 7 days old"
        assert check.found == f"the index of {canonical.to_time(indexed)}, 7 days before"


def test_age_is_not_judged_by_a_statement_that_does_not_count(machine: LocalMachine, image: bytes) -> None:
    expired = signed(life(image, AT, expires=AT), PUBLISHER)
    for given in ([], [expired]):
        verdict = verify(
            machine.evidence(BINDING),
            machine.policy(publisher=publisher(7)),
            purpose=SESSION,
            at=AT,
            collateral=brought(*given),
        )
        assert [one.name for one in verdict.failures] == ["image-lifecycle"]


def test_nothing_is_demanded_without_a_section(machine: LocalMachine) -> None:
    verdict = verify(machine.evidence(BINDING), machine.policy(), purpose=SESSION, at=AT)
    reasons = {one.name: one.reason for one in verdict.checks if one.name.startswith("image-")}
    assert verdict.accepted
    assert [reasons[name] for name in samples.FAULTS] == ["your policy does not demand it"] * 3
