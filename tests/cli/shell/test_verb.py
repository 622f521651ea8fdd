"""What all verbs have in common: settings, errors, interruption, help."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.context import Context
from invoke.program import Program

import cloister
from cloister.attestation.checks import CHECKS
from cloister.cli import VERBS
from cloister.cli.shell import guide
from cloister.cli.shell.settings import Settings
from cloister.cli.shell.verb import verb
from cloister.errors import InputError

PACKAGE = Path(cloister.__file__).parent
CHECKOUT = PACKAGE.parent
COMMAND = (sys.executable, "-c", "from cloister.__main__ import main; main()")


def ended(task, *words):
    """The exit code of one task."""
    with pytest.raises(SystemExit) as caught:
        Program(binary="cloister", namespace=Collection(task)).run(["cloister", task.name, *words])
    return caught.value.code


def test_missing_required_option_is_an_error(capsys):
    @verb(required=["key"], help={"key": "a key"})
    def need(c: Context, key: str | None = None) -> None:
        raise AssertionError("started")

    assert ended(need) == 2
    assert capsys.readouterr().err == "Error: need needs --key.\n`cloister need --help` lists all options.\n"


@pytest.mark.parametrize("typed", ["zwei", "2.5", ""])
def test_invalid_integer_is_an_error(capsys, typed):
    @verb(help={"vcpus": "processors"})
    def make(c: Context, vcpus: int = 2) -> None:
        raise AssertionError("started")

    assert ended(make, "--vcpus", typed) == 2
    said = f"Error: --vcpus must be an integer, not {typed!r}."
    assert capsys.readouterr().err == f"{said}\n{InputError.remedy}\n"


def test_integer_option_is_passed_as_int(capsys):
    @verb(help={"vcpus_each": "processors"})
    def make(c: Context, vcpus_each: int = 2) -> None:
        print(vcpus_each + 1)

    program = Program(binary="cloister", namespace=Collection(make))
    program.run(["cloister", "make", "--vcpus-each", "4"], exit=False)
    program.run(["cloister", "make"], exit=False)
    assert capsys.readouterr().out == "5\n3\n"


def test_error_becomes_a_message_and_an_exit_code(capsys):
    @verb(help={})
    def fail(c: Context) -> None:
        raise InputError("It is wrong.", hint="Use `checksum` and `nothing`.", exit_code=4)

    assert ended(fail) == 4
    assert capsys.readouterr().err == "Error: It is wrong.\nUse `cloister checksum` and `nothing`.\n"


def test_message_has_no_control_characters(capsys):
    @verb(help={})
    def fail(c: Context) -> None:
        raise InputError("Bad\x1b[2J\u202e name.\n\tMore.", hint="Not\x07 so.")

    ended(fail)
    assert capsys.readouterr().err == "Error: Bad\ufffd[2J\ufffd name.\n\tMore.\nNot\ufffd so.\n"


def test_ctrl_c_says_what_it_leaves_behind(capsys):
    @verb(help={}, interrupted="Run it again.")
    def wait(c: Context) -> None:
        raise KeyboardInterrupt

    assert ended(wait) == 130
    assert capsys.readouterr().err == "\nInterrupted. Run it again.\n"


def test_configuration_file_sets_options(cloister, parties, tmp_path):
    parties.manifest()
    configuration = tmp_path / "settings.yaml"
    configuration.write_text(f"cloister: {{key: {parties.folder}/lab.pem}}\n")

    said = cloister("-f", configuration, "review", parties.folder / "manifest.json").out

    assert "lab (this is you)" in said


def test_vendors_are_asked_only_when_configured(tmp_path, monkeypatch):
    for said, asked in (("", False), ("0", False), ("false", False), ("1", True), ("true", True)):
        monkeypatch.setenv("CLOISTER_FETCH", said)
        assert (Settings(Context(), {}).collateral().network is not None) is asked
    monkeypatch.setenv("CLOISTER_FETCH", "yes")
    with pytest.raises(InputError, match="CLOISTER_FETCH must be 1 or 0, not 'yes'"):
        Settings(Context(), {}).collateral()


def test_collateral_comes_from_a_folder(tmp_path, monkeypatch):
    (tmp_path / "GCE.binarypb").write_bytes(b"endorsement")
    monkeypatch.setenv("CLOISTER_COLLATERAL", str(tmp_path))
    held = Settings(Context(), {}).collateral().held
    assert list(held.items("launch-endorsement")) == [b"endorsement"]


def test_every_option_has_a_help_text():
    # Invoke takes the texts out of a task when it reads its options: a process of its own sees them.
    program = """
from cloister.cli import VERBS
for verb in VERBS:
    print(verb.name, *(option.name for option in verb.get_arguments() if not option.help))
"""
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert said.splitlines() == [task.name for task in VERBS]


def test_command_without_a_verb_prints_the_guide(cloister):
    said = cloister().out

    for role in ("Algorithm provider", "Dataset provider", "Owner", "Result consumer"):
        assert role in said
    for task in VERBS:
        assert task.name.replace("_", "-") in said


def test_texts_name_the_image_manifest_consistently():
    texts = [(CHECKOUT / name).read_text() for name in ("README.md", "docs/image.md", "examples/walkthrough.py")]
    named = [name for text in (*texts, guide.PARTY) for name in re.findall(r"--(?:image|against) ([\w./-]*json)", text)]

    assert named == ["image.json"] * 5


def test_commands_in_the_guide_are_valid(cloister, monkeypatch):
    """Without its files, each command fails because of the first missing file, not because of an option."""
    lines = [line.strip() for line in cloister().out.splitlines()]
    commands = [
        shlex.split(re.split(r"  +", line)[0])[1:] for line in lines if re.match(r"cloister \S+( \S+)* .*json", line)
    ]
    exported = next(line for line in lines if line.startswith("export "))
    for name, value in re.findall(r"(\w+)=(\S+)", exported):
        monkeypatch.setenv(name, value)

    assert len(commands) == 14
    for command in [*commands, ["attest"]]:
        done = cloister(*command)
        assert done.code == 2, done.err
        assert "cannot be read: No such file or directory." in done.err


def test_every_default_is_in_the_help():
    program = """
import tasks

def walk(collection):
    yield from collection.tasks.values()
    for inner in collection.collections.values():
        yield from walk(inner)

for verb in walk(tasks.namespace):
    for option in verb.get_arguments():
        if option.default and type(option.default) in (str, int):
            print(verb.name, option.name, option.default, f"(default: {option.default})" in option.help)
"""
    said = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=CHECKOUT
    ).stdout.splitlines()

    assert "keys output cloister.pem True" in said
    assert [line for line in said if not line.endswith("True")] == []


def test_help_names_what_is_required_and_what_a_verb_takes_without_an_option():
    def run(verb):
        done = subprocess.run([*COMMAND, "--help", verb], check=True, capture_output=True, text=True)
        return " ".join(done.stdout.split())

    assert run("upload-data").startswith("Usage: cloister upload-data PATHS... [options] Upload datasets")
    assert run("verify-evidence").startswith("Usage: cloister verify-evidence FILES... [options]")
    assert run("guide") == "Usage: cloister guide Show who does what, in which order."
    assert run("policy").startswith("Usage: cloister policy [FILES...] [options] Start your own policy")
    assert "signed by a party that you chose (required, except for a bare report or quote)" in run("policy")


def test_help_of_the_command_has_only_what_a_party_needs():
    done = subprocess.run([*COMMAND, "--help"], check=True, capture_output=True, text=True)
    options = re.findall(r"^  (--[a-z-]+)", done.stdout, re.MULTILINE)

    assert options == ["--help", "--list", "--version", "--print-completion-script", "--debug"]
    for option in options:
        value = ["=bash"] if option.endswith("script") else [""]
        ran = subprocess.run([*COMMAND, option + value[0]], check=False, capture_output=True, text=True)
        assert ran.returncode == 0, option


def test_traceback_is_printed_only_with_debug(tmp_path):
    def run(*words):
        return subprocess.run([*COMMAND, *words], check=False, capture_output=True, text=True, cwd=tmp_path)

    plain, debug = run("checksum", "absent"), run("checksum", "absent", "--debug")

    assert (plain.returncode, debug.returncode) == (2, 2)
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr


@pytest.mark.parametrize("words", [(), ("--list",), ("--help",), ("checksum", __file__)])
@pytest.mark.parametrize("buffered", [True, False])
def test_closed_output_is_not_an_error(words, buffered):
    """Also if Python finds out at its end, when it writes what it has kept."""
    read, write = os.pipe()
    os.close(read)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [*COMMAND, *words], check=False, stdout=closed, stderr=subprocess.PIPE, text=True, env=environment
        )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_after_a_verb_is_not_a_file(word):
    def run(*words):
        return subprocess.run([*COMMAND, *words], check=False, capture_output=True, text=True)

    behind, before = run("checksum", word), run("--help", "checksum")

    assert (behind.returncode, behind.stderr) == (0, "")
    assert behind.stdout == before.stdout
    assert "--path" in behind.stdout


WITH_WORDS = [task.name.replace("_", "-").rstrip("-") for task in VERBS if task.positional]
USAGE = {
    **{(verb,): f"{verb} needs " for verb in WITH_WORDS},
    ("uplod-data",): "There is no verb 'uplod-data'.",
    ("--help", "uplod-data"): "There is no verb 'uplod-data'.",
    ("--bogus",): "The command has no option --bogus.",
    ("checksum", "--bogus"): "checksum has no option --bogus.",
    ("checksum", "x", "--bogus"): "checksum has no option --bogus.",
    ("checksum", "--bogus", "x"): "checksum has no option --bogus.",
    ("checksum", "--bogus=3", "x", "y"): "checksum has no option --bogus.",
    ("checksum", "--json", "x", "y"): "checksum does not take the word 'y'.",
    ("checksum", "x", "y"): "checksum does not take the word 'y'.",
    ("status", "x"): "status does not take the word 'x'.",
    ("status", "--json=3"): "status does not take the word '3'.",
    ("status", "--cvm"): "--cvm needs a value.",
    ("keys", "--kind", "dsa"): "--kind must be",
    ("policy",): "policy needs --image.",
}


@pytest.mark.parametrize("words", USAGE, ids=" ".join)
def test_wrong_command_line_is_an_error_of_the_user(words):
    done = subprocess.run([*COMMAND, *words], check=False, capture_output=True, text=True)

    message, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert message.startswith(f"Error: {USAGE[words]}")
    assert "cloister" in hint or words[0] == "keys"


def test_checkout_reports_a_missing_word_like_the_command():
    for words, said in {("checksum",): "checksum needs PATH.", ("image.diff", "a"): "image.diff needs AFTER."}.items():
        command = [sys.executable, "-m", "invoke", *words]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=PACKAGE.parent)
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"Error: {said}")


def test_messages_name_verbs_without_the_command():
    """A party may have only ``cloister``: messages spell only the checkout's own verbs with invoke."""
    verbs = "|".join(task.name.replace("_", "-") for task in VERBS)
    spelled = re.compile(rf"(?<!from )\b(?:invoke|cloister) (?:{verbs})(?![\w.-])")
    found = [
        f"{path.relative_to(PACKAGE)}: {said.value}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for said in ast.walk(ast.parse(path.read_text()))
        if isinstance(said, ast.Constant)
        and isinstance(said.value, str)
        and spelled.search(said.value)
        and path.name not in ("guide.py", "program.py")
    ]
    assert found == []


def test_hint_of_a_check_has_the_verb_with_its_command(capsys):
    @verb(help={})
    def fail(c: Context) -> None:
        raise InputError(CHECKS["manifest"].failure.advice)

    ended(fail)
    assert "(`cloister review`)" in capsys.readouterr().err
