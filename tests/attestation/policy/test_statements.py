"""The sections `builders` and `publisher` of a policy: what they refuse."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cloister.attestation.errors import PolicyError
from cloister.attestation.policy.policy import Policy
from cloister.attestation.policy.statements import BuildersPolicy, PublisherPolicy
from cloister.attestation.testkit import LocalMachine
from cloister.protocol.canonical import FormatError
from tests.attestation.platforms.test_local import AT
from tests.attestation.statements.samples import (
    CLINIC,
    LAB,
    builders,
    publisher,
)

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


@pytest.fixture(scope="module")
def machine() -> LocalMachine:
    return LocalMachine.create(AT)


def full(machine: LocalMachine) -> Policy:
    return machine.policy(builders=builders(2, lab=LAB, clinic=CLINIC), publisher=publisher(90))


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
