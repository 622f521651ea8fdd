"""--json everywhere: each verb prints JSON that its published schema allows, or has a reason not to.

The fixture ``cloister`` validates whatever any test of this folder prints with --json.
"""

import json
import subprocess
import sys
import threading
import time

import pytest

from cloister.cli import VERBS
from tests import output_schema
from tests.cli.test_approve import waiting
from tests.cli.test_way import WHERE, as_party, upload_all
from tools.stubs import ROOT

PLAIN = {"logs": "prints what the algorithm printed, byte for byte"}
"""Verbs of a party without --json, with the reason."""

_ENGINE = "shows what the Pulumi engine prints, and asks; `workspace.status --json` has the outcome"
CHECKOUT_PLAIN = {
    "setup": "installs, with progress; `doctor --json` has the outcome",
    "clean": "removes, and asks",
    "demo": "shows the commands of all parties and what they print",
    "example": "as `demo`",
    "bench": "writes out/bench.json",
    "fuzz": "shows what the fuzzer prints",
    "image.lock": "writes the lock, which is JSON",
    "image.vendor": "writes one file, whose name was given",
    "workspace.new": "writes the configuration of a stack, which is YAML",
    "workspace.up": _ENGINE,
    "workspace.down": _ENGINE,
    "workspace.export": "prints the workspace descriptor, which is JSON",
    "workspace.console": "shows a machine's console as it is",
    "registry.new": "writes the configuration of a stack, which is YAML",
    "registry.up": _ENGINE,
    "registry.down": _ENGINE,
    "registry.add": "changes the configuration; `registry.list --json` has the outcome",
    "registry.remove": "changes the configuration; `registry.list --json` has the outcome",
    "member.add": "changes the configuration; `member.list --json` has the outcome",
    "member.invite": "writes the invitation, which is JSON",
    "member.admit": "changes the configuration; `member.list --json` has the outcome",
    "member.remove": "changes the configuration; `member.list --json` has the outcome",
}
"""Verbs of the checkout without --json, with the reason. ``test`` and its suites show what pytest prints."""

PROGRAM = """
import json, tasks
from cloister.cli import VERBS
def options(task):
    return [option.name for option in task.get_arguments()]
found = {verb.name.replace("_", "-").rstrip("-"): options(verb) for verb in VERBS}
party = set(found)
checkout = {}
for name in tasks.namespace.task_names:
    checkout[name] = options(tasks.namespace[name])
print(json.dumps([found, checkout]))
"""


@pytest.fixture(scope="module")
def options() -> list[dict[str, list[str]]]:
    # Invoke takes the help texts out of a task when it reads its options: only a process of its own may do that.
    said = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: list[dict[str, list[str]]] = json.loads(said)
    return found


def test_every_verb_of_a_party_has_json_with_a_schema_or_a_reason(options):
    party, _ = options
    assert {verb for verb, names in party.items() if "json" not in names} == set(PLAIN)
    assert {name for name in output_schema.names() if not name.startswith("invoke.")} == set(party) - set(PLAIN)


def test_every_verb_of_the_checkout_has_json_with_a_schema_or_a_reason(options):
    party, checkout = options
    own = {name: names for name, names in checkout.items() if name not in party and name != "guide"}
    without = {name for name, names in own.items() if "json" not in names}
    assert {name for name in without if not name.startswith("test.")} == set(CHECKOUT_PLAIN)
    assert {name for name in output_schema.names() if name.startswith("invoke.")} == {
        f"invoke.{name}" for name in set(own) - without
    }


@pytest.mark.parametrize("name", sorted(output_schema.names()))
def test_schemas_allow_no_other_value(name):
    for wrong in ("1", "null", '"text"', '{"version": "x"}', '[{"unknown": 1}]'):
        with pytest.raises(output_schema.fastjsonschema.JsonSchemaException):
            output_schema.validate(name, wrong)


@pytest.fixture
def folder(parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    return parties.folder


class Walk:
    """Runs verbs with --json, and notes which ones printed something."""

    def __init__(self, cloister):
        self.cloister = cloister
        self.seen = set()

    def __call__(self, *words, codes=(0,)):
        done = self.cloister(*words, "--json")
        assert done.code in codes, (words, done.err)
        assert done.out or words[0] == "watch", words
        self.seen.add(words[0])
        return done


ELSEWHERE = {
    "bundle": "tests/cli/test_bundle.py",
    "lock": "tests/cli/test_bundle.py",
    "try": "tests/cli/test_try.py",
    "verify-evidence": "tests/cli/test_verify_evidence.py",
    "page": "tests/cli/test_page.py",
    "join": "tests/cli/test_join.py",
    "policy": "tests/cli/test_first_policy.py",
    "collateral": "tests/cli/test_collateral.py",
}
"""Verbs whose output other tests validate, because it takes more than a machine and the parties' files."""


def test_output_of_every_verb_is_as_its_schema_says(cloister, machine, folder, parties):
    walk = Walk(cloister)
    walk("keys", "--output", "new.pem")
    walk("keys", "--fingerprint", "new.pub")
    walk("checksum", "data/h1.csv")
    machine.parties.edit("max: 1MiB", "max: 1MiB, approval: {by: [hospital-2], sees: names}")
    walk("manifest", "manifest.yaml")
    walk("review", "manifest.json", "--key", "lab.pem")
    walk("doctor", *as_party("lab"), codes=(0, 1))  # it says what this machine lacks
    walk("attest", *WHERE)
    walk("rule", "manifest.json", "--key", "hospital-1.pem", "--policy", "policy.json", "--until", "2099-12-31",
         "--data", "h1=data/h1.csv")  # fmt: skip
    walk("run", *as_party("lab"), "--hold", "--detach")
    walk("consent", *as_party("hospital-1"), "--rule", "rule.yaml")
    walk("upload-data", "data/h2.csv", *as_party("hospital-2"))
    walk("upload-algorithm", "train.py", *as_party("lab"))
    walk("start", "--key", "lab.pem", *WHERE)
    cloister("events", *as_party("lab"), "--follow", "--until", "awaiting approval")
    walk("status", "--key", "lab.pem", *WHERE)
    walk("metrics", "--key", "lab.pem", *WHERE)
    walk("approve", *as_party("hospital-2"), "--yes")
    walk("result", *as_party("lab"))
    walk("verify-result", "results.zip", "--policy", "policy.json")
    walk("report", "results.zip", "--policy", "policy.json")
    walk("usage", "results.zip", "--key", "lab.pem", "--policy", "policy.json")
    walk("export", "manifest.json")
    walk("import", "manifest.cloister", "--output", "there")
    assert cloister("result", *as_party("hospital-1"), "--output", "h1.zip").code == 0
    walk("events", *as_party("lab"), "--save", "events.jsonl")
    walk("run", *as_party("lab"))
    walk("audit", "events.jsonl", "--policy", "policy.json")
    walk("report", "events.jsonl", "--policy", "policy.json", "--output", "log.html")
    walk("watch", *as_party("lab"))
    walk("history")
    walk("reset", "--key", "lab.pem", *WHERE, "--detach")
    # The agent reboots once its answer is out.
    deadline = time.monotonic() + 30
    while not machine.running.ended and time.monotonic() < deadline:
        threading.Event().wait(0.02)

    ended = {"stop", "withdraw", "reject"}
    assert walk.seen | ended | set(ELSEWHERE) | set(PLAIN) == {
        verb.name.replace("_", "-").rstrip("-") for verb in VERBS
    }


@pytest.mark.parametrize("verb", ["stop", "withdraw", "reject"])
def test_output_of_verbs_that_end_a_computation_is_as_their_schema_says(cloister, machine, folder, verb):
    waiting(cloister, machine, "{by: [hospital-2], sees: names}")
    party = ("--key", "lab.pem", *WHERE) if verb == "stop" else as_party("hospital-2")

    assert Walk(cloister)(verb, *party).code == 0


@pytest.mark.parametrize("verb", ELSEWHERE)
def test_tests_elsewhere_use_json(verb):
    text = (ROOT / ELSEWHERE[verb]).read_text()
    assert f'"{verb}"' in text and "--json" in text, verb


def test_refusal_prints_nothing_to_standard_output(cloister, machine, folder):
    manifest = machine.submit()
    upload_all(machine, manifest)

    done = cloister("start", "--key", "hospital-1.pem", *WHERE, "--json")

    assert (done.code, done.out) == (4, "")
