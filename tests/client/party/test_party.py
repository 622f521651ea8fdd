"""A party and its machine, as a program uses them: what is demanded before anything leaves, and what a failure says."""

import ast
import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cloister import client, errors
from cloister.client.party.callback import CallbackReport

ROOT = Path(__file__).resolve().parents[3]


def test_machine_must_run_the_manifest_that_it_is_connected_with(machine, parties, party):
    manifest = machine.submit()
    other = dataclasses.replace(manifest, name="another")
    with party("hospital-1").connect(other) as wrong:
        for act in (
            lambda: wrong.verdict,
            lambda: wrong.upload_data(parties.files["h1"]),
            wrong.status,
            wrong.withdraw,
        ):
            with pytest.raises(client.ProofError, match="manifest"):
                act()
    with party("lab").connect() as looking:
        assert looking.status().progress.phase is client.Phase.ALGORITHM
        for decide in (
            lambda: looking.upload_data("h1.csv"),
            lambda: looking.upload_algorithm("train.py"),
            lambda: looking.fetch(parties.folder / "results.zip"),
            looking.submit,
            looking.withdraw,
            looking.preview,
            looking.reject,
        ):
            with pytest.raises(client.InputError, match="This needs the manifest"):
                decide()


def test_rejection_is_shown_and_opens_nothing(machine, parties, party):
    policy = machine.write_policy(machine.other_policy(workspace="elsewhere", cvms=("main",)))
    stranger = client.Party(key=parties.keys["lab"], policy=policy, workspace=parties.folder / "workspace.json")
    verdict = stranger.attest()
    assert not verdict.accepted
    assert [check.name for check in verdict.failures] == ["workspace"]
    assert ">failed</td>" in verdict._repr_html_()
    with pytest.raises(client.ProofError):
        verdict.require_accepted()
    with stranger.connect() as rejected, pytest.raises(client.ProofError, match="elsewhere"):
        _ = rejected.verdict


@pytest.mark.parametrize(
    ("named", "act", "missing"),
    [
        ({}, lambda one: one.attest(), "No policy is set"),
        ({"policy": "policy.json"}, lambda one: one.attest(), "No CVM is set"),
        ({"policy": "policy.json", "workspace": "workspace.json"}, lambda one: one.connect(), "No key is set"),
        ({"policy": "absent.json"}, lambda one: one.verify("results.zip"), "absent.json cannot be read"),
        ({"key": "lab.pem", "policy": "policy.json", "address": "a b"}, lambda one: one.connect(), "not an address"),
        ({"workspace": "policy.json"}, lambda one: one.names(), "policy.json is a policy"),
    ],
)
def test_what_a_party_lacks_is_an_error_of_its_own(machine, parties, monkeypatch, named, act, missing):
    monkeypatch.chdir(parties.folder)
    with pytest.raises(client.InputError, match=re.escape(missing)) as raised:
        act(client.Party(**named))
    assert raised.value.hint


def test_the_environment_names_a_party(machine, parties, monkeypatch):
    for name, file in (("KEY", "lab.pem"), ("POLICY", "policy.json"), ("WORKSPACE", "absent.json")):
        monkeypatch.setenv(f"CLOISTER_{name}", str(parties.folder / file))
    monkeypatch.setenv("AGENT_GRPC_URL", str(machine.running.address))
    found = client.Party.from_environment()
    assert found.key.id == parties.keys["lab"].id
    assert found.target().address == machine.running.address  # which goes before the descriptor
    monkeypatch.setenv("CLOISTER_FETCH", "perhaps")
    with pytest.raises(client.InputError, match="CLOISTER_FETCH must be 1 or 0"):
        client.Party.from_environment()


def test_progress_counts_every_byte_and_is_called_by_one_thread_at_a_time(machine, parties, party):
    parties.edit("provider: hospital-2, file: h2.csv", "provider: hospital-1, file: h2.csv")
    manifest = machine.submit()
    inside, seen = threading.Lock(), {}

    def show(what, done, size):
        assert inside.acquire(blocking=False)
        seen.setdefault(what, []).append((done, size))
        inside.release()

    with party("hospital-1").connect(manifest) as connected:
        uploads = connected.upload_data(parties.files["h1"], str(parties.files["h2"]), progress=show)
    assert [one.asset.name for one in uploads] == ["h1", "h2"]
    sizes = {name: parties.files[name].stat().st_size for name in ("h1", "h2")}
    assert {what: calls[-1] for what, calls in seen.items()} == {
        f"{doing} {name}": (size, size)
        for name, size in sizes.items()
        for doing, name in (("Checking", f"{name}.csv"), ("Uploading", name))
    }


@pytest.mark.filterwarnings("error")  # that it resumes after an interruption, which there was not
@pytest.mark.parametrize(
    ("error", "at"),
    [(ValueError("enough"), 0), (ValueError("enough"), 1), (KeyboardInterrupt(), 0)],
    ids=["error", "error-in-a-thread-of-grpc", "ctrl-c"],
)
def test_exception_in_progress_ends_the_upload_which_can_be_resumed(machine, parties, party, error, at):
    manifest = machine.submit()

    def stop(what, done, size):
        if what.startswith("Uploading") and done >= at:
            raise error

    with party("hospital-1").connect(manifest) as connected:
        with pytest.raises(type(error)):
            connected.upload_data(parties.files["h1"], progress=stop)
        assert [thread for thread in threading.enumerate() if thread.name == "upload"] == []
        assert connected.upload_data(parties.files["h1"])[0].asset.name == "h1"


def test_warnings_point_to_the_line_that_uploads(machine, parties, party):
    parties.edit("processes: 16", "processes: 16, scratch: 1GiB")
    (parties.folder / "manifest.json").write_bytes(parties.manifest().encode())
    with party("hospital-1").connect(parties.folder / "manifest.json") as connected:
        report = CallbackReport(None)
        with pytest.warns(client.CloisterWarning, match="older state\ufffd") as caught:
            report.warned("older state\x1b")
        assert caught[0].filename == __file__
    assert connected.manifest.limits.scratch


def test_approval_is_of_what_was_previewed(machine, parties, party):
    parties.edit("expires: 24h, max: 1MiB", "expires: 24h, max: 1MiB, approval: {by: [hospital-1], sees: names}")
    manifest = machine.run()
    with party("hospital-1").connect(manifest) as approver:
        preview = approver.preview()
        assert [name for name, _ in preview.files] == ["model.json"]
        approver.approve(preview)
    with party("lab").connect(manifest) as consumer:
        fetched = consumer.fetch(parties.folder / "results.zip")
    assert fetched.proof.accepted


def test_standing_rule_is_written_and_used(machine, parties, party):
    manifest = machine.submit()
    hospital = party("hospital-1")
    rule = hospital.write_rule(
        manifest, parties.folder / "rule.yaml", until="2099-12-31", data={"h1": parties.files["h1"]}
    )
    assert rule.uses == 1
    with hospital.connect(manifest) as connected:
        assert [one.asset.name for one in connected.consent(parties.folder / "rule.yaml")] == ["h1"]


def test_held_run_is_started_and_stopped(machine, parties, party):
    manifest = parties.manifest()
    lab = party("lab")
    with lab.connect(manifest) as owner:
        owner.submit(hold=True)
        assert owner.status().answer.hold
        assert owner.verdict.accepted
        with pytest.raises(client.RefusedError):
            owner.start()
        owner.stop()
        (*_, last) = owner.events(follow=True)
        assert (last.event.kind, last.actor) == (client.EventKind.STOPPED, "lab")


def test_followed_log_is_read_once_and_goes_on_where_it_ended(machine, parties, party):
    manifest = machine.run()
    with party("lab").connect(manifest) as connected:
        log = connected.events(follow=True, until="running")
        first = [next(iter(log)), next(iter(log))]
        assert [str(one) for one in first] == [str(next(iter(log)))] * 2
        assert [one.event.sequence for one in log] == list(range(len(log)))
        assert log.progress.phase is client.Phase.RUNNING
        assert [one.event for one in log] == [record.event for record in log.records]
        with pytest.raises(client.InputError, match="There is no state 'Runing'"):
            connected.events(follow=True, until=["Runing"])


def test_lost_record_is_read_again(machine, parties, party):
    manifest = machine.run()
    with party("lab").connect(manifest) as connected:
        log = connected.events(follow=True, until=client.Phase.COMPLETED)
        assert next(iter(log))
        log._records.clear()  # as if Ctrl-C had come between the two
        assert [one.event.sequence for one in log] == list(range(len(log)))


PROGRAM = """
from cloister import client
lab = client.Party(key="lab.pem", policy="policy.json", workspace="workspace.json")
machine = lab.connect("manifest.json")
log = machine.events(follow=True)
try:
    for event in log:
        print("event", event.event.sequence, flush=True)
except KeyboardInterrupt:
    print("interrupted", len(log), machine.status().state.value, flush=True)
log.save("events.jsonl")
print(lab.audit("events.jsonl").accepted)
"""


def test_ctrl_c_ends_following_and_the_machine_can_still_be_asked(machine, parties, tmp_path):
    machine.submit()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=parties.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
    assert lines == ["event 0\n", "event 1\n"]
    assert rest == ["interrupted 2 ReceivingAssets", "True"]
    assert process.returncode == 0


@pytest.mark.parametrize(
    "error",
    [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.CloisterError)],
)
def test_notebook_shows_the_sentence_and_what_to_do(error):
    for made, second in ((error("Bad\x1b name.", hint="Do this."), "Do this."), (error("Bad\x1b name."), error.remedy)):
        assert made._render_traceback_() == [f"{error.__name__}: Bad\ufffd name.", second]


def test_every_public_function_takes_paths_as_text():
    wrong = []
    for module in sorted(
        {getattr(client, name).__module__ for name in client.__all__ if callable(getattr(client, name))}
    ):
        if not module.startswith(("cloister.client", "cloister.keyfile")):
            continue
        tree = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name in client.__all__:
                arguments = [*node.args.args, *node.args.kwonlyargs]
                kinds = [ast.unparse(one.annotation) for one in arguments if one.annotation]
                wrong += [f"{node.name}: {kind}" for kind in kinds if kind in ("Path", "Path | None")]
    assert wrong == []
