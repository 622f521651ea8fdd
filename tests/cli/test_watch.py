"""News and history as a party types them."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from cloister.protocol import schema
from tests.cli.test_killed import COMMAND
from tests.cli.test_way import WHERE, as_party, upload_all


@pytest.fixture
def folder(parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    return parties.folder


def test_party_is_told_in_words_in_json_and_by_a_command(cloister, machine, folder):
    manifest = machine.submit()
    upload_all(machine, manifest)
    assert cloister("withdraw", *as_party("hospital-1")).code == 0

    shown = cloister("watch", *as_party("lab"))
    printed = cloister("watch", *as_party("lab"), "--json", "--exec", "tee told.json")
    again = cloister("watch", *as_party("lab"), "--json", "--exec", "tee told.json")

    assert (shown.code, "withdrawn     hospital-1 withdrew its consent; everything is wiped." in shown.out) == (0, True)
    (news,) = [json.loads(line) for line in printed.out.splitlines()]
    schema.validate("client/news", news, what="The news")
    assert json.loads((folder / "told.json").read_text()) == news
    assert (again.code, again.out) == (0, "")


def test_command_that_fails_ends_the_watch_with_exit_code_1(cloister, machine, folder, monkeypatch):
    monkeypatch.setattr("cloister.client.watch.command.PAUSES", ())
    machine.submit()
    machine.stop()

    done = cloister("watch", *as_party("lab"), "--exec", "false")

    assert (done.code, done.out) == (1, "")
    assert "failed with exit code 1.\nThe news counts as not told: `cloister watch` begins with it" in done.err


def test_ctrl_c_ends_a_watch(machine, folder):
    machine.submit()
    words = [*COMMAND, "watch", *as_party("hospital-1")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "your-turn" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 130
    assert said.endswith("Interrupted. The machine continues; the same command goes on watching.\n")


@pytest.mark.parametrize("words", [("--exec", "no-such-program"), ("--exec", "'"), ("--exec", " ")])
def test_wrong_command_is_refused_at_once(cloister, machine, folder, words):
    machine.parties.manifest()

    done = cloister("watch", *as_party("lab"), *words)

    assert (done.code, "--exec" in done.err) == (2, True)


def test_change_needs_a_yes_and_can_be_accepted_by_its_name(cloister, machine, folder):
    machine.submit()
    first = cloister("status", "--key", "lab.pem", *WHERE)
    assert "Accepted for the first time in the workspace trial: image base" in first.noted
    assert cloister("status", "--key", "lab.pem", *WHERE).noted == ""
    machine.write_policy(machine.other_policy(cvms=("main", "spare"))).replace(folder / "policy.json")

    refused = cloister("stop", "--key", "lab.pem", *WHERE)

    assert refused.code == 2
    assert 'boot_configuration.cvms.1: nothing before, "spare" now' in refused.err
    waiting = cloister("history")
    (command,) = [line for line in waiting.out.splitlines() if "--accept" in line]
    accepted = cloister("history", "--accept", command.split()[-1])
    assert (accepted.code, "confirmed by you" in accepted.out) == (0, True)
    assert cloister("stop", "--key", "lab.pem", *WHERE).code == 0
    assert "--accept" not in cloister("history").out


def test_person_at_a_terminal_is_asked(machine, folder, cloister):
    machine.submit()
    assert cloister("status", "--key", "lab.pem", *WHERE).code == 0
    machine.write_policy(machine.other_policy(cvms=("main", "spare"))).replace(folder / "policy.json")
    script = shutil.which("script")
    if script is None:
        pytest.skip("script(1) is not installed")
    command = f"{sys.executable} -c 'from cloister.__main__ import main; main()' status --key lab.pem {' '.join(WHERE)}"
    for answer, code, said in ((b"n\n", 2, b"Nothing was sent."), (b"y\n", 0, b"State")):
        done = subprocess.run(
            [script, "-qec", command, "/dev/null"], input=answer, capture_output=True, check=False, env=os.environ
        )
        assert (done.returncode, said in done.stdout) == (code, True), done.stdout


def test_home_that_cannot_be_written_is_said(cloister, machine, folder, monkeypatch):
    machine.submit()
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")

    done = cloister("status", "--key", "lab.pem", *WHERE)

    assert (done.code, "XDG_STATE_HOME names another folder" in done.err) == (2, True)


def test_nothing_accepted_yet_is_said(cloister, folder):
    assert cloister("history").out == "You have not accepted anything yet.\n"
    assert json.loads(cloister("history", "--json").out) == {"version": 1, "workspaces": [], "publishers": []}
