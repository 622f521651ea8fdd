"""A result proves its origin, and every changed byte is found."""

import dataclasses
import datetime
import json
import zipfile

import pytest

from cloister.attestation.collateral_source import CERTIFICATE, InMemory
from cloister.client.collateral.sources import CollateralSources
from cloister.client.computation.events import EventReader
from cloister.client.result import audit, proof
from cloister.client.result.audit import check_log
from cloister.client.result.claims import ClaimOutcome
from cloister.client.result.download import fetch_ciphertext, finish_result
from cloister.client.result.proof import rejection_today, verify_result
from cloister.errors import InputError, ProofError
from cloister.protocol import archive
from cloister.protocol.events import FIRST_PREVIOUS, EventKind, Record
from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.parties import Parties
from tests.protocol.test_names import IN_PROOF_FOLDER


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A proven result and a saved log, and the policy under which they are; the machine is gone."""
    folder = tmp_path_factory.mktemp("parties")
    parties = Parties.make(folder)
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        machine = Machine.of(running, parties)
        manifest = machine.run()
        with machine.connection("lab", manifest) as connection:
            fetch_ciphertext(connection, manifest, folder / "results.zip")
            lines = [record.encode() + b"\n" for record in EventReader(connection).records(follow=False)]
            evidence = connection.evidence()
        finish_result(manifest, machine.policy, folder / "results.zip", "lab")
        (folder / "events.jsonl").write_bytes(b"".join(lines))
        return folder, machine.policy, manifest, evidence


def failed(path, policy):
    found = verify_result(path, policy)
    assert not found.accepted
    return [one.text for one in found.claims if one.outcome is ClaimOutcome.FAILED]


def test_every_claim_of_a_result_is_proven(made):
    folder, policy, manifest, _ = made

    found = verify_result(folder / "results.zip", policy)

    assert found.accepted
    assert found.manifest == manifest.digest()
    assert {one.outcome for one in found.claims} == {ClaimOutcome.PROVEN}
    assert found.at_creation is not None
    assert (found.at_creation.accepted, found.at_creation.confidential) == (True, False)
    assert found.notes == ("The machine was not confidential: its host could read everything in it.",)
    assert found.value()["notes"] == list(found.notes)


def test_party_collateral_is_used_in_every_verification(made):
    folder, policy, _, evidence = made
    collateral = CollateralSources(InMemory({CERTIFICATE: (b"no certificate",)}))

    proven = verify_result(folder / "results.zip", policy, collateral=collateral)
    audited = check_log(folder / "events.jsonl", evidence, policy, collateral=collateral)

    for verdict in (proven.at_creation, proven.today, audited.verdict):
        assert [one.kind for one in verdict.skipped] == [CERTIFICATE]


def rewritten(source, target, changes):
    """A valid archive in which some members have other content; None removes one."""
    with zipfile.ZipFile(source) as packed:
        members = {name: packed.read(name) for name in packed.namelist()} | changes
    with target.open("wb") as out:
        archive.write_zip(out, [(name, content) for name, content in members.items() if content is not None])
    return target


def test_flipped_bit_anywhere_fails_a_claim(made, tmp_path):
    folder, policy, _, _ = made
    content = (folder / "results.zip").read_bytes()
    path = tmp_path / "results.zip"
    places = sorted({*range(0, len(content), max(1, len(content) // 60)), len(content) - 1})

    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert failed(path, policy), f"byte {place}"


@pytest.mark.parametrize("name", [*proof.PARTS, "model.json"])
def test_change_in_any_part_of_a_valid_archive_fails_a_claim(made, tmp_path, name):
    folder, policy, _, _ = made
    with zipfile.ZipFile(folder / "results.zip") as packed:
        content = packed.read(name)

    for place in sorted({0, len(content) // 3, len(content) // 2, len(content) - 1}):
        changed = bytearray(content)
        changed[place] ^= 1
        path = rewritten(folder / "results.zip", tmp_path / "results.zip", {name: bytes(changed)})
        assert failed(path, policy), f"byte {place} of {name}"


@pytest.mark.parametrize(
    "changes",
    [
        {"more.json": b"{}"},
        {"model.json": None},
        *({name: b"{}"} for name in IN_PROOF_FOLDER if "/" in name),
        {"cloister/events.jsonl": b""},
    ],
)
def test_added_or_missing_file_fails_a_claim(made, tmp_path, changes):
    folder, policy, _, _ = made

    assert failed(rewritten(folder / "results.zip", tmp_path / "results.zip", changes), policy)


def test_bytes_around_the_archive_are_rejected(made, tmp_path):
    folder, policy, _, _ = made
    content = (folder / "results.zip").read_bytes()
    for changed in (b"#!/bin/sh\n" + content, content + b"\n", content[:-1], b""):
        path = tmp_path / "results.zip"
        path.write_bytes(changed)
        assert failed(path, policy)


def test_unpacked_result_is_told_from_the_file_that_is_proven(made, tmp_path):
    _, policy, _, _ = made

    with pytest.raises(InputError, match=r"is a folder, and a result is proven as one file\.") as raised:
        verify_result(tmp_path, policy)

    assert raised.value.hint == "Name the file that `result` wrote, not what it unpacked."


def test_other_policy_rejects_the_machine(made):
    folder, policy, _, _ = made
    other = dataclasses.replace(
        policy, boot_configuration=dataclasses.replace(policy.boot_configuration, workspace="other")
    )

    found = verify_result(folder / "results.zip", other)

    with pytest.raises(
        ProofError, match=r'Not so: "The evidence was accepted by your policy.*expected other'
    ) as raised:
        found.require_accepted()
    assert "--collateral" in raised.value.hint


def test_changed_file_has_to_be_asked_for_again(made, tmp_path):
    folder, policy, _, _ = made
    (tmp_path / "changed.zip").write_bytes((folder / "results.zip").read_bytes() + b"x")
    with pytest.raises(ProofError, match='Not so: "The file is a result') as raised:
        verify_result(tmp_path / "changed.zip", policy).require_accepted()
    assert raised.value.hint == "Do not use it: ask the consumer for an unchanged copy."


def test_certificates_expired_since_creation_are_reported(made):
    folder, policy, _, _ = made
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=4000)

    found = verify_result(folder / "results.zip", policy, today=later)

    assert found.accepted
    assert found.today is not None
    assert not found.today.accepted
    assert "validity" in rejection_today(found)


def test_event_log_is_proven_with_evidence_and_policy(made):
    folder, policy, _, evidence = made

    found = check_log(folder / "events.jsonl", evidence, policy)

    assert found.accepted
    assert json.loads(json.dumps(found.value()))["accepted"] is True


@pytest.mark.parametrize("bound", ["MAX_EVENTS", "MAX_LOG"])
def test_file_that_is_larger_than_any_log_is_refused(made, monkeypatch, bound):
    folder, policy, _, evidence = made
    size = {"MAX_EVENTS": len, "MAX_LOG": lambda lines: sum(map(len, lines))}[bound](
        (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    )
    monkeypatch.setattr(audit, bound, size)
    assert check_log(folder / "events.jsonl", evidence, policy).accepted
    monkeypatch.setattr(audit, bound, size - 1)
    with pytest.raises(InputError, match="it is not an event log"):
        check_log(folder / "events.jsonl", evidence, policy)


def test_event_log_alone_leaves_claims_unchecked(made):
    folder, _, _, _ = made

    found = check_log(folder / "events.jsonl", None, None)

    assert not found.accepted
    assert [one.outcome for one in found.claims] == [ClaimOutcome.PROVEN, *[ClaimOutcome.NOT_CHECKED] * 3]


@pytest.mark.parametrize("change", ["cut-front", "cut-middle", "swap", "flip", "empty"])
def test_changed_event_log_fails_a_claim(made, tmp_path, change):
    folder, policy, _, evidence = made
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    if change == "cut-front":
        lines = lines[1:]
    elif change == "cut-middle":
        lines = lines[:2] + lines[3:]
    elif change == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    elif change == "flip":
        lines[2] = lines[2].replace(b'"uptime":', b'"uptime":1', 1)
    else:
        lines = []
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(lines))

    found = check_log(path, evidence, policy)

    assert ClaimOutcome.FAILED in {one.outcome for one in found.claims}


@pytest.mark.parametrize("said", ["", "x", "-1", "1_0", " 1", "\u0663", "9" * 4096, "1"])
def test_log_that_does_not_say_how_many_approvals_are_demanded_proves_none(made, tmp_path, said):
    previous, lines = FIRST_PREVIOUS, []
    for line in (made[0] / "events.jsonl").read_bytes().splitlines():
        event = dataclasses.replace(Record.parse(line).event, previous=previous.hex())
        if event.kind is EventKind.MANIFEST:
            event = dataclasses.replace(event, detail=event.detail | {"approvals": said})
        previous = event.digest()
        lines.append(Record(event, b"").encode() + b"\n")
    (tmp_path / "events.jsonl").write_bytes(b"".join(lines))

    found = check_log(tmp_path / "events.jsonl", None, None)

    assert [one.text for one in found.claims if one.outcome is ClaimOutcome.FAILED] == [
        "No result was released before every approval was given"
    ]
