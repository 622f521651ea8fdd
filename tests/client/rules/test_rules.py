"""A standing rule consents to computations like the one it was written for, as often as it says, and to no other."""

import copy
import datetime
import json
import threading

import pytest

from cloister.client.computation import submission
from cloister.client.files import exclusive, state
from cloister.client.rules.consent import consent_by_rule
from cloister.client.rules.rule import StandingRule, write_rule
from cloister.client.rules.uses import count_use
from cloister.errors import InputError, ProofError
from cloister.protocol.manifest import Manifest
from tests.agent_fixture import running_agent
from tests.client.machine import Machine

TODAY = datetime.date(2026, 6, 1)
KEY = "hospital-1"
BOOT = b"an event-log key"


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def written(parties, policy, *, uses=2, until="2026-12-31", **paths):
    return write_rule(
        parties.folder / "rule.yaml",
        parties.manifest(),
        parties.keys[KEY].public,
        policy,
        uses=uses,
        until=until,
        paths=paths or {"h1": "data/h1.csv"},
    )


@pytest.fixture
def rule(machine):
    return written(machine.parties, machine.policy)


def changed(manifest, *path, to=None, drop=False):
    """The manifest with one member changed."""
    value = copy.deepcopy(manifest.value())
    place = value
    for step in path[:-1]:
        place = place[step]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return Manifest.from_value(value)


def permits(rule, machine, manifest, today=TODAY, policy=None):
    return rule.require(manifest, machine.parties.keys[KEY].public, policy or machine.policy, today)


D = "ab" * 32
FREE = {
    "another id": ("id", D[:32]),
    "another name": ("name", "again"),
    "another description": ("description", "the same, a day later"),
    "another provider's data": ("datasets", 1, "digest", D),
    "more of another provider's data": ("datasets", 1, "size", 77),
}
"""What may differ from the manifest that the rule was written for."""

FIXED = {
    "the algorithm": ("algorithm", "digest", D),
    "its size": ("algorithm", "size", 7),
    "its file's name": ("algorithm", "file", "other.py"),
    "its provider": ("algorithm", "provider", "hospital-2"),
    "its kind": ("algorithm", "kind", "wasm"),
    "its arguments": ("algorithm", "args", []),
    "more arguments": ("algorithm", "args", ["--epochs", "1", "--leak"]),
    "an argument's value": ("algorithm", "args", ["--epochs", "2"]),
    "its environment": ("algorithm", "environment", {"LEAK": "1"}),
    "a bundle": ("algorithm", "bundle", {"file": "b.bundle", "digest": D, "size": 1}),
    "a file": ("algorithm", "files", [{"name": "w", "at": "w.pth", "file": "w.pth", "digest": D, "size": 1}]),
    "packages of the image": ("algorithm", "image_packages", {"torch": "2.6.0"}),
    "its own data": ("datasets", 0, "digest", D),
    "the size of its own data": ("datasets", 0, "size", 7),
    "the name of its own file": ("datasets", 0, "file", "h.csv"),
    "another provider's name of a file": ("datasets", 1, "file", "train.csv"),
    "another provider": ("datasets", 1, "provider", "lab"),
    "consumers": ("results", "consumers", ["lab", "hospital-1", "hospital-2"]),
    "the order of consumers": ("results", "consumers", ["hospital-1", "lab"]),
    "other consumers": ("results", "consumers", ["hospital-2"]),
    "the size of the result": ("results", "max", 1 << 30),
    "how long it is kept": ("results", "expires", 7),
    "an approval": ("results", "approval", {"by": ["lab"], "sees": "files"}),
    "log readers": ("logs", "readers", ["lab", "hospital-2"]),
    "the size of the logs": ("logs", "max", 1 << 20),
    "live logs": ("logs", "release", "live"),
    "time": ("limits", "time", 99),
    "memory": ("limits", "memory", 1 << 33),
    "CPUs": ("limits", "cpus", 2),
    "processes": ("limits", "processes", 17),
    "scratch": ("limits", "scratch", 1 << 30),
}


@pytest.mark.parametrize("what", FREE)
def test_computation_like_the_one_it_was_written_for_is_permitted(machine, rule, what):
    *path, to = FREE[what]

    assert [asset.name for asset in permits(rule, machine, changed(machine.parties.manifest(), *path, to=to))] == ["h1"]


@pytest.mark.parametrize("what", FIXED)
def test_what_the_rule_does_not_name_does_not_match(machine, rule, what):
    *path, to = FIXED[what]

    with pytest.raises(InputError, match="does not permit this computation") as caught:
        permits(rule, machine, changed(machine.parties.manifest(), *path, to=to))

    assert any(part in caught.value.message for part in (str(path[-1]), "h1", "h2")), caught.value.message


def test_other_key_of_a_party_does_not_match(machine, rule):
    value = machine.parties.manifest().value()
    stranger = machine.parties.keys["stranger"]
    other = value["parties"]["lab"]
    value["parties"]["lab"] = {**other, "key": Manifest.from_value(value).value()["parties"]["hospital-2"]["key"]}
    del value["parties"]["hospital-2"]
    value["datasets"] = value["datasets"][:1]
    with pytest.raises(InputError, match=r"parties\.hospital-2: .* nothing here\."):
        permits(rule, machine, Manifest.from_value(value))
    assert stranger


def test_dataset_that_the_rule_does_not_name_does_not_match(machine, rule):
    value = machine.parties.manifest().value()
    value["datasets"].append({**value["datasets"][1], "name": "h3", "file": "h3.csv"})
    with pytest.raises(InputError, match=r"others\.h3\.file: nothing in the rule"):
        permits(rule, machine, Manifest.from_value(value))


def test_other_policy_and_workspace_do_not_match(machine, rule):
    with pytest.raises(InputError, match=r"policy: .* workspace: "):
        permits(rule, machine, machine.parties.manifest(), policy=machine.other_policy(workspace="other"))


@pytest.mark.parametrize(("today", "valid"), [("2026-12-31", True), ("2027-01-01", False)])
def test_rule_ends_with_its_last_day(machine, rule, today, valid):
    day = datetime.date.fromisoformat(today)
    if valid:
        permits(rule, machine, machine.parties.manifest(), day)
    else:
        with pytest.raises(InputError, match="has ended: it was valid until 2026-12-31"):
            permits(rule, machine, machine.parties.manifest(), day)


def test_rule_without_a_member_permits_nothing(machine, rule):
    text = rule.path.read_text()
    for member in ("policy", "workspace", "until", "uses", "limits"):
        kept = [line for line in text.splitlines(keepends=True) if not line.startswith(f'"{member}"')]
        rule.path.write_text("".join(kept))
        with pytest.raises(InputError):
            permits(StandingRule.load(rule.path), machine, machine.parties.manifest())


def test_true_is_not_one(machine, rule):
    text = rule.path.read_text()
    rule.path.write_text(text.replace('"cpus": 1', '"cpus": true'))
    with pytest.raises(InputError, match=r"limits\.cpus"):
        permits(StandingRule.load(rule.path), machine, machine.parties.manifest())


def test_digest_of_another_providers_data_can_be_fixed(machine, rule):
    manifest = machine.parties.manifest()
    (h2,) = [one for one in manifest.datasets if one.name == "h2"]
    rule.path.write_text(
        rule.path.read_text().replace('"file": "h2.csv"', f'"file": "h2.csv"\n  "digest": "{h2.digest}"')
    )
    fixed = StandingRule.load(rule.path)

    permits(fixed, machine, manifest)
    with pytest.raises(InputError, match=r"others\.h2\.digest"):
        permits(fixed, machine, changed(manifest, "datasets", 1, "digest", to=D))


def test_use_is_counted_once_for_a_manifest_and_never_above_the_number(rule):
    assert [count_use(rule, digest, BOOT) for digest in (b"1", b"1", b"2", b"1")] == [1, 1, 0, 0]
    with pytest.raises(InputError, match="is used up: it permits 2"):
        count_use(rule, b"3", BOOT)


def test_machine_that_was_reset_takes_another_use_of_the_same_manifest(rule):
    """An owner could have one manifest computed as often as it likes, and average the noise out of its results."""
    assert [count_use(rule, b"1", boot) for boot in (b"first", b"second", b"first")] == [1, 0, 0]
    with pytest.raises(InputError, match="is used up: it permits 2"):
        count_use(rule, b"1", b"third")


def test_copy_of_a_rule_shares_its_count(rule, tmp_path):
    copied = tmp_path / "copy.yaml"
    copied.write_bytes(rule.path.read_bytes())
    count_use(rule, b"1", BOOT)
    assert count_use(StandingRule.load(copied), b"2", BOOT) == 0


def test_commands_at_one_time_do_not_use_a_rule_too_often(rule):
    told = []

    def use(number):
        try:
            count_use(rule, bytes([number]), BOOT)
            told.append("permitted")
        except InputError as error:
            assert "is used up" in error.message
            told.append("refused")

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["permitted"] * 2 + ["refused"] * 6


def test_rule_whose_count_is_damaged_or_locked_permits_nothing(rule, monkeypatch):
    count_use(rule, b"1", BOOT)
    (at,) = state.folder("rules").glob("*.json")
    for wrong in (b"", b"[1]", b"{}", b'["00"', b"null"):
        at.write_bytes(wrong)
        with pytest.raises(InputError, match="does not say how often"):
            count_use(rule, b"2", BOOT)
    monkeypatch.setattr(state, "_PAUSE", 0)
    with exclusive.locked(at.with_suffix(".lock")), pytest.raises(InputError, match="Another command is counting"):
        count_use(rule, b"2", BOOT)


def uploaded(machine, manifest, rule):
    with machine.connection(KEY, manifest) as connection:
        return consent_by_rule(connection, manifest, rule, today=TODAY)


def used(rule):
    return [len(json.loads(path.read_bytes())) for path in state.folder("rules").glob("*.json")]


def test_agent_gets_an_ordinary_consent(machine, rule):
    manifest = machine.submit()

    (one,) = uploaded(machine, manifest, rule)

    assert (one.asset.name, one.sent) == ("h1", 4000)
    (again,) = uploaded(machine, manifest, rule)
    assert (again.sent, used(rule)) == (0, [1])


def test_nothing_is_counted_or_sent_if_file_or_machine_is_wrong(machine, rule):
    manifest = machine.submit()
    content = machine.parties.files["h1"].read_bytes()
    machine.parties.files["h1"].write_bytes(content[:-1] + b"x")
    with pytest.raises(InputError, match="is not what the manifest says"):
        uploaded(machine, manifest, rule)
    machine.parties.files["h1"].write_bytes(content)
    other = machine.other_policy(workspace="other")
    elsewhere = Machine(machine.running, machine.parties, other)
    machine.parties.folder.joinpath("rule.yaml").unlink()
    for_other = written(machine.parties, other)
    manifest = machine.parties.manifest()
    with pytest.raises(ProofError):
        uploaded(elsewhere, manifest, for_other)
    assert used(rule) == []


def test_rule_that_is_used_up_sends_nothing(machine, rule):
    manifest = machine.submit()
    for digest in (b"1", b"2"):
        count_use(rule, digest, BOOT)
    with pytest.raises(InputError, match="is used up"):
        uploaded(machine, manifest, rule)
    with machine.connection("lab", manifest) as connection:
        assert not [one for one in connection.session().status().assets if one.received]


def test_session_with_a_machine_that_was_reset_takes_another_use(machine, parties, tmp_path_factory):
    """Also in one command: the host decides which machine answers after a line was cut."""
    rule = written(parties, machine.policy, uses=1)
    manifest = machine.submit()
    owners, authority = (parties.keys["lab"].id,), machine.running.authority
    with (
        running_agent(tmp_path_factory.mktemp("reset"), owners, authority=authority) as reset,
        machine.connection(KEY, manifest) as connection,
    ):
        again = Machine.of(reset, parties)
        submission.submit(again.target(), parties.keys["lab"], manifest).close()
        consent_by_rule(connection, manifest, rule, today=TODAY)
        consent_by_rule(connection, manifest, rule, today=TODAY)
        connection.close()
        connection.target = again.target(manifest)
        with pytest.raises(InputError, match="is used up: it permits 1"):
            consent_by_rule(connection, manifest, rule, today=TODAY)
        connection.session()  # what else the party does there takes none


def test_upload_that_goes_on_at_a_machine_that_was_reset_asks_the_rule_again(machine):
    seen = []

    def once(verdict):
        seen.append(verdict.claims.event_log_key)
        if len(seen) > 1:
            raise InputError("Used up.")

    manifest = machine.submit()
    with machine.connection(KEY, manifest) as connection:
        with connection.permitting(once):
            connection.session()
            connection.close()
            with pytest.raises(InputError, match="Used up"):
                connection.session()
        connection.session()
    assert len(seen) == 2


def test_rule_is_not_overwritten(machine, rule):
    with pytest.raises(InputError, match="is not overwritten"):
        written(machine.parties, machine.policy)


@pytest.mark.parametrize("until", ["soon", "2026-13-01", "20261231", ""])
def test_rule_has_a_last_day(machine, until):
    with pytest.raises(InputError, match="2026-01-31"):
        written(machine.parties, machine.policy, until=until)


@pytest.mark.parametrize("uses", [0, -1, 100_001])
def test_rule_has_a_number_of_uses(machine, uses):
    with pytest.raises(InputError, match="uses must be 1 to 100000"):
        written(machine.parties, machine.policy, uses=uses)


def test_every_member_of_a_manifest_is_compared_or_decides_nothing(machine, rule, monkeypatch):
    """A member that a later version of manifests has makes every rule of today silent."""
    manifest = machine.parties.manifest()
    value = manifest.value()
    monkeypatch.setattr(Manifest, "value", lambda self: value | {"priority": 1})
    with pytest.raises(InputError, match="priority: nothing in the rule, something here"):
        permits(rule, machine, manifest)
