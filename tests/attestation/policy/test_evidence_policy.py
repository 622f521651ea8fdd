"""A policy for raw evidence is another document and another type than a policy for sessions."""

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from cloister.attestation.errors import PolicyError
from cloister.attestation.instances import GcpInstance, Instances
from cloister.attestation.policy.either import parse_policy
from cloister.attestation.policy.evidence_policy import PINS, EvidencePolicy, RawPlatform
from cloister.attestation.policy.policy import Policy
from cloister.attestation.snp.pins import SnpPins
from cloister.attestation.tdx.pins import TdxPins
from cloister.attestation.testkit import LocalMachine
from cloister.errors import CloisterError
from cloister.protocol import schema
from cloister.protocol.canonical import FormatError

LEVELS = {"boot_loader": 4, "tee": 0, "snp": 24, "microcode": 219}
SNP = {"minimum_tcb": {"Milan": {"reported": LEVELS}}}
AZURE = {
    "snp": {"id_key_digests": ["aa" * 48], "min_guest_svn": 1},
    "tdx": {"mrtds": ["aa" * 48], "mrseams": ["bb" * 48]},
}
WHOLE: dict[str, Any] = {
    "version": 1,
    "kind": "evidence",
    "platforms": ["sev-snp", "tdx", "azure-snp", "azure-tdx"],
    "snp": SNP
    | {
        "launch_digests": ["11" * 48],
        "host_data": "00" * 32,
        "family_id": "22" * 16,
        "image_id": "33" * 16,
        "id_key_digests": ["44" * 48],
        "author_key_digests": ["55" * 48],
        "minimum_report_version": 3,
        "vmpl": 1,
    },
    "tdx": {
        "mrtds": ["11" * 48],
        "rtmrs": {"0": "00" * 48, "3": "33" * 48},
        "mr_config_id": "00" * 48,
        "mr_seams": ["44" * 48],
        "service_tds": ["55" * 48],
        "fmspcs": ["00806f050000"],
        "minimum_tee_tcb_svn": "05" * 16,
        "minimum_tee_tcb_svn2": "06" * 16,
        "minimum_report_version": "1.5",
    },
    "azure": AZURE,
    "pcrs": {"0": "00" * 32, "23": "11" * 32},
    "instances": {
        "chip_ids": ["ab" * 8],
        "ppids": ["cd" * 16],
        "azure_vm_ids": ["0" * 8 + "-0000" * 3 + "-" + "0" * 12],
    },
}
SESSION = LocalMachine.create(datetime(2026, 3, 1, tzinfo=UTC)).policy()


def document(**changes: Any) -> bytes:
    """The whole document with changed members; None removes one."""
    return json.dumps({name: value for name, value in (WHOLE | changes).items() if value is not None}).encode()


def changed(section: str, **changes: Any) -> bytes:
    return document(**{section: WHOLE[section] | changes})


def test_policy_round_trips_with_every_pin() -> None:
    policy = EvidencePolicy.parse(document())
    assert EvidencePolicy.parse(policy.encode()) == policy
    assert EvidencePolicy.parse(yaml.safe_dump(WHOLE).encode()) == policy
    said = policy.value()
    for section, members in WHOLE.items():
        for name in members if isinstance(members, dict) else ():
            found = said[section][name]
            assert name == "minimum_tcb" or found == WHOLE[section][name]
    assert len(policy.pins) == len(PINS) - 2 - 22  # not all of RTMR 0 to 3 and PCR 0 to 23


def test_smallest_policy_pins_what_is_strict_by_default() -> None:
    small = EvidencePolicy.parse(
        json.dumps({"version": 1, "kind": "evidence", "platforms": ["tdx"], "tdx": {}}).encode()
    )
    assert [pin.member for pin in small.pins] == ["tdx.minimum_report_version", "tdx.mr_owner", "tdx.mr_owner_config"]
    assert small.value()["tdx"]["tcb_statuses"] == ["UpToDate"]


def test_kind_decides_the_type() -> None:
    assert isinstance(parse_policy(document()), EvidencePolicy)
    assert isinstance(parse_policy(SESSION.encode()), Policy)
    with pytest.raises(PolicyError, match="is for raw evidence"):
        Policy.parse(document())
    with pytest.raises(PolicyError, match="is for sessions") as caught:
        EvidencePolicy.parse(SESSION.encode())
    assert "policy --from-evidence FILE" in caught.value.hint


@pytest.mark.parametrize("kind", ["session", "Evidence", "evidence ", "", None, 1, True, ["evidence"], {}])
def test_other_kinds_do_not_exist(kind: Any) -> None:
    for data in (SESSION.value() | {"kind": kind}, WHOLE | {"kind": kind}):
        text = json.dumps(data).encode()
        for parse in (parse_policy, Policy.parse, EvidencePolicy.parse):
            with pytest.raises(PolicyError, match="has the kind"):
                parse(text)


@pytest.mark.parametrize("data", [SESSION.value() | {"kind": "evidence"}, {**WHOLE, "kind": ...}])
def test_a_member_of_the_other_kind_is_unknown(data: dict[str, Any]) -> None:
    data = {name: value for name, value in data.items() if value is not ...}
    with pytest.raises(FormatError):
        parse_policy(json.dumps(data).encode())


@pytest.mark.parametrize("member", ["images", "boot_configuration", "secure_boot", "allow_debug", "local", "gcp"])
def test_members_of_a_session_policy_are_unknown(member: str) -> None:
    with pytest.raises(FormatError, match=member):
        EvidencePolicy.parse(document(**{member: SESSION.value().get(member, {})}))


@pytest.mark.parametrize(
    "twice",
    [
        b'{"kind":"evidence","kind":"evidence",',
        b'{"version":1,"platforms":["tdx"],"kind":"evidence","tdx":{"mrtds":["' + b"1" * 96 + b'"],"mrtds":[]},',
    ],
)
def test_repeated_members_are_an_error(twice: bytes) -> None:
    whole = document()
    with pytest.raises(FormatError):
        parse_policy(twice + whole.lstrip(b"{"))


PIN_LISTS = [
    ("snp", "launch_digests"),
    ("snp", "id_key_digests"),
    ("snp", "author_key_digests"),
    ("tdx", "mrtds"),
    ("tdx", "mr_seams"),
    ("tdx", "service_tds"),
    ("tdx", "fmspcs"),
    ("instances", "chip_ids"),
    ("instances", "ppids"),
    ("instances", "azure_vm_ids"),
]


@pytest.mark.parametrize(("section", "name"), PIN_LISTS)
def test_an_empty_list_is_an_error_and_not_any_value(section: str, name: str) -> None:
    with pytest.raises(FormatError, match=name):
        EvidencePolicy.parse(changed(section, **{name: []}))


def test_every_list_of_pins_is_in_the_table_above() -> None:
    sections = schema.load("evidence-policy")
    lists = [
        (section, name)
        for section in ("snp", "tdx", "instances")
        for name, member in sections["properties"][section]["properties"].items()
        if member.get("$ref", "").endswith("sha384s") or (member.get("minItems") == 1 and "items" in member)
    ]
    assert sorted(lists) == sorted([*PIN_LISTS, ("tdx", "tcb_statuses")])


@pytest.mark.parametrize(
    "data",
    [
        document(pcrs={}),
        document(instances={}),
        changed("tdx", rtmrs={}),
        changed("tdx", rtmrs={"4": "00" * 48}),
        document(pcrs={"24": "00" * 32}),
        document(platforms=[]),
        document(platforms=["local"]),
        document(platforms=["gcp-snp"]),
        document(azure={"snp": {"id_key_digests": [], "min_guest_svn": 1}, "tdx": AZURE["tdx"]}),
        changed("snp", minimum_tcb={}),
        changed("snp", vmpl=4),
        changed("snp", minimum_report_version=6),
        changed("snp", allow_debug=True),
        changed("tdx", minimum_report_version="2.0"),
        document(version=2),
        document(snp=None),
        document(tdx=None),
        document(azure=None),
        changed("snp", family_id="00" * 16),
        changed("snp", image_id="00" * 16),
        changed("snp", id_key_digests=["00" * 48]),
        changed("instances", chip_ids=["00" * 64]),
    ],
    ids=lambda data: str(len(data)),
)
def test_what_no_evidence_could_show_is_an_error(data: bytes) -> None:
    with pytest.raises(CloisterError):
        EvidencePolicy.parse(data)


@pytest.mark.parametrize("platform", RawPlatform)
@pytest.mark.parametrize("member", ["pcrs", "chip_ids", "ppids", "azure_vm_ids", "snp", "tdx", "azure"])
def test_pins_that_no_accepted_platform_can_judge_are_an_error(platform: RawPlatform, member: str) -> None:
    is_snp, is_tdx, is_azure = platform.endswith("snp"), platform.endswith("tdx"), platform.startswith("azure")
    kept: dict[str, Any] = {
        "version": 1,
        "kind": "evidence",
        "platforms": [platform.value],
        **{name: WHOLE[name] for name, has in (("snp", is_snp), ("tdx", is_tdx)) if has},
        **({"azure": {"snp" if is_snp else "tdx": AZURE["snp" if is_snp else "tdx"]}} if is_azure else {}),
    }
    assert EvidencePolicy.parse(json.dumps(kept).encode())
    judged = {"pcrs": is_azure or platform == "tpm", "chip_ids": is_snp, "ppids": is_tdx, "azure_vm_ids": is_azure}
    judged |= {"snp": is_snp, "tdx": is_tdx, "azure": False}
    more = {"instances": {member: WHOLE["instances"][member]}} if member.endswith("ids") else {member: WHOLE[member]}
    if judged[member]:
        assert EvidencePolicy.parse(json.dumps(kept | more).encode())
    else:
        with pytest.raises(PolicyError) as caught:
            EvidencePolicy.parse(json.dumps(kept | more).encode())
        assert caught.value.hint


def test_rules_also_hold_for_policies_made_in_code() -> None:
    policy = EvidencePolicy.parse(document())
    wrong: list[dict[str, Any]] = [
        {"platforms": ()},
        {"snp": None},
        {"instances": Instances(gcp=(GcpInstance("mine"),))},
        {"platforms": (RawPlatform.TDX,), "snp": None, "azure": None, "pcrs": {}, "instances": Instances()},
        {"platforms": (RawPlatform.SEV_SNP,), "tdx": None, "azure": None, "pcrs": {}, "instances": Instances()},
    ]
    for changes in wrong:
        with pytest.raises(PolicyError):
            dataclasses.replace(policy, **changes)
    dataclasses.replace(policy, **wrong[3], snp_pins=SnpPins())  # what was wrong are the pins of the other section
    dataclasses.replace(policy, **wrong[4], tdx_pins=TdxPins())


@pytest.mark.parametrize(
    "make",
    [
        lambda: SnpPins(launch_digests=()),
        lambda: TdxPins(mrtds=()),
        lambda: TdxPins(fmspcs=()),
        lambda: TdxPins(rtmrs={4: bytes(48)}),
        lambda: TdxPins(minimum_tee_tcb_svn=bytes(15)),
        lambda: dataclasses.replace(EvidencePolicy.parse(document()), pcrs={24: bytes(32)}),
    ],
)
def test_pin_made_in_code_that_would_be_ignored_is_an_error(make: Callable[[], object]) -> None:
    with pytest.raises(PolicyError):
        make()


@pytest.mark.parametrize("section", ["snp", "tdx", "azure", "instances"])
def test_shared_members_have_the_same_schema_as_in_a_session_policy(section: str) -> None:
    ours, theirs = (schema.load(name)["properties"][section]["properties"] for name in ("evidence-policy", "policy"))
    stricter = {name for _, name in PIN_LISTS} | {"minimum_tcb"}
    for name in ours.keys() & theirs.keys() - stricter:
        assert ours[name] == theirs[name]
    assert theirs.keys() - ours.keys() == ({"gcp"} if section == "instances" else set())
    for name, one in schema.load("evidence-policy")["$defs"].items():
        assert name in ("id", "sha384s") or one == schema.load("policy")["$defs"][name]
