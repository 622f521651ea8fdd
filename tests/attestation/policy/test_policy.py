"""Policies are parsed strictly, from JSON or YAML, and cannot contradict themselves."""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import Platform
from cloister.attestation.policy.document import MAX_SIZE
from cloister.attestation.policy.policy import Policy
from cloister.attestation.testkit import LocalMachine
from cloister.errors import CloisterError
from cloister.protocol.canonical import FormatError

MACHINE = LocalMachine.create(datetime(2026, 3, 1, tzinfo=UTC))
POLICY = MACHINE.policy(platform_pcrs={7: b"7" * 32}, secure_boot=True)
VALUE: dict[str, Any] = json.loads(POLICY.encode())


def _with(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (VALUE | changes).items() if value is not None}).encode()


def test_policy_round_trips_through_json_and_yaml() -> None:
    assert Policy.parse(POLICY.encode()) == POLICY
    assert Policy.parse(yaml.safe_dump(VALUE).encode()) == POLICY
    assert Policy.parse(json.dumps(VALUE, indent=2).encode()).digest() == POLICY.digest()


def test_omitted_members_have_strict_defaults() -> None:
    (image,) = POLICY.value()["images"]
    levels = {"boot_loader": 4, "tee": 0, "snp": 24, "microcode": 219}
    lax = _with(
        platforms=["sev-snp"],
        images=[image | {"snp": {"launch_digests": ["aa" * 48]}}],
        snp={"minimum_tcb": {"Milan": {"reported": levels}}},
        **dict.fromkeys(("allow_local", "allow_debug", "secure_boot", "platform_pcrs", "local")),
    )
    policy = Policy.parse(lax)
    assert (policy.allow_local, policy.allow_debug, policy.secure_boot, policy.local) == (False, False, False, None)
    section = policy.value()["snp"]
    assert section["minimum_tcb"] == {"Milan": dict.fromkeys(("reported", "committed", "launch", "current"), levels)}
    assert section["require_crl"] is True
    assert not any(value for name, value in section.items() if name.startswith("allow_"))
    assert Policy.parse(policy.encode()) == policy


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": None},
        {"extra": True},
        {"platforms": []},
        {"platforms": ["local", "local"]},
        {"platforms": ["sgx"]},
        {"images": []},
        {"images": [{**VALUE["images"][0], "extra": 1}]},
        {"images": [{**VALUE["images"][0], "pcrs": {"4": "00" * 32, "9": "00" * 32}}]},
        {"images": [{**VALUE["images"][0], "pcrs": {**VALUE["images"][0]["pcrs"], "0": "00" * 32}}]},
        {"platform_pcrs": {"4": "00" * 32}},
        {"platform_pcrs": {"7": "00" * 31}},
        {"boot_configuration": {**VALUE["boot_configuration"], "cvms": []}},
        {"boot_configuration": {**VALUE["boot_configuration"], "owners": []}},
        {"boot_configuration": {**VALUE["boot_configuration"], "owners": ["AB" * 32]}},
        {"boot_configuration": {**VALUE["boot_configuration"], "extra": 1}},
        {"local": {}},
        {"local": {**VALUE["local"], "extra": 1}},
        {"allow_local": "yes"},
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_document_against_the_schema_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        Policy.parse(_with(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"platforms": ["local", "sev-snp"]}, "allow_local and accepts other platforms"),
        ({"platforms": ["sev-snp"]}, "allow_local and accepts other platforms"),
        ({"allow_local": False}, "without allow_local"),
        ({"local": None}, "exactly when allow_local is true"),
        ({"platforms": ["sev-snp"], "allow_local": False}, "exactly when allow_local is true"),
        ({"platform_pcrs": {}}, "pins no PCR 7"),
        (
            {"images": [{**VALUE["images"][0], "pcrs": {**VALUE["images"][0]["pcrs"], "12": "01" * 32}}]},
            "other than zero",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_contradictory_members_are_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Policy.parse(_with(**changes))


def test_unparsable_authority_certificate_is_a_policy_error() -> None:
    with pytest.raises(PolicyError, match="authority_certificate is not a certificate that can be read"):
        Policy.parse(_with(local={**VALUE["local"], "authority_certificate": "AAAA"}))


def test_rules_also_hold_for_policies_made_in_code() -> None:
    with pytest.raises(PolicyError):
        dataclasses.replace(POLICY, platforms=(Platform.LOCAL, Platform.TDX))


@pytest.mark.parametrize(
    "text",
    [
        b"version: 1\nversion: 1\n",
        b"a: &x [1]\nb: *x\n",
        b"1: a\n",
        b"when: 2026-01-01\n",
        b"a: !!python/object:os.system {}\n",
        b'a: !!int ""\n',
        b"a: !!bool x\n",
        b"a: !!timestamp x\n",
        b"!!map [a]\n",
        b"a: [\n",
        b"a: 1.5\n",
        b"--- {}\n--- {}\n",
        b"a: \xff\n",
        b"",
        b"[" * 2000,
        b"- " * 2000,
        b" " * (MAX_SIZE + 1),
    ],
)
def test_yaml_beyond_json_is_rejected(text: bytes) -> None:
    with pytest.raises(FormatError):
        Policy.parse(text)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("version: 1", "version: 1.0", "1.0 is not an integer"),
        ("workspace: trial", "workspace: no", ""),
        ("allow_debug: false", "allow_debug: no", "allow_debug must be true or false"),
        ("allow_debug: false", "allow_debug: false\nallow_debug: true", "duplicate name 'allow_debug'"),
        ("allow_debug: false", "allow_debug: !!bool true", "tags are not allowed"),
    ],
)
def test_policy_yaml_follows_the_manifests_yaml_rules(before: str, after: str, message: str) -> None:
    text = yaml.safe_dump(VALUE)
    assert before in text
    changed = text.replace(before, after).encode()
    if not message:
        assert Policy.parse(changed).boot_configuration.workspace == "no"
        return
    with pytest.raises(FormatError, match=message):
        Policy.parse(changed)


@given(st.binary(max_size=200), st.integers(0, 1 << 20))
def test_arbitrary_bytes_are_a_policy_or_a_policy_error(data: bytes, place: int) -> None:
    for whole in (POLICY.encode(), yaml.safe_dump(VALUE).encode()):
        start = place % len(whole)
        for candidate in (data, whole[:start] + data + whole[start + len(data) :]):
            try:
                Policy.parse(candidate)
            except CloisterError:
                pass
