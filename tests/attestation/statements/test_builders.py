"""What builders state about the image: every way in which a policy that demands them is not satisfied."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from cloister.attestation.collateral_source import STATEMENT, InMemory
from cloister.attestation.result.verdict import CheckOutcome
from cloister.attestation.testkit import LocalMachine
from cloister.attestation.verifier import verify
from tests.attestation.platforms.test_local import AT, BINDING, OTHER, SESSION
from tests.attestation.statements.judging import judged
from tests.attestation.statements.samples import (
    CLINIC,
    LAB,
    OTHER_LAB,
    builders,
    built,
    life,
    provenance,
    signed,
)

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
    names = ", ".join(sorted(keys))
    wanted = names if required == len(keys) else f"at least {required} of these: {names},"
    assert check.expected == f"statements of {wanted} about the image {image.hex()}"
    assert verdict.accepted is passes
    used = [one.name for one in verdict.used if one.kind == STATEMENT]
    assert len(used) == len(found.partition(";")[0].replace("none", "").split(",") if "none" not in found else [])


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
