"""A result that had to be approved carries its approvals, and proves nothing without them."""

import dataclasses
import zipfile

import pytest

from cloister.client.computation.decisions import approve_result, preview_result, reject_result
from cloister.client.connection import refusal
from cloister.client.connection.session import Session
from cloister.client.result import proof
from cloister.client.result.claims import ClaimOutcome
from cloister.client.result.download import fetch_ciphertext, finish_result
from cloister.client.result.fetch import fetch_result
from cloister.client.result.pending import has_pending_key
from cloister.client.result.preview import require_read
from cloister.client.result.proof import verify_result
from cloister.errors import InputError, ProofError
from cloister.protocol import approval, canonical, transcript
from cloister.protocol.approval import Approval
from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.parties import Parties
from tests.client.result.test_proof import failed, rewritten

NAMES = "{by: [hospital-2, lab], sees: names}"
FILES = "{by: [hospital-2], sees: files}"


def waiting(parties, running, demanded):
    parties.edit("max: 1MiB", f"max: 1MiB, approval: {demanded}")
    machine = Machine.of(running, parties)
    return machine, machine.run()


def approve(machine, manifest, party):
    with machine.connection(party, manifest) as connection:
        approve_result(connection, manifest, preview_result(connection, manifest))


def fetch(machine, manifest, party, output):
    with machine.connection(party, manifest) as connection:
        fetch_ciphertext(connection, manifest, output)
    return finish_result(manifest, machine.policy, output, party)


@pytest.fixture
def running(machine):
    return machine.running


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An approved result; the machine is gone."""
    folder = tmp_path_factory.mktemp("parties")
    parties = Parties.make(folder)
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        machine, manifest = waiting(parties, running, NAMES)
        for party in ("hospital-2", "lab"):
            approve(machine, manifest, party)
        fetch(machine, manifest, "hospital-1", folder / "results.zip")
    return folder / "results.zip", machine.policy, manifest, parties


def test_approved_result_proves_its_approvals(made):
    path, policy, _, _ = made

    found = verify_result(path, policy)

    assert found.accepted
    assert not found.preview
    (claim,) = [one for one in found.claims if one.text == proof.APPROVED]
    assert (claim.outcome, claim.detail) == (ClaimOutcome.PROVEN, "hospital-2, lab")
    assert sorted(path.parent.glob("results.zip*")) == [path]


def listed(path):
    with zipfile.ZipFile(path) as packed:
        return approval.parse(packed.read(proof.APPROVALS))


def without(made, party):
    return [one for one in listed(made[0]) if one.party != party]


def forged(made, **changes):
    _, _, manifest, parties = made
    members = {
        "manifest_digest": manifest.digest(),
        "payload_digest": bytes(32),
        "transcript": bytes(64),
    } | changes
    signature = parties.keys["lab"].sign(transcript.approval_message(**members))
    return [*without(made, "lab"), Approval("lab", members["transcript"], signature)]


CHANGES = {
    "all missing": lambda made: None,
    "one missing": lambda made: without(made, "lab"),
    "another party's instead": lambda made: [
        *without(made, "lab"),
        dataclasses.replace(without(made, "lab")[0], party="lab"),
    ],
    "one more": lambda made: [*listed(made[0]), dataclasses.replace(listed(made[0])[0], party="hospital-1")],
    "another result's": forged,
    "another session's": lambda made: [
        *without(made, "lab"),
        dataclasses.replace(next(one for one in listed(made[0]) if one.party == "lab"), transcript=bytes(64)),
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_result_without_every_approval_is_not_proven(made, tmp_path, change):
    changed = CHANGES[change](made)
    content = None if changed is None else approval.encode(changed)

    path = rewritten(made[0], tmp_path / "results.zip", {proof.APPROVALS: content})

    assert failed(path, made[1]) == [proof.APPROVED]


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b'{"approvals":[],"version":1}', b'{"approvals":"x","version":1}'],
)
def test_malformed_approvals_are_not_proven(made, tmp_path, content):
    path = rewritten(made[0], tmp_path / "results.zip", {proof.APPROVALS: content})

    assert failed(path, made[1]) == [proof.APPROVED]


def test_approvals_of_a_result_that_needed_none_are_not_accepted(machine, tmp_path, made):
    manifest = machine.run()
    fetch(machine, manifest, "lab", tmp_path / "results.zip")

    more = {proof.APPROVALS: approval.encode(listed(made[0]))}
    path = rewritten(tmp_path / "results.zip", tmp_path / "more.zip", more)

    assert failed(path, machine.policy) == [proof.APPROVED]


def test_machine_that_omits_an_approval_is_found_out_and_nothing_is_lost(machine, running, tmp_path, monkeypatch):
    machine, manifest = waiting(machine.parties, running, NAMES)
    for party in ("hospital-2", "lab"):
        approve(machine, manifest, party)
    release = Session.release_result

    def omitting(session, consumer, digest):
        key = release(session, consumer, digest)
        session.approvals = session.approvals[:1]
        return key

    monkeypatch.setattr(Session, "release_result", omitting)
    with pytest.raises(ProofError, match="The approval of lab is missing"):
        fetch(machine, manifest, "hospital-1", tmp_path / "results.zip")
    assert has_pending_key(tmp_path / "results.zip")
    assert not (tmp_path / "results.zip").exists()


def test_consumer_that_is_given_no_approval_has_no_preview(machine, running, tmp_path, monkeypatch):
    machine, manifest = waiting(machine.parties, running, FILES)
    approve(machine, manifest, "hospital-2")
    release = Session.release_result

    def omitting(session, consumer, digest):
        key = release(session, consumer, digest)
        session.approvals = ()
        return key

    monkeypatch.setattr(Session, "release_result", omitting)
    with pytest.raises(ProofError, match="The approval of hospital-2 is missing"):
        fetch(machine, manifest, "lab", tmp_path / "results.zip")


def test_files_of_a_preview_beside_the_output_do_not_make_its_reader_an_approver(machine, running, tmp_path):
    """Others may write to the folder of the output."""
    machine, manifest = waiting(machine.parties, running, FILES)
    with machine.connection("hospital-2", manifest) as connection:
        fetch_ciphertext(connection, manifest, tmp_path / "results.zip")

    with pytest.raises(ProofError, match="The approval of hospital-2 is missing"):
        fetch_result(lambda: machine.connection("lab", manifest), manifest, machine.policy, tmp_path / "results.zip")
    assert not (tmp_path / "results.zip").exists()


def test_approver_reads_the_files_before_it_decides(machine, running, tmp_path):
    machine, manifest = waiting(machine.parties, running, FILES)
    preview = tmp_path / "preview.zip"

    found = fetch(machine, manifest, "hospital-2", preview)

    assert found.accepted
    assert found.preview
    assert failed(preview, machine.policy) == [proof.APPROVED]
    with pytest.raises(refusal.Refusal) as caught:
        fetch(machine, manifest, "lab", tmp_path / "results.zip")
    assert caught.value.reason == "NOT_READY"
    approve(machine, manifest, "hospital-2")
    fetch(machine, manifest, "lab", tmp_path / "results.zip")
    assert verify_result(preview, machine.policy, approvals=listed(tmp_path / "results.zip")).accepted


def test_result_that_an_approver_has_read_must_be_the_one_that_waits(machine, running, made, tmp_path):
    """A machine that was reset in between has computed another result of the same manifest."""
    machine, manifest = waiting(machine.parties, running, FILES)
    fetch(machine, manifest, "hospital-2", tmp_path / "preview.zip")
    with machine.connection("hospital-2", manifest) as connection:
        found = preview_result(connection, manifest)

    require_read(found, tmp_path / "preview.zip", machine.policy)
    with pytest.raises(ProofError, match=r"is not the result that waits \(its receipt: "):
        require_read(dataclasses.replace(found, receipt=bytes(32)), tmp_path / "preview.zip", machine.policy)
    with pytest.raises(ProofError, match="The result is not proven"):
        require_read(found, made[0], machine.policy)


def test_preview_names_files_and_sizes_and_is_about_the_receipt_in_the_log(machine, running):
    machine, manifest = waiting(machine.parties, running, NAMES)
    with machine.connection("lab", manifest) as connection:
        found = preview_result(connection, manifest)
        assert (found.files, found.log_size) == ((("model.json", 2),), 0)
        log = machine.running.agent.log
        assert found.receipt.hex() in b"".join(log._lines).decode()


def test_machine_that_shows_another_receipt_than_its_log_is_not_approved(machine, running, monkeypatch):
    machine, manifest = waiting(machine.parties, running, NAMES)
    preview = Session.preview

    def other(session):
        answer = preview(session)
        answer.receipt_digest = bytes(32)
        return answer

    monkeypatch.setattr(Session, "preview", other)
    with (
        machine.connection("lab", manifest) as connection,
        pytest.raises(ProofError, match="shows another receipt than its event log"),
    ):
        preview_result(connection, manifest)


def test_machine_cannot_show_names_that_mislead(machine, running, monkeypatch):
    machine, manifest = waiting(machine.parties, running, NAMES)
    preview = Session.preview

    def other(session):
        answer = preview(session)
        answer.files[0].name = "a\x1b[2J"
        return answer

    monkeypatch.setattr(Session, "preview", other)
    with machine.connection("lab", manifest) as connection, pytest.raises(ProofError, match="whose name"):
        preview_result(connection, manifest)


@pytest.mark.parametrize("decide", [preview_result, reject_result])
def test_key_that_does_not_decide_is_told_before_anything_is_sent(machine, running, decide):
    machine, manifest = waiting(machine.parties, running, NAMES)
    with machine.connection("hospital-1", manifest) as connection:
        with pytest.raises(InputError, match="must be approved by: hospital-2, lab"):
            decide(connection, manifest)
        assert connection._session is None


def test_rejection_whose_answer_was_lost_can_be_repeated(machine, running):
    machine, manifest = waiting(machine.parties, running, NAMES)
    for _ in range(2):
        with machine.connection("lab", manifest) as connection:
            reject_result(connection, manifest)
    with machine.connection("hospital-2", manifest) as connection, pytest.raises(refusal.Refusal) as caught:
        reject_result(connection, manifest)
    assert (caught.value.reason, caught.value.metadata["event"]) == ("TOO_LATE", "result-rejected")


def test_list_of_approvals_has_one_form():
    listed_twice = [{"party": "lab", "signature": "", "transcript": ""}] * 2
    for wrong in (listed_twice, [{"party": "lab", "signature": "", "transcript": "=="}]):
        with pytest.raises(canonical.FormatError):
            approval.parse(canonical.encode({"version": 1, "approvals": wrong}))
