"""A complete computation, as the parties type it."""

import hashlib
import json
import os
import threading
import time

import pytest

from tests.cli.test_manifest import bundle_that_counts_on


@pytest.fixture
def folder(parties, monkeypatch):
    """All parties work in one folder."""
    monkeypatch.chdir(parties.folder)
    return parties.folder


WHERE = ("--workspace", "workspace.json", "--policy", "policy.json")


def as_party(name):
    return ("--key", f"{name}.pem", "--manifest", "manifest.json", *WHERE)


def test_from_manifest_to_proven_result(cloister, machine, folder):
    assert cloister("attest", *WHERE, "--save", "evidence.json").code == 0
    assert cloister("manifest", "manifest.yaml").code == 0
    assert cloister("run", *as_party("lab"), "--detach").code == 0

    uploaded = cloister("upload-data", "data/h1.csv", *as_party("hospital-1"), "--json")
    assert json.loads(uploaded.out)["uploaded"][0]["asset"] == "h1"
    again = cloister("upload-data", "data/h1.csv", *as_party("hospital-1"))
    assert (again.code, "the machine already had it" in again.out) == (0, True)
    waiting = cloister("status", "--key", "lab.pem", *WHERE)
    assert "State     Receiving Algorithm\n" in waiting.out
    assert cloister("upload-data", "data/h2.csv", *as_party("hospital-2"), "--name", "h2").code == 0
    assert cloister("upload-algorithm", "train.py", *as_party("lab")).code == 0

    (folder / "disk").mkdir()
    (folder / "results.zip").symlink_to("disk/results.zip")
    fetched = cloister("result", *as_party("lab"), "--wait", "--unpack", "out")
    assert fetched.code == 0, fetched.err
    assert ((folder / "results.zip").is_symlink(), os.listdir(folder / "disk")) == (True, ["results.zip"])
    assert (folder / "out" / "model.json").read_text() == "{}"
    assert sorted(path.name for path in folder.glob("results.zip*")) == ["results.zip"]

    refused = cloister("result", *as_party("lab"), "--output", "again.zip")
    assert refused.code == 4
    assert "was consumed at" in refused.err
    waited = cloister("result", *as_party("lab"), "--output", "again.zip", "--wait")
    # Nothing is awaited, so nothing of what happened before is told.
    assert (waited.code, waited.out, waited.err) == (4, "", refused.err)
    assert not (folder / "again.zip").exists()

    assert cloister("result", *as_party("hospital-1"), "--output", "h1.zip", "--json").code == 0
    events = cloister("events", *as_party("hospital-2"), "--save", "events.jsonl")
    assert events.code == 0
    assert "hospital-2" in events.out
    assert events.out.rstrip().endswith("everything is wiped, the computation is complete")
    done = json.loads(cloister("status", "--key", "lab.pem", *WHERE, "--json").out)
    assert (done["state"], [slot["consumed"] for slot in done["results"]]) == ("Completed", [True, True])

    audited = cloister("audit", "events.jsonl", "--policy", "policy.json", "--json")
    assert audited.code == 0
    verdict = json.loads(audited.out)["verdict"]
    assert (verdict["recording"], verdict["genuine"], "accepted" in verdict) == (True, True, False)
    machine.running.agent.stop()
    proven = cloister("verify-result", "results.zip", "--policy", "policy.json")
    assert proven.code == 0, proven.err
    assert "At creation  accepted by your policy" in proven.out
    assert "not confidential" in proven.out
    assert cloister("status", "--key", "lab.pem", *WHERE).code == 5


def test_verdict_says_what_the_host_may_put_back_under_this_manifest(cloister, machine, folder):
    machine.parties.edit("processes: 16", "processes: 16, scratch: 1GiB")
    assert cloister("manifest", "manifest.yaml").code == 0
    plain, demanding = (cloister("attest", *WHERE, *more) for more in ((), ("--manifest", "manifest.json", "--json")))
    assert "older state" not in plain.out + plain.err
    assert "Note: The host can put back an older state of what the program writes" in demanding.err
    # The machine has no manifest yet.
    assert (plain.code, demanding.code, json.loads(demanding.out)["accepted"]) == (0, 3, False)


def test_bundle_that_counts_on_more_than_the_manifest_says_is_not_uploaded(cloister, machine, folder):
    bundle_that_counts_on(folder / "six.bundle", "# image: torch==2.6.0\nsix==1\n")
    bundle = (folder / "six.bundle").read_bytes()
    stated = f"{{file: six.bundle, digest: {hashlib.sha256(bundle).hexdigest()}, size: {len(bundle)}}}"
    machine.parties.edit("  kind: python", f"  kind: python\n  bundle: {stated}")
    (folder / "six.bundle").rename(folder / "elsewhere.bundle")
    assert cloister("manifest", "manifest.yaml").code == 0
    assert cloister("run", *as_party("lab"), "--detach").code == 0

    refused = cloister("upload-algorithm", "train.py", *as_party("lab"), "--bundle", "elsewhere.bundle")

    assert refused.code == 2
    assert "packages of an image that the manifest does not name: torch 2.6.0 (not there)." in refused.err


USES_FILES = """\
import json, os, pathlib
import helper
model = {"helper": helper.NAME, "weights": pathlib.Path(os.environ["TORCH_HOME"], "hub/w.pth").read_text()}
pathlib.Path("results/model.json").write_text(json.dumps(model))
"""


def test_algorithm_with_files_from_manifest_to_proven_result(cloister, machine, folder):
    (folder / "train.py").write_text(USES_FILES)
    (folder / "helper.py").write_text("NAME = 'help'\n")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "w-1.pth").write_text("weights")
    (folder / "linked.pth").symlink_to("elsewhere/w-1.pth")
    machine.parties.edit(
        "  kind: python",
        "  kind: python\n  environment: {TORCH_HOME: weights}\n  files:\n    - {file: helper.py, at: helper.py}\n"
        "    - {file: elsewhere/w-1.pth, at: weights/hub/w.pth, name: weights}",
    )
    assert cloister("manifest", "manifest.yaml").code == 0
    review = cloister("review", "manifest.json")
    assert (
        "lab provides the file weights, read-only at /work/weights/hub/w.pth: w-1.pth, 7 bytes, SHA-256" in review.out
    )
    assert cloister("run", *as_party("lab"), "--detach").code == 0

    missing = cloister("upload-algorithm", "train.py", *as_party("lab"))
    assert (missing.code, "the file weights, which is not beside train.py" in missing.err) == (2, True)
    assert "--file weights=PATH" in missing.err
    for words, problem in [
        (["weight=linked.pth"], "no file 'weight' of the algorithm; it has: helper-py, weights"),
        (["linked.pth"], "--file must be NAME=PATH, not 'linked.pth'"),
        (["weights=helper.py", "weights=linked.pth"], "--file names weights twice"),
        (["weights=helper.py"], "is not what the manifest says about weights"),
        (["weights=elsewhere"], "elsewhere is not what the manifest says about weights"),
        (["weights=absent"], "absent cannot be read"),
    ]:
        options = [word for one in words for word in ("--file", one)]
        wrong = cloister("upload-algorithm", "train.py", *as_party("lab"), *options)
        assert (wrong.code, problem in wrong.err) == (2, True), wrong.err
    waiting = cloister("status", "--key", "lab.pem", *WHERE)
    assert "Asset     weights (file, from lab): 0 bytes of 7 bytes" in waiting.out
    sent = cloister("upload-algorithm", "train.py", *as_party("lab"), "--file", "weights=linked.pth", "--json")
    assert [one["asset"] for one in json.loads(sent.out)["uploaded"]] == ["algorithm", "helper-py", "weights"]
    for name in ("h1", "h2"):
        assert cloister("upload-data", f"data/{name}.csv", *as_party(f"hospital-{name[1]}")).code == 0

    fetched = cloister("result", *as_party("lab"), "--wait", "--unpack", "out")
    assert fetched.code == 0, fetched.err
    assert json.loads((folder / "out" / "model.json").read_text()) == {"helper": "help", "weights": "weights"}
    proven = cloister("verify-result", "results.zip", "--policy", "policy.json", "--json")
    assert proven.code == 0, proven.err
    assert "weights by lab" in proven.out


def test_files_are_found_beside_the_algorithm(cloister, machine, folder):
    for place, content in (("a", "1"), ("b", "2")):
        (folder / place).mkdir()
        (folder / place / "config.json").write_text(content)
    (folder / "config.json").write_text("3")
    machine.parties.edit(
        "  kind: python",
        "  kind: python\n  files:\n    - {file: a/config.json, at: a/config.json}\n"
        "    - {file: b/config.json, at: b/config.json}\n    - {file: config.json, at: train.json}\n"
        "    - {file: config.json, at: c/config.json}",
    )
    (folder / "c").mkdir()
    (folder / "c" / "config.json").write_text("another")
    assert cloister("run", *as_party("lab"), "--detach").code == 2
    assert cloister("manifest", "manifest.yaml").code == 0
    assert cloister("run", *as_party("lab"), "--detach").code == 0
    sent = cloister("upload-algorithm", "train.py", *as_party("lab"))
    assert sent.code == 0, sent.err


def test_program_that_the_guest_cannot_run_is_not_uploaded(cloister, machine, folder):
    source = "import sklearn\n".encode("utf-16")
    (folder / "train.py").write_bytes(source)
    machine.parties.edit(
        "  file: train.py",
        f"  file: lab/train.py\n  digest: {hashlib.sha256(source).hexdigest()}\n  size: {len(source)}",
    )
    assert cloister("manifest", "manifest.yaml").code == 0
    assert cloister("run", *as_party("lab"), "--detach").code == 0

    refused = cloister("upload-algorithm", "train.py", *as_party("lab"))

    assert (refused.code, refused.err.startswith("Error: train.py is text in UTF-16; Python reads UTF-8.")) == (2, True)
    assert "Asset     algorithm (algorithm, from lab): 0 bytes of" in cloister("status", "--key", "lab.pem", *WHERE).out


def test_run_shows_the_timeline_until_the_end(cloister, machine, folder):
    machine.parties.edit("args: [", "args: [--fail, ")
    (folder / "train.py").write_text("raise SystemExit(1)\n")
    manifest = machine.submit()
    for asset in manifest.assets():
        machine.upload(manifest, asset)

    shown = cloister("run", *as_party("lab"))

    assert shown.code == 1
    assert "submitted the manifest" in shown.out
    assert "failed: the algorithm ended with an error" in shown.out
    assert "The computation failed." in shown.err
    log = cloister("logs", "--key", "lab.pem", *WHERE)
    assert (log.code, log.out) == (0, "")


def upload_all(machine, manifest):
    for asset in manifest.assets():
        machine.upload(manifest, asset)


def test_held_run_waits_for_its_owner(cloister, machine, folder):
    manifest = machine.parties.manifest()
    held = cloister("run", *as_party("lab"), "--hold", "--detach")
    assert (held.code, "the run waits for `cloister start`, for at most 24 hours" in held.out) == (0, True)
    early = cloister("start", "--key", "lab.pem", *WHERE)
    assert (early.code, "cannot be started in the state Receiving Algorithm" in early.err) == (4, True)
    upload_all(machine, manifest)
    assert "State     Ready (waiting for start)\n" in cloister("status", "--key", "hospital-1.pem", *WHERE).out
    assert cloister("start", "--key", "hospital-1.pem", *WHERE).code == 4
    assert cloister("run", *as_party("lab"), "--hold", "--detach").code == 0
    again = cloister("run", *as_party("lab"), "--detach")
    assert (again.code, "the run waits for `cloister start`" in again.out) == (0, True)

    assert cloister("start", "--key", "lab.pem", *WHERE).code == 0
    shown = cloister("events", *as_party("lab"), "--until", "completed")

    assert shown.code == 0, shown.err
    states = ["Receiving Data (0 of 2)", "Receiving Data (2 of 2)", "Ready (waiting for start)", "Running 0:0"]
    assert all(f"  {state}" in shown.out for state in states), shown.out
    assert "Completed (0 of 2 fetched)" in shown.out.splitlines()[-1]
    assert "submitted the manifest; the run will wait for the owner's `start`" in shown.out
    assert "lab           started the run" in shown.out


def test_run_is_not_held_afterwards(cloister, machine, folder):
    machine.submit()

    late = cloister("run", *as_party("lab"), "--hold", "--detach")

    assert (late.code, "its run will not be held" in late.err) == (4, True)


@pytest.mark.parametrize("until", ["ConsumingResults", "Complete", "Running 1:12", ""])
def test_events_end_at_a_state_by_the_name_that_people_see(cloister, machine, folder, until):
    machine.submit()

    shown = cloister("events", *as_party("lab"), "--follow", "--until", until or "nothing")

    assert (shown.code, "Receiving Data, Ready, Running, Awaiting Approval, Completed" in shown.err) == (2, True)


def test_log_reader_follows_a_live_run(cloister, machine, folder):
    machine.parties.edit("max: 4KiB}", "max: 4KiB, release: live}")
    text = "print('epoch 1 \\x1b[31m\u00e9')\nopen('results/a', 'w').write('x')\n"
    (folder / "train.py").write_text(text)
    manifest = machine.submit()
    upload_all(machine, manifest)

    shown = cloister("logs", "--key", "lab.pem", *WHERE, "--follow")
    saved = cloister("logs", "--key", "lab.pem", *WHERE, "--follow", "--output", "log.txt")

    assert (shown.code, shown.out) == (0, "epoch 1 \ufffd[31m\u00e9\n")
    assert (saved.code, saved.out, (folder / "log.txt").read_bytes()) == (0, "", "epoch 1 \x1b[31m\u00e9\n".encode())
    assert cloister("logs", "--key", "hospital-1.pem", *WHERE, "--follow").code == 4


def test_only_an_owner_can_stop_and_reset(cloister, machine, folder):
    machine.submit()

    assert cloister("stop", "--key", "hospital-1.pem", *WHERE).code == 4
    assert cloister("stop", "--key", "lab.pem", *WHERE).code == 0
    assert cloister("reset", "--key", "lab.pem", *WHERE, "--detach").code == 0
    # The agent reboots once its answer is out.
    deadline = time.monotonic() + 30
    while not machine.running.ended and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert machine.running.ended == ["reboot"]
