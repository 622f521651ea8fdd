"""The demo shows the commands that it runs, and runs them without hidden settings."""

import subprocess
import sys

import pytest

from cloister.errors import CloisterError, InputError
from examples import walkthrough
from examples.actor import CHECKOUT, Actor
from examples.catalogue import TUMOUR

HOLDS_LOCK = """
import sys
from examples import walkthrough
with walkthrough.alone():
    print("alone", flush=True)
    sys.stdin.read()
"""


def test_command_is_shown_and_run_in_the_folder_of_the_party(tmp_path, capfd):
    Actor("lab", tmp_path).run("python -c 'import os; print(os.getcwd())'")

    assert capfd.readouterr().out == f"lab$ python -c 'import os; print(os.getcwd())'\n{tmp_path}\n"


def test_variables_of_the_reader_do_not_replace_options(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("CLOISTER_KEY", "mine.pem")
    monkeypatch.setenv("AGENT_GRPC_URL", "127.0.0.1:1")
    monkeypatch.setenv("CLOISTER_DEBIAN_MIRROR", "a mirror")
    monkeypatch.setenv("CLOISTER_LOCKS", "new locks")
    names = ("CLOISTER_KEY", "AGENT_GRPC_URL", "CLOISTER_DEBIAN_MIRROR", "CLOISTER_LOCKS")
    (tmp_path / "show.py").write_text(f"import os\nprint([os.environ.get(name) for name in {names}])\n")

    Actor("lab", tmp_path).run("python show.py")

    assert "[None, None, 'a mirror', 'new locks']" in capfd.readouterr().out


def test_failing_command_stops_the_demo_with_its_exit_code(tmp_path):
    with pytest.raises(CloisterError, match="ended with status 4") as caught:
        Actor("lab", tmp_path).run("python -c 'raise SystemExit(4)'")

    assert caught.value.exit_code == 4


def test_files_are_given_as_copies(tmp_path, capsys):
    lab, hospital = Actor("lab", tmp_path / "lab"), Actor("hospital-1", tmp_path / "hospital-1")
    for actor in (lab, hospital):
        actor.folder.mkdir()
    (hospital.folder / "hospital-1.pub").write_text("key")

    hospital.give("hospital-1.pub", lab, to="keys")

    assert (lab.folder / "keys" / "hospital-1.pub").read_text() == "key"
    assert capsys.readouterr().out == "  hospital-1 gives hospital-1.pub to lab\n"


def test_second_demo_is_refused_while_the_first_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("CLOISTER_STATE", str(tmp_path / "state"))
    command = [sys.executable, "-c", HOLDS_LOCK]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout.readline() == b"alone\n"
            with pytest.raises(InputError, match=r"^Another demo runs in this checkout\.") as caught:
                walkthrough.run(TUMOUR, tmp_path / "demo", {})
        finally:
            first.kill()
    assert caught.value.exit_code == 2
    assert not (tmp_path / "demo").exists()

    with walkthrough.alone():
        pass
