"""What builders and a publisher state about the image: every way in which a policy that demands it is not satisfied."""

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cloister.attestation.collateral_source import STATEMENT, CollateralItem, InMemory
from cloister.attestation.errors import CollateralError, MalformedEvidence, PolicyError
from cloister.attestation.policy.policy import Policy
from cloister.attestation.policy.statements import BuildersPolicy, PublisherPolicy
from cloister.attestation.result.checkinfo import FailureKind
from cloister.attestation.result.verdict import Check, CheckOutcome, Verdict
from cloister.attestation.statements.lifecycle import ImageStatus
from cloister.attestation.statements.statement import ImageStatement
from cloister.attestation.testkit import LocalMachine
from cloister.attestation.verifier import RecordingPurpose, SessionPurpose, verify
from cloister.protocol import canonical, dsse
from cloister.protocol.canonical import FormatError
from cloister.protocol.signingkey import key_id
from tests.attestation import image_statements
from tests.attestation.image_statements import (
    CLINIC,
    DAY,
    LAB,
    OTHER_LAB,
    PUBLISHER,
    brought,
    builders,
    built,
    life,
    provenance,
    public,
    publisher,
    signed,
)
from tests.attestation.platforms.test_local import AT, BINDING, MANIFEST, OTHER, SESSION
from tests.attestation.wording import require_words

MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture(scope="module")
def machine() -> LocalMachine:
    return LocalMachine.create(AT, manifest_digest=MANIFEST)


@pytest.fixture(scope="module")
def image(machine: LocalMachine) -> bytes:
    return machine.image().manifest_digest


def judged(
    machine: LocalMachine, name: str, *given: bytes, seen: tuple[bytes, ...] = (), live: bool = True, **demands: Any
) -> tuple[Check, Verdict]:
    """The check ``name`` under a policy with ``demands``, with these statements."""
    purpose: SessionPurpose | RecordingPurpose = SESSION if live else RecordingPurpose()
    verdict = verify(
        machine.evidence(BINDING),
        machine.policy(**demands),
        purpose=purpose,
        at=AT,
        collateral=brought(*given, seen=seen),
    )
    require_words(verdict)
    (check,) = [one for one in verdict.checks if one.name == name]
    assert set(verdict.failures) <= {check}
    return check, verdict


TWO = {"lab": LAB, "clinic": CLINIC}

BUILDERS: dict[str, tuple[int, dict[str, Any], Callable[[bytes], list[bytes]], bool, str]] = {
    "one of one": (1, {"lab": LAB}, lambda image: [built(image, LAB)], True, "lab"),
    "two of two": (2, TWO, lambda image: [built(image, CLINIC), built(image, LAB)], True, "clinic, lab"),
    "one of two is enough": (1, TWO, lambda image: [built(image, CLINIC)], True, "clinic"),
    "none": (1, {"lab": LAB}, lambda image: [], False, "none"),
    "one where two are demanded": (2, TWO, lambda image: [built(image, LAB)], False, "lab"),
    "one builder twice": (
        2,
        TWO,
        lambda image: [built(image, LAB), built(image, LAB, signed=AT), built(image, LAB, flavor="debug")],
        False,
        "lab",
    ),
    "a stranger": (1, {"lab": LAB}, lambda image: [built(image, OTHER_LAB)], False, "none"),
    "a stranger in a builder's name": (
        1,
        {"lab": LAB},
        lambda image: [signed(provenance(image, LAB), OTHER_LAB)],
        False,
        "none",
    ),
    "a builder in another's name": (
        2,
        TWO,
        lambda image: [built(image, LAB), signed(provenance(image, CLINIC), LAB)],
        False,
        "lab",
    ),
    "a builder that names another": (
        1,
        {"lab": LAB},
        lambda image: [signed(provenance(image, CLINIC), LAB)],
        False,
        "none",
    ),
    "another image": (
        1,
        {"lab": LAB},
        lambda image: [built(OTHER, LAB)],
        False,
        f"none; lab states another image, {OTHER.hex()}",
    ),
    "an output with the image's digest": (
        1,
        {"lab": LAB},
        lambda image: [built(OTHER, LAB, subjects={"manifest.json": OTHER.hex(), "uki.efi": image.hex()})],
        False,
        f"none; lab states another image, {OTHER.hex()}",
    ),
    "this image and another": (1, {"lab": LAB}, lambda image: [built(OTHER, LAB), built(image, LAB)], True, "lab"),
    "the publisher's statement": (1, {"lab": LAB}, lambda image: [signed(life(image, AT), LAB)], False, "none"),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_builders_of_the_policy_count_once_each(machine: LocalMachine, image: bytes, name: str) -> None:
    required, keys, make, passes, found = BUILDERS[name]
    check, verdict = judged(machine, "image-builders", *make(image), builders=builders(required, **keys))
    assert (check.outcome is CheckOutcome.PASSED, check.found) == (passes, found)
    assert check.expected == f"statements of {required} of {', '.join(sorted(keys))} about the image {image.hex()}"
    assert verdict.accepted is passes
    used = [one.name for one in verdict.used if one.kind == STATEMENT]
    assert len(used) == len(found.partition(";")[0].replace("none", "").split(",") if "none" not in found else [])


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
    assert [reasons[name] for name in image_statements.FAULTS] == ["your policy does not demand it"] * 3


def test_statements_in_the_machines_evidence_are_malformed(machine: LocalMachine, image: bytes) -> None:
    evidence = machine.evidence(BINDING)
    carried = dataclasses.replace(evidence, collateral=(CollateralItem(STATEMENT, built(image, LAB)),))
    with pytest.raises(MalformedEvidence, match="collateral"):
        type(evidence).parse(carried.encode())


KEYS = {
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type_sign(machine: LocalMachine, image: bytes, kind: str) -> None:
    key = KEYS[kind]
    check, _ = judged(machine, "image-builders", built(image, key), builders=builders(1, lab=key))
    assert check.outcome is CheckOutcome.PASSED


def envelope(image: bytes, **changes: Any) -> dict[str, Any]:
    return {**json.loads(built(image, LAB)), **changes}


def altered(image: bytes, change: Callable[[Any], Any]) -> bytes:
    """A statement whose value was changed before it was signed."""
    value = json.loads(provenance(image, LAB).payload())
    change(value)
    return dsse.sign(canonical.encode(value), LAB)


def altered_life(image: bytes, change: Callable[[Any], Any]) -> bytes:
    value = json.loads(life(image, AT).payload())
    change(value)
    return dsse.sign(canonical.encode(value), PUBLISHER)


REFUSED: dict[str, Callable[[bytes], bytes]] = {
    "no JSON": lambda image: b"{",
    "a list": lambda image: b"[]",
    "no signature": lambda image: canonical.encode(envelope(image, signatures=[])),
    "too many signatures": lambda image: canonical.encode(
        envelope(image, signatures=[{"keyid": "", "sig": "AAAA"}] * 17)
    ),
    "another type of payload": lambda image: canonical.encode(envelope(image, payloadType="application/json")),
    "base64url": lambda image: canonical.encode(envelope(image, payload="__8")),
    "an unknown member": lambda image: canonical.encode(envelope(image, extra=1)),
    "a payload that is no JSON": lambda image: dsse.sign(b"no", LAB),
    "another statement": lambda image: altered(image, lambda v: v.update(predicateType="https://example.org/x")),
    "a predicate type that is no text": lambda image: altered(image, lambda v: v.update(predicateType=["x"])),
    "an unknown member of the statement": lambda image: altered(image, lambda v: v.update(extra=1)),
    "another way to build": lambda image: altered(
        image, lambda v: v["predicate"]["buildDefinition"].update(buildType="urn:other")
    ),
    "a file named twice": lambda image: altered(image, lambda v: v["subject"].append(v["subject"][0])),
    "no manifest": lambda image: altered(image, lambda v: v["subject"].pop(0)),
    "no builder": lambda image: altered(image, lambda v: v["predicate"]["runDetails"].pop("builder")),
    "a day without a time": lambda image: altered(
        image, lambda v: v["predicate"]["runDetails"]["metadata"].update(cloister_signedOn="2026-01-01")
    ),
    "a counter of zero": lambda image: altered_life(image, lambda v: v["predicate"].update(counter=0)),
    "another version": lambda image: altered_life(image, lambda v: v["predicate"].update(version=2)),
    "expiry before issue": lambda image: altered_life(
        image, lambda v: v["predicate"].update(expires=v["predicate"]["issued"])
    ),
    "no image": lambda image: altered_life(image, lambda v: v["predicate"].update(images={})),
    "another subject": lambda image: altered_life(
        image, lambda v: v["subject"][0]["digest"].update(sha256=OTHER.hex())
    ),
    "an unknown status": lambda image: altered_life(
        image, lambda v: v["predicate"]["images"][image.hex()].update(status="old")
    ),
    "an index from after the statement": lambda image: altered_life(
        image, lambda v: v["predicate"]["images"][image.hex()].update(indexed=canonical.to_time(AT))
    ),
    "a large envelope": lambda image: built(image, LAB) + b" " * 1024 * 1024,
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_statement_is_an_error(machine: LocalMachine, image: bytes, name: str) -> None:
    """It may be the one that withdraws the image, so it is not skipped."""
    content = REFUSED[name](image)
    with pytest.raises(FormatError):
        ImageStatement.read(content)
    with pytest.raises(CollateralError, match="cannot be read"):
        judged(machine, "image-builders", content, builders=builders())
    verify(machine.evidence(BINDING), machine.policy(), purpose=SESSION, at=AT, collateral=brought(content))


def test_other_tools_may_omit_the_key_id_and_sign_together(machine: LocalMachine, image: bytes) -> None:
    """The key id is a hint that no one has signed (DSSE, "Protocol"), and cosign leaves it out."""
    one, other = envelope(image), json.loads(dsse.sign(provenance(image, LAB).payload(), OTHER_LAB))
    one["signatures"] = [{"sig": entry["sig"]} for entry in (*other["signatures"], *one["signatures"])]
    content = json.dumps(one, indent=2).encode()
    check, _ = judged(machine, "image-builders", content, builders=builders())
    assert check.outcome is CheckOutcome.PASSED


SMALL = rsa.generate_private_key(65537, 2048).public_key()

POLICIES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no builder": (lambda v: v.update(builders={"required": 1, "keys": {}}), "builders"),
    "none required": (lambda v: v["builders"].update(required=0), "required"),
    "more than there are": (lambda v: v["builders"].update(required=3), "demands 3 of 2 builders"),
    "one key twice": (
        lambda v: v["builders"]["keys"].update(clinic=v["builders"]["keys"]["lab"]),
        "the same key for clinic and lab",
    ),
    "no key": (lambda v: v["builders"]["keys"].update(lab="AAAA"), "the key of lab cannot be used"),
    "no base64url": (lambda v: v["builders"]["keys"].update(lab="A"), "the key of lab"),
    "a name with a blank": (lambda v: v["builders"]["keys"].update({"the lab": "AAAA"}), "keys"),
    "an unknown member of builders": (lambda v: v["builders"].update(extra=1), "extra"),
    "a publisher without a key": (lambda v: v["publisher"].pop("key"), "key"),
    "a publisher without a name": (lambda v: v["publisher"].pop("name"), "name"),
    "a publisher with another key": (lambda v: v["publisher"].update(key="AAAA"), "its key cannot be used"),
    "an age of zero": (lambda v: v["publisher"].update(maximum_age_days=0), "maximum_age_days"),
    "an age in words": (lambda v: v["publisher"].update(maximum_age_days="7"), "maximum_age_days"),
    "an unknown member of publisher": (lambda v: v["publisher"].update(extra=1), "extra"),
}


def full(machine: LocalMachine) -> Policy:
    return machine.policy(builders=builders(2, **TWO), publisher=publisher(90))


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_that_could_not_be_kept_is_refused(machine: LocalMachine, name: str) -> None:
    change, said = POLICIES[name]
    value = json.loads(full(machine).encode())
    change(value)
    with pytest.raises((FormatError, PolicyError), match=said):
        Policy.parse(json.dumps(value).encode())


def test_a_policy_is_its_own_re_encoding(machine: LocalMachine) -> None:
    policy = full(machine)
    assert Policy.parse(policy.encode()) == policy
    assert policy.digest() != machine.policy().digest()


def test_a_small_key_of_a_builder_is_refused() -> None:
    from cloister.protocol.signingkey import spki_of

    with pytest.raises(PolicyError, match="RSA key of 2048 bits"):
        BuildersPolicy(1, {"lab": spki_of(SMALL)})
    with pytest.raises(PolicyError, match="RSA key of 2048 bits"):
        PublisherPolicy("team", spki_of(SMALL))


def test_sources_without_statements_are_asked_in_vain(machine: LocalMachine) -> None:
    for collateral in (None, InMemory()):
        verdict = verify(
            machine.evidence(BINDING),
            machine.policy(builders=builders()),
            purpose=SESSION,
            at=AT,
            collateral=collateral,
        )
        assert [one.name for one in verdict.failures] == ["image-builders"]


def test_statements_of_two_builders_have_two_names(image: bytes) -> None:
    names = [ImageStatement.read(built(image, key), "It").name() for key in (LAB, CLINIC)]
    for name, key in zip(names, (LAB, CLINIC), strict=True):
        assert f"({image.hex()[:16]}...) by the builder {key_id(public(key))[:16]}..." in name
