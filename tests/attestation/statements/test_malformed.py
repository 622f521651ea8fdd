"""Statements in their envelopes: those of other tools are read, and a malformed one is an error."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from cloister.attestation.collateral_source import STATEMENT, CollateralItem
from cloister.attestation.errors import CollateralError, MalformedEvidence
from cloister.attestation.result.verdict import CheckOutcome
from cloister.attestation.statements.statement import ImageStatement
from cloister.attestation.testkit import LocalMachine
from cloister.attestation.verifier import verify
from cloister.protocol import canonical, dsse
from cloister.protocol.canonical import FormatError
from cloister.protocol.signingkey import key_id
from tests.attestation.platforms.test_local import AT, BINDING, OTHER, SESSION
from tests.attestation.statements.judging import judged
from tests.attestation.statements.samples import (
    CLINIC,
    LAB,
    OTHER_LAB,
    PUBLISHER,
    brought,
    builders,
    built,
    life,
    provenance,
    public,
)


def test_statements_in_the_machines_evidence_are_malformed(machine: LocalMachine, image: bytes) -> None:
    evidence = machine.evidence(BINDING)
    carried = dataclasses.replace(evidence, collateral=(CollateralItem(STATEMENT, built(image, LAB)),))
    with pytest.raises(MalformedEvidence, match="collateral"):
        type(evidence).parse(carried.encode())


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


def test_statements_of_two_builders_have_two_names(image: bytes) -> None:
    names = [ImageStatement.read(built(image, key), "It").name() for key in (LAB, CLINIC)]
    for name, key in zip(names, (LAB, CLINIC), strict=True):
        assert f"({image.hex()[:16]}...) by the builder {key_id(public(key))[:16]}..." in name
