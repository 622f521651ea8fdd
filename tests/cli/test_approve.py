"""A result is approved or rejected, as its approver types it, and what the others are told."""

import json

import pytest

from cloister.cli.shell import show
from tests.cli.test_way import WHERE, as_party, upload_all


@pytest.fixture
def folder(parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    return parties.folder


def waiting(cloister, machine, demanded):
    """A result that waits for approval."""
    machine.parties.edit("max: 1MiB", f"max: 1MiB, approval: {demanded}")
    machine.parties.files["algorithm"].write_text(
        "print('done')\nopen('results/model.json', 'w').write('{}')\nopen('results/b c.txt', 'w').write('x')\n"
    )
    manifest = machine.submit()
    upload_all(machine, manifest)
    watched = cloister("events", *as_party("lab"), "--follow", "--until", "awaiting approval")
    assert (watched.code, watched.out.rstrip().endswith("the result waits for approval")) == (0, True)
    return manifest


def test_approver_looks_then_approves_and_consumers_have_the_proof(cloister, machine, folder, monkeypatch):
    waiting(cloister, machine, "{by: [hospital-2], sees: names}")
    status = cloister("status", "--key", "lab.pem", *WHERE)
    assert "State     Awaiting Approval (0 of 1)\n" in status.out
    assert "Approval  hospital-2: not given yet\n" in status.out
    early = cloister("result", *as_party("lab"))
    assert (early.code, "There is no result in the state Awaiting Approval." in early.err) == (4, True)

    looked = cloister("approve", *as_party("hospital-2"), "--look")
    assert looked.code == 0, looked.err
    assert 'File      "b c.txt": 1 byte\n' in looked.out
    assert "File      model.json: 2 bytes\n" in looked.out
    assert "Output    5 bytes that the program printed" in looked.out
    listed = json.loads(cloister("approve", *as_party("hospital-2"), "--look", "--json").out)
    assert [one["name"] for one in listed["files"]] == ["b c.txt", "model.json"]
    asked = cloister("approve", *as_party("hospital-2"))
    assert (asked.code, "Pass --yes to confirm." in asked.err) == (2, True)
    monkeypatch.setattr(show, "confirmed", lambda question: False)
    refused = cloister("approve", *as_party("hospital-2"))
    assert (refused.code, "Nothing was decided." in refused.err) == (0, True)
    assert "(0 of 1)" in cloister("status", "--key", "lab.pem", *WHERE).out

    for _ in range(2):  # the second time, its answer may have been lost
        done = cloister("approve", *as_party("hospital-2"), "--yes")
        assert (done.code, "Approved: the result" in done.err) == (0, True)
    late = cloister("reject", *as_party("hospital-2"))
    assert (late.code, "The rejection is too late: event" in late.err) == (4, True)
    fetched = cloister("result", *as_party("lab"), "--wait")
    assert fetched.code == 0, fetched.err
    assert "Every party that had to approve the result has approved it: hospital-2" in fetched.out
    assert cloister("events", *as_party("lab"), "--save", "events.jsonl").code == 0
    audited = cloister("audit", "events.jsonl", "--policy", "policy.json")
    assert (audited.code, "released before every approval was given: 1 of 1" in audited.out) == (0, True)
    machine.running.agent.stop()
    assert cloister("verify-result", "results.zip", "--policy", "policy.json").code == 0


def test_rejection_ends_the_computation_for_everyone(cloister, machine, folder):
    waiting(cloister, machine, "{by: [hospital-1, hospital-2], sees: names}")
    assert cloister("approve", *as_party("hospital-1"), "--yes").code == 0

    assert cloister("reject", *as_party("hospital-2")).code == 0

    assert "Stopped: a party rejected the result" in cloister("status", "--key", "lab.pem", *WHERE).out
    watched = cloister("run", *as_party("lab"))
    assert (watched.code, "the result was not approved" in watched.err) == (1, True)
    assert watched.out.rstrip().endswith("hospital-2    rejected the result; everything of all parties is wiped")
    assert cloister("result", *as_party("lab"), "--wait").code == 1
    assert cloister("logs", "--key", "lab.pem", *WHERE).code == 1
    late = cloister("approve", *as_party("hospital-2"), "--yes")
    assert (late.code, "(result-rejected), at 20" in late.err) == (1, True)


def test_approver_of_files_reads_them_first_and_proves_them_afterwards(cloister, machine, folder):
    waiting(cloister, machine, "{by: [hospital-2], sees: files}")

    # What cannot be unpacked is told before the result is fetched, which can be done once.
    (folder / "file").write_text("")
    early = cloister("result", *as_party("hospital-2"), "--wait", "--output", "preview.zip", "--unpack", "file/out")
    assert (early.code, "Nothing was fetched" in early.err) == (2, True)
    preview = cloister("result", *as_party("hospital-2"), "--wait", "--output", "preview.zip", "--unpack", "out")
    assert preview.code == 0, preview.err
    assert "Preview: the result was released to you before the others." in preview.out
    assert (folder / "out" / "model.json").read_text() == "{}"
    alone = cloister("verify-result", "preview.zip", "--policy", "policy.json")
    assert (alone.code, "The approval of hospital-2 is missing." in alone.err) == (3, True)

    assert "approve --result preview.zip" in preview.out
    assert cloister("approve", *as_party("hospital-2"), "--result", "preview.zip", "--yes").code == 0
    shown = cloister("events", *as_party("lab"), "--save", "events.jsonl").out
    assert "fetched the result to decide on it" in shown
    verified = cloister("verify-result", "preview.zip", "--policy", "policy.json", "--approvals", "events.jsonl")
    assert verified.code == 0, verified.err
    assert cloister("result", *as_party("lab"), "--output", "lab.zip").code == 0


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_who_does_not_decide_is_told_so(cloister, machine, folder, verb):
    machine.submit()

    refused = cloister(verb, *as_party("hospital-2"))

    assert (refused.code, "This manifest demands no approval of its result." in refused.err) == (2, True)


@pytest.mark.parametrize("verb", [("approve", "--yes"), ("reject",)])
def test_decision_without_a_result_is_refused_with_the_state(cloister, machine, folder, verb):
    machine.parties.edit("max: 1MiB", "max: 1MiB, approval: {by: [hospital-2], sees: names}")
    machine.submit()

    refused = cloister(*verb, *as_party("hospital-2"))

    assert refused.code == 4
    assert "There is no result to decide on in the state Receiving Algorithm." in refused.err


MANIFESTS = {
    "live logs": ("max: 4KiB}", "max: 4KiB, release: live}", "logs.release must be end beside results.approval"),
    "no one": ("by: [lab]", "by: []", "results.approval.by must have 1 to 256 entries, not 0."),
    "a party twice": ("by: [lab]", "by: [lab, lab]", "results.approval.by names a party twice."),
    "no party": ("by: [lab]", "by: [nurse]", "results.approval.by names 'nurse', which is not among the parties."),
    "something else to see": ("sees: names", "sees: everything", "results.approval.sees must be one of names, files."),
    "nothing to see": (", sees: names", "", "results.approval lacks sees."),
    "another member": ("sees: names", "sees: names, shows: x", "has the member 'shows'"),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_approval_that_no_machine_would_take_is_refused_with_its_line(cloister, machine, folder, what):
    machine.parties.edit("max: 1MiB", "max: 1MiB, approval: {by: [lab], sees: names}")
    old, new, said = MANIFESTS[what]
    line = machine.parties.edit(old, new)

    refused = cloister("manifest", "manifest.yaml")

    assert refused.code == 2
    assert f"manifest.yaml:{line}: " in refused.err
    assert said in refused.err
