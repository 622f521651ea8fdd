"""What a party accepted is remembered; what changed needs a yes; a history that was changed or cut is refused."""

import contextlib
import dataclasses
import errno
import json
import os
import threading

import pytest

from cloister.attestation.policy.policy import Policy
from cloister.client.connection.connection import Connection
from cloister.client.files import exclusive, state
from cloister.client.history import log as logs
from cloister.client.history.entry import Accepted, AcceptedHow, AcceptedKind
from cloister.client.history.history import AcceptanceHistory, log_path, say_no
from cloister.client.history.log import HistoryLog
from cloister.client.history.pending import _token
from cloister.client.history.reading import accept_change, read_history
from cloister.errors import InputError
from cloister.protocol import canonical
from cloister.protocol.manifest import Manifest

PARTY = "hospital-1"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "cloister" / "history"


class Asked:
    """Answers questions, and keeps what was asked and noted."""

    def __init__(self, answer=True):
        self.answer = answer
        self.lines = []
        self.notes = []

    def confirm(self, workspace, changes):
        self.lines += [line for one in changes for line in one.lines]
        return self.answer


def accept(machine, asked, manifest=None, *, policy=None, by_rule=False, change=lambda verdict: verdict):
    """A party accepts a machine, as any of its commands does."""
    history = AcceptanceHistory(policy or machine.policy, manifest, confirm=asked.confirm, noted=asked.notes.append)
    target = dataclasses.replace(
        machine.target(), accepting=lambda verdict, key: history(change(verdict), key), policy=policy or machine.policy
    )
    ruled = history.ruled() if by_rule else contextlib.nullcontext()
    with ruled, Connection(target, machine.parties.keys[PARTY]) as connection:
        connection.session()


def entries():
    return [(one.accepted.kind.value, one.accepted.subject, one.how.value) for one in read_history()[0].entries]


@pytest.fixture
def open_to_all(machine):
    """Lets every key open a session, before a manifest names it."""
    machine.submit()
    return machine


def test_first_acceptance_is_noted_and_an_unchanged_one_is_silent(open_to_all):
    manifest, asked = open_to_all.parties.manifest(), Asked(answer=False)

    for _ in range(2):
        accept(open_to_all, asked, manifest)

    assert asked.lines == []
    (note,) = asked.notes
    assert note.startswith("Accepted for the first time in the workspace trial: image base (")
    assert entries() == [
        ("image", "main", "first"),
        ("policy", "", "first"),
        ("key", "hospital-1", "first"),
        ("key", "hospital-2", "first"),
        ("key", "lab", "first"),
        ("manifest", "covid19", "first"),
    ]


def another_image(verdict):
    claims = dataclasses.replace(verdict.claims, image=("base", b"\x01" * 32))
    return dataclasses.replace(verdict, claims=claims)


def another_key(manifest):
    value = manifest.value()
    value["parties"]["lab"], value["parties"]["hospital-2"] = value["parties"]["hospital-2"], value["parties"]["lab"]
    return Manifest.from_value(value)


def other_terms(manifest):
    value = manifest.value()
    value["algorithm"]["args"] = ["--epochs", "2"]
    return Manifest.from_value(value)


def test_differences_are_seen_without_a_question_or_a_note(open_to_all, folder):
    manifest, key = open_to_all.parties.manifest(), open_to_all.parties.keys[PARTY]
    with Connection(open_to_all.target(), key) as connection:
        verdict = connection.verdict()

    def differences(of):
        return AcceptanceHistory(open_to_all.policy, of, confirm=say_no).differences(verdict, key)

    assert differences(manifest) == ()
    assert not folder.exists()
    accept(open_to_all, Asked(), manifest)
    before = entries()

    assert differences(manifest) == ()
    (found,) = differences(other_terms(manifest))
    assert 'algorithm.args.1: "1" before, "2" now' in "".join(found.lines)
    assert entries() == before


CHANGES = {
    "image": ({"change": another_image}, {}, "image of main: base ", [("image", "main", "confirmed")]),
    "policy": ({}, {"platform_pcrs": {}}, "your policy: ", [("policy", "", "confirmed")]),
    "manifest": (
        {"manifest": other_terms},
        {},
        '  algorithm.args.1: "1" before, "2" now',
        [("manifest", "covid19", "confirmed")],
    ),
    "key": (
        {"manifest": another_key},
        {},
        "key of lab: ",
        [("key", "hospital-2", "confirmed"), ("key", "lab", "confirmed"), ("manifest", "covid19", "confirmed")],
    ),
}


def changed(machine, what, manifest):
    more, policy, line, lines = CHANGES[what]
    given = {name: part for name, part in more.items() if name != "manifest"}
    given["manifest"] = more.get("manifest", lambda same: same)(manifest)
    if policy:
        given["policy"] = machine.other_policy(cvms=("main", "other"))
    return given, line, lines


@pytest.mark.parametrize("what", CHANGES)
def test_change_is_shown_with_both_values_and_needs_a_yes(open_to_all, what):
    machine, manifest = open_to_all, open_to_all.parties.manifest()
    accept(machine, Asked(), manifest)
    before = entries()
    given, line, lines = changed(machine, what, manifest)
    no, yes = Asked(answer=False), Asked()

    with pytest.raises(InputError, match="this is not what you accepted before") as caught:
        accept(machine, no, **given)
    assert any(one.startswith(line) for one in no.lines), no.lines
    assert all(one in caught.value.message for one in no.lines)
    assert entries() == before

    accept(machine, yes, **given)
    assert yes.lines == no.lines
    assert entries() == [*before, *lines]
    accept(machine, Asked(answer=False), **given)
    assert entries() == [*before, *lines]


@pytest.mark.parametrize("what", CHANGES)
def test_exactly_the_reported_change_can_be_accepted_without_a_terminal(open_to_all, what):
    machine, manifest = open_to_all, open_to_all.parties.manifest()
    accept(machine, Asked(), manifest)
    before = entries()
    given, line, lines = changed(machine, what, manifest)
    with pytest.raises(InputError) as caught:
        accept(machine, Asked(answer=False), **given)
    (found,) = read_history()
    assert f"`history --accept {found.token}`" in caught.value.hint
    assert any(one.startswith(line) for change in found.waiting for one in change.lines)

    for wrong in ("0" * 16, "../../x", "", found.token.upper() + "A"):
        with pytest.raises(InputError):
            accept_change(wrong)
    accept_change(found.token)

    assert entries() == [*before, *lines]
    accept(machine, Asked(answer=False), **given)
    with pytest.raises(InputError, match="No change"):
        accept_change(found.token)


def in_workspace(workspace):
    def change(verdict):
        there = dataclasses.replace(verdict.claims.boot_configuration, workspace=workspace)
        return dataclasses.replace(verdict, claims=dataclasses.replace(verdict.claims, boot_configuration=there))

    return change


def reported(machine, manifest, workspace="trial"):
    """The token of a change that a command reports, and the file in which it waits."""
    with pytest.raises(InputError):
        accept(machine, Asked(answer=False), manifest, change=in_workspace(workspace))
    found = next(one for one in read_history() if one.workspace == workspace)
    return found.token, log_path(workspace, machine.parties.keys[PARTY].id).with_suffix(".pending")


def test_no_one_can_choose_the_name_of_a_change(open_to_all):
    """It is short: with a name that follows from the manifests alone, two of the same name could be made, and exchanged
    between the look and the yes.
    """
    machine, manifest = open_to_all, open_to_all.parties.manifest()
    accept(machine, Asked(), manifest)
    token, pending = reported(machine, other_terms(manifest))
    assert reported(machine, other_terms(manifest))[0] == token

    pending.unlink()
    again, _ = reported(machine, other_terms(manifest))
    other, _ = reported(machine, another_key(manifest))

    assert len({token, again, other}) == 3
    for gone in (token, again):
        with pytest.raises(InputError, match="No change"):
            accept_change(gone)


def test_yes_is_for_the_workspace_in_which_the_change_was_reported(open_to_all):
    machine, manifest = open_to_all, open_to_all.parties.manifest()
    for workspace in ("trial", "again"):
        accept(machine, Asked(), manifest, change=in_workspace(workspace))
    tokens = {where: reported(machine, other_terms(manifest), where)[0] for where in ("again", "trial")}
    _, pending = reported(machine, other_terms(manifest), "trial")
    kept = pending.read_bytes()

    accept_change(tokens["trial"])

    assert {one.workspace: one.token for one in read_history()} == {"again": tokens["again"], "trial": ""}
    log_path("again", machine.parties.keys[PARTY].id).with_suffix(".pending").write_bytes(kept)
    assert {one.token for one in read_history()} == {""}
    with pytest.raises(InputError, match="No change"):
        accept_change(tokens["trial"])


FORGED = {
    "another nonce": lambda value: value.update(nonce="0" * 32),
    "no nonce": lambda value: value.pop("nonce"),
    "a document elsewhere": lambda value: value["documents"].update({"../../../../elsewhere": "eA=="}),
    "a document that is not base64": lambda value: value["documents"].update(dict.fromkeys(value["documents"], "e")),
    "a subject for the terminal": lambda value: value["changes"][0]["after"].update(subject="\x1b[2J"),
    "a label for the terminal": lambda value: value["changes"][0]["after"].update(label="\u202e"),
}


@pytest.mark.parametrize("what", FORGED)
def test_change_that_someone_else_wrote_does_not_wait(open_to_all, tmp_path, what):
    machine, manifest = open_to_all, open_to_all.parties.manifest()
    accept(machine, Asked(), manifest)
    token, pending = reported(machine, other_terms(manifest))
    value = json.loads(pending.read_bytes())
    FORGED[what](value)
    if "terminal" in what:
        value["token"] = _token(pending.with_suffix(".jsonl"), value)
    pending.write_bytes(canonical.encode(value))

    assert read_history()[0].waiting == ()
    with pytest.raises(InputError, match="No change"):
        accept_change(token)
    assert not list(tmp_path.rglob("elsewhere*"))


def test_change_that_waits_for_a_yes_is_void_when_something_else_was_accepted(open_to_all):
    machine, manifest = open_to_all, open_to_all.parties.manifest()
    accept(machine, Asked(), manifest)
    with pytest.raises(InputError):
        accept(machine, Asked(answer=False), other_terms(manifest))
    at = log_path("trial", machine.parties.keys[PARTY].id)
    kept = at.with_suffix(".pending").read_bytes()
    value = manifest.value()
    value["limits"]["cpus"] = 2
    accept(machine, Asked(), Manifest.from_value(value))
    assert read_history()[0].token == ""
    at.with_suffix(".pending").write_bytes(kept)

    with pytest.raises(InputError, match="something else was accepted since"):
        accept_change(read_history()[0].token)
    at.with_suffix(".pending").write_bytes(kept.replace(b'"cpus"', b'"gpus"').replace(b'"image"', b'"key"'))
    assert entries()[-1] == ("manifest", "covid19", "confirmed")


def test_what_was_accepted_before_and_decides_nothing_new_needs_no_question(open_to_all):
    machine, manifest, no = open_to_all, open_to_all.parties.manifest(), Asked(answer=False)
    accept(machine, Asked(), manifest)
    accept(machine, Asked(), other_terms(manifest))
    for id_ in ("1" * 32, "2" * 32):
        for terms in (manifest, other_terms(manifest)):
            accept(machine, no, Manifest.from_value(terms.value() | {"id": id_, "description": "again"}))

    assert entries()[-4:] == [("manifest", "covid19", "known")] * 4
    accept(machine, no, Manifest.from_value(other_terms(manifest).value() | {"name": "another"}))
    assert entries()[-1] == ("manifest", "another", "first")


def test_older_image_or_key_needs_a_yes_again(open_to_all):
    machine, manifest = open_to_all, open_to_all.parties.manifest()
    accept(machine, Asked(), manifest)
    accept(machine, Asked(), another_key(manifest), change=another_image)

    with pytest.raises(InputError) as caught:
        accept(machine, Asked(answer=False), manifest)

    assert "image of main: base 0101" in caught.value.message
    assert "key of lab: " in caught.value.message


def test_standing_rule_answers_for_manifest_and_keys_and_for_nothing_else(open_to_all):
    machine, manifest, no = open_to_all, open_to_all.parties.manifest(), Asked(answer=False)
    accept(machine, Asked(), manifest)

    accept(machine, no, another_key(manifest), by_rule=True)

    assert {how for _, _, how in entries()[-3:]} == {"rule"}
    with pytest.raises(InputError, match="image of main"):
        accept(machine, no, manifest, by_rule=True, change=another_image)


def one(number, kind=AcceptedKind.KEY):
    return Accepted(kind, f"party-{number}", f"{number:064x}", f"{number:064x}"), AcceptedHow.FIRST


@pytest.fixture
def written(tmp_path):
    """A log with three lines."""
    log = HistoryLog(tmp_path / f"w.{'0' * 64}.jsonl")
    log.load()
    log.append(one(number) for number in range(3))
    return log


def lines_of(log):
    return log.at.read_bytes().splitlines(keepends=True)


DAMAGES = {
    "a changed digest": lambda lines: [lines[0].replace(b'"label":""', b'"label":"x"'), *lines[1:]],
    "the last line changed": lambda lines: [*lines[:2], lines[2].replace(b'"label":""', b'"label":"x"')],
    "the last line cut": lambda lines: lines[:2],
    "all but the first cut": lambda lines: lines[:1],
    "a line removed": lambda lines: [lines[0], lines[2]],
    "lines exchanged": lambda lines: [lines[1], lines[0], lines[2]],
    "a line twice": lambda lines: [*lines, lines[2]],
    "emptied": lambda lines: [],
    "the beginning cut": lambda lines: lines[1:],
    "half of the last line": lambda lines: [*lines[:2], lines[2][:40]],
    "another form": lambda lines: [lines[0].replace(b",", b", "), *lines[1:]],
    "an empty line": lambda lines: [lines[0], b"\n", *lines[1:]],
    "no text": lambda lines: [b"\xff\xfe\n", *lines],
    "a member more": lambda lines: [lines[0].replace(b'{"accepted"', b'{"a":1,"accepted"'), *lines[1:]],
}


@pytest.mark.parametrize("what", DAMAGES)
def test_log_that_was_changed_or_cut_is_refused(written, what):
    written.at.write_bytes(b"".join(DAMAGES[what](lines_of(written))))

    with pytest.raises(InputError, match="was changed") as caught:
        HistoryLog(written.at).load()

    assert written.at.with_suffix(".head").name in caught.value.hint


@pytest.mark.parametrize("name", ["log", "head"])
def test_log_or_head_that_is_missing_is_refused(written, name):
    (written.at if name == "log" else written.at.with_suffix(".head")).unlink()

    with pytest.raises(InputError, match="was changed"):
        HistoryLog(written.at).load()


@pytest.mark.parametrize("head", [b"", b"{}", b"[]", b'{"count":0,"digest":"00"}', b"\xff", b"x" * 5000])
def test_invalid_head_is_refused(written, head):
    written.at.with_suffix(".head").write_bytes(head)

    with pytest.raises(InputError, match="was changed"):
        HistoryLog(written.at).load()


def test_command_that_was_killed_while_writing_leaves_a_log_that_goes_on(written):
    head = written.at.with_suffix(".head")
    kept = head.read_bytes()
    written.append([one(3)])
    head.write_bytes(kept)  # killed between the line and its head
    after = HistoryLog(written.at)
    after.load()
    assert len(after.entries) == 4
    with written.at.open("ab") as file:  # killed within a line
        file.write(b'{"accepted":{"digest":"0000000000000000000000000000000000000000000000000000000000')
    torn = HistoryLog(written.at)
    torn.load()
    torn.append([one(4)])

    again = HistoryLog(written.at)
    again.load()
    assert [entry.accepted.subject for entry in again.entries] == [f"party-{number}" for number in range(5)]


def test_full_disk_is_said_and_leaves_the_log_as_it_was(written, monkeypatch):
    write = os.pwrite

    def full(descriptor, data, offset):
        if offset == written._size and len(data) > 50:
            return write(descriptor, data[:50], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(InputError, match="No space left on device"):
        written.append([one(3)])
    monkeypatch.undo()

    again = HistoryLog(written.at)
    again.load()
    assert len(again.entries) == 3


def test_log_has_a_largest_size(written, monkeypatch):
    monkeypatch.setattr(logs, "MAX_LOG", written.at.stat().st_size + 10)
    with pytest.raises(InputError, match="largest size"):
        written.append([one(3)])
    monkeypatch.setattr(logs, "MAX_LOG", written.at.stat().st_size - 10)
    with pytest.raises(InputError, match="largest size"):
        HistoryLog(written.at).load()


def test_without_a_place_to_write_nothing_is_accepted(open_to_all, folder):
    folder.parent.parent.mkdir(parents=True)
    folder.parent.write_text("a file")

    with pytest.raises(InputError, match="cannot be written") as caught:
        accept(open_to_all, Asked())

    assert "XDG_STATE_HOME" in caught.value.hint


def test_commands_at_the_same_time_write_one_chain(tmp_path):
    at = tmp_path / f"w.{'0' * 64}.jsonl"

    def write(number):
        for step in range(5):
            with state.locked(at, "busy"):
                log = HistoryLog(at)
                log.load()
                log.append([one(number * 10 + step)])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    log = HistoryLog(at)
    log.load()
    assert len(log.entries) == 20


def test_log_that_stays_locked_is_said(open_to_all, monkeypatch, folder):
    accept(open_to_all, Asked())
    monkeypatch.setattr(state, "_PAUSE", 0)
    at = log_path("trial", open_to_all.parties.keys[PARTY].id)

    with exclusive.locked(at.with_suffix(".lock")), pytest.raises(InputError, match="Another command is writing"):
        accept(open_to_all, Asked())


def test_history_of_removed_logs_is_not_silently_empty(open_to_all):
    accept(open_to_all, Asked())
    log_path("trial", open_to_all.parties.keys[PARTY].id).unlink()

    with pytest.raises(InputError, match="it is missing"):
        read_history()


def test_value_is_json_and_other_files_are_passed_over(open_to_all, folder):
    accept(open_to_all, Asked())
    (folder / "notes.jsonl").write_text("mine")
    (found,) = read_history()

    assert json.loads(json.dumps(found.value())) == found.value()
    assert Policy.parse((folder / "documents" / f"{found.entries[1].accepted.digest}.json").read_bytes())
