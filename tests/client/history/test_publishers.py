"""Which statement of a publisher was seen is remembered, and no older one counts after it."""

import contextlib
import dataclasses
from datetime import UTC, datetime

import pytest

from cloister.attestation.collateral_source import SEEN_STATEMENT
from cloister.attestation.statements.lifecycle import ImageStatus
from cloister.client import Party
from cloister.client.history.publishers import read_publishers, remember_statement, remembered_statements
from cloister.errors import InputError, ProofError
from tests.attestation.statements.samples import DAY, LAB, PUBLISHER, life, public, publisher, signed

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "cloister" / "publishers"


def statement(counter, image=b"i" * 32, key=PUBLISHER, **changes):
    return signed(life(image, NOW, counter=counter, **changes), key)


def counters():
    return [entry.accepted.label for one in read_publishers() for entry in one.entries]


@pytest.fixture
def party(machine, parties, tmp_path):
    """A party that demands a publisher's statement, and its folder of collateral."""
    machine.submit()
    collateral = tmp_path / "collateral"
    collateral.mkdir()
    policy = dataclasses.replace(machine.policy, publisher=publisher())

    def made():
        return Party(
            key=parties.keys["hospital-1"],
            policy=policy,
            address=str(machine.running.address),
            collateral=collateral,
            confirm=lambda workspace, changes: True,
        )

    return made, collateral / "lifecycle.json", machine.policy.images[0].manifest_digest


def test_an_older_statement_than_the_last_one_seen_is_refused(party):
    made, file, image = party
    with pytest.raises(ProofError, match="no statement that its key has signed"), made().connect() as machine:
        machine.status()
    for counter in (7, 7, 9):
        file.write_bytes(statement(counter, image))
        with made().connect() as machine:
            machine.status()
    assert counters() == ["7", "9"]

    file.write_bytes(statement(8, image))
    with pytest.raises(ProofError, match=r"counter 8.*older than the last one seen"), made().connect() as machine:
        machine.status()
    file.write_bytes(statement(9, image, expires=NOW + 31 * DAY))
    with pytest.raises(ProofError, match="another statement with this counter"), made().connect() as machine:
        machine.status()
    assert counters() == ["7", "9"]


def test_a_verdict_alone_remembers_nothing(party):
    made, file, image = party
    file.write_bytes(statement(7, image))
    assert made().attest().accepted
    assert counters() == []


def test_a_withdrawal_is_remembered_although_the_machine_is_refused(party):
    made, file, image = party
    for counter, status, said in (
        (7, ImageStatus.CURRENT, ""),
        (8, ImageStatus.WITHDRAWN, "with the image as withdrawn"),
        (7, ImageStatus.CURRENT, "older than the last one seen"),
    ):
        file.write_bytes(statement(counter, image, status=status))
        with pytest.raises(ProofError, match=said) if said else contextlib.nullcontext(), made().connect() as machine:
            machine.status()
    assert counters() == ["7", "8"]


def test_refusal_is_told_also_when_nothing_can_be_remembered(party, folder):
    made, file, _ = party
    file.write_bytes(statement(7, b"o" * 32))
    with made().connect() as machine:
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        with pytest.raises(ProofError, match="does not list the image"):
            machine.status()


def test_statements_of_one_publisher_do_not_push_out_those_of_another(monkeypatch):
    monkeypatch.setattr("cloister.client.history.documents._MOST_KEPT", 1)
    other = dataclasses.replace(publisher(), key=public(LAB))
    remember_statement(other, [statement(1, key=LAB)])
    for counter in (5, 6):
        remember_statement(publisher(), [statement(counter)])
    assert sorted(remembered_statements().items(SEEN_STATEMENT)) == sorted([statement(1, key=LAB), statement(6)])


def test_only_the_publishers_own_statements_are_remembered():
    remember_statement(publisher(), [statement(9, key=LAB), statement(3), statement(5)])
    assert counters() == ["5"]
    remember_statement(publisher(), [statement(9, key=LAB)])
    assert counters() == ["5"]
    assert list(remembered_statements().items(SEEN_STATEMENT)) == [statement(5)]


def test_what_another_command_has_seen_meanwhile_counts():
    remember_statement(publisher(), [statement(5)])
    for older in (statement(4), statement(5, expires=NOW + 31 * DAY)):
        with pytest.raises(InputError, match="Another command has seen a newer statement of team"):
            remember_statement(publisher(), [older])


@pytest.mark.parametrize("damage", ["document", "document gone", "log", "log gone", "cut"])
def test_a_memory_that_was_changed_is_an_error(folder, damage):
    remember_statement(publisher(), [statement(5)])
    remember_statement(publisher(), [statement(6)])
    (log,) = folder.glob("*.jsonl")
    (document,) = (log.with_suffix("") / "documents").glob(f"{read_publishers()[0].entries[-1].accepted.digest}.json")
    if damage == "document":
        document.write_bytes(statement(5))
    elif damage == "document gone":
        document.unlink()
    elif damage == "log":
        log.write_bytes(log.read_bytes().replace(b'"label":"6"', b'"label":"1"'))
    elif damage == "log gone":
        log.unlink()
    else:
        log.write_bytes(log.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(InputError, match=r"changed|missing"):
        remembered_statements()
