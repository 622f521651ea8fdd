"""The demo shows the very commands that run, and runs them without what the reader does not see."""

import subprocess
import sys

import pytest

from cloister.errors import CloisterError, InputError
from examples.tumour import demo
from examples.tumour.demo import CHECKOUT, Player

PLAYS = """
import sys
from examples.tumour import demo
with demo.alone():
    print("alone", flush=True)
    sys.stdin.read()
"""


def test_a_command_is_shown_and_run_in_the_partys_folder(tmp_path, capfd):
    Player("lab", tmp_path).types("python -c 'import os; print(os.getcwd())'")

    assert capfd.readouterr().out == f"lab$ python -c 'import os; print(os.getcwd())'\n{tmp_path}\n"


def test_settings_of_the_reader_do_not_stand_in_for_options(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("CLOISTER_KEY", "mine.pem")
    monkeypatch.setenv("AGENT_GRPC_URL", "127.0.0.1:1")
    monkeypatch.setenv("CLOISTER_DEBIAN_MIRROR", "a mirror")
    monkeypatch.setenv("CLOISTER_LOCKS", "new locks")
    names = ("CLOISTER_KEY", "AGENT_GRPC_URL", "CLOISTER_DEBIAN_MIRROR", "CLOISTER_LOCKS")
    (tmp_path / "show.py").write_text(f"import os\nprint([os.environ.get(name) for name in {names}])\n")

    Player("lab", tmp_path).types("python show.py")

    assert "[None, None, 'a mirror', 'new locks']" in capfd.readouterr().out


def test_a_command_that_fails_stops_the_demo_with_its_code(tmp_path):
    with pytest.raises(CloisterError, match="ended with status 4") as caught:
        Player("lab", tmp_path).types("python -c 'raise SystemExit(4)'")

    assert caught.value.exit_code == 4


def test_files_are_handed_over_by_copy(tmp_path, capsys):
    lab, hospital = Player("lab", tmp_path / "lab"), Player("hospital-1", tmp_path / "hospital-1")
    for player in (lab, hospital):
        player.folder.mkdir()
    (hospital.folder / "hospital-1.pub").write_text("key")

    hospital.hands("hospital-1.pub", lab, to="keys")

    assert (lab.folder / "keys" / "hospital-1.pub").read_text() == "key"
    assert capsys.readouterr().out == "  hospital-1 hands hospital-1.pub to lab\n"


def test_a_second_demo_is_refused_as_long_as_the_first_lives(tmp_path, monkeypatch):
    monkeypatch.setenv("CLOISTER_STATE", str(tmp_path / "state"))
    command = [sys.executable, "-c", PLAYS]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout.readline() == b"alone\n"
            with pytest.raises(InputError, match=r"^Another demo is under way in this checkout\.") as caught:
                demo.run(tmp_path / "demo")
        finally:
            first.kill()
    assert caught.value.exit_code == 2
    assert not (tmp_path / "demo").exists()

    with demo.alone():
        pass
