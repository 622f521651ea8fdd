"""A killed or interrupted command loses nothing: running it again resumes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cloister.client.connection.session import Session
from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.parties import Parties
from tests.line import cut

MIB = 1024**2
COMMAND = (sys.executable, "-c", "from cloister.__main__ import main; main()")


@pytest.fixture
def machine(tmp_path, tmp_path_factory, monkeypatch):
    """A machine for eight megabytes of data and six of results; all parties work in one folder."""
    parties = Parties.make(tmp_path, h1=os.urandom(8 * MIB))
    parties.edit("max: 1MiB", "max: 8MiB")
    parties.files["algorithm"].write_text(
        "import os\nopen('results/model.bin', 'wb').write(os.urandom(6 * 1024 * 1024))\n"
    )
    monkeypatch.chdir(tmp_path)
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        yield Machine.of(running, parties)


def killed(between, *words, when=lambda: True):
    """Run a command over a connection that stalls, and kill it once ``when`` is true."""
    environment = {**os.environ, "AGENT_GRPC_URL": str(between.address)}
    with subprocess.Popen([*COMMAND, *words], env=environment, stdout=subprocess.DEVNULL) as process:
        assert between.stalled.wait(60)
        deadline = time.monotonic() + 60
        while not when() and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        process.kill()


def test_upload_resumes_after_kill_9(cloister, machine):
    machine.submit()
    words = ("upload-data", "data/h1.csv", "--key", "hospital-1.pem", "--manifest", "manifest.json")
    words += ("--policy", "policy.json")
    store = machine.running.agent.computation.store
    with cut(machine.running.address, 4 * MIB, stall=True) as between:
        killed(between, *words, when=lambda: store.progress("h1").offset >= 3 * MIB)
        done = cloister(*words, "--workspace", "workspace.json", "--json")

    assert done.code == 0, done.err
    assert json.loads(done.out)["uploaded"][0]["sent"] < 6 * MIB


def test_download_resumes_after_kill_9(cloister, machine):
    machine.run()
    words = ("result", "--key", "lab.pem", "--manifest", "manifest.json", "--policy", "policy.json")
    with cut(machine.running.address, 4 * MIB, downward=True, stall=True) as between:
        part = machine.parties.folder / "results.zip.part"
        killed(between, *words, when=lambda: part.stat().st_size >= MIB)
        before = part.stat().st_size
        done = cloister(*words, "--workspace", "workspace.json")

    assert done.code == 0, done.err
    assert before >= MIB
    assert (machine.parties.folder / "results.zip").stat().st_size > 6 * MIB


def test_ctrl_c_ends_an_upload_at_once_with_a_hint(machine):
    machine.submit()
    words = ("upload-data", "data/h1.csv", "--key", "hospital-1.pem", "--manifest", "manifest.json")
    with cut(machine.running.address, 2 * MIB, stall=True) as between:
        environment = {**os.environ, "AGENT_GRPC_URL": str(between.address)}
        command = [*COMMAND, *words, "--policy", "policy.json"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert between.stalled.wait(60)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert said.endswith("\n\nInterrupted. Run the same command again: the upload resumes.\n")


def test_ctrl_c_after_the_last_byte_promises_no_upload(cloister, machine, monkeypatch):
    machine.submit()
    words = ("upload-data", "data/h1.csv", "--key", "hospital-1.pem", "--manifest", "manifest.json")
    words += ("--policy", "policy.json", "--workspace", "workspace.json")
    upload = Session.upload_asset
    sends = []

    def interrupted(session, start, pieces, remaining, sent):
        sends.append(upload(session, start, pieces, remaining, sent))
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "upload_asset", interrupted)
    done = cloister(*words)
    assert (done.code, len(sends)) == (130, 1)
    assert done.err == "\nInterrupted. Everything was sent; `cloister status` shows whether the machine has it.\n"


def test_ctrl_c_before_the_last_asset_says_that_the_upload_resumes(cloister, machine, monkeypatch):
    machine.submit()
    words = ("upload-data", "data/h1.csv", "--key", "hospital-1.pem", "--manifest", "manifest.json")
    words += ("--policy", "policy.json", "--workspace", "workspace.json")

    def interrupted(session, start, pieces, remaining, sent):
        next(iter(pieces()))
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "upload_asset", interrupted)
    done = cloister(*words)
    assert (done.code, done.err) == (130, "\nInterrupted. Run the same command again: the upload resumes.\n")
