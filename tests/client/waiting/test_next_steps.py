"""What a computation waits for: for every state who has to do what, with a command that can be copied."""

import dataclasses
import shlex

import pytest

from cloister.client.computation.status import ComputationStatus
from cloister.client.waiting.next_steps import StepReader, next_steps
from cloister.errors import ProofError
from cloister.protocol.events import State
from cloister.v1 import agent_pb2

OWNERS = ("lab",)


def status(state, *, missing=(), consumed=(), approved=None, hold=False):
    """An answer of a machine: the program and the datasets h1 and h2, of which some are missing."""
    answer = agent_pb2.StatusResponse(state=state, hold=hold)
    for name, kind, provider in (
        ("algorithm", "algorithm", "lab"),
        ("bundle", "bundle", "lab"),
        ("h1", "dataset", "hospital-1"),
        ("h2", "dataset", "hospital-2"),
    ):
        answer.assets.add(name=name, kind=kind, provider=provider, size=5, complete=name not in missing)
    for consumer in ("lab", "hospital-1"):
        answer.results.add(consumer=consumer, ready=True, consumed=consumer in consumed)
    for party, given in (approved or {}).items():
        answer.approvals.add(party=party, approved=given)
    return ComputationStatus(answer)


def said(found, reader=None, manifest=None):
    """Who, what and the last command of each step."""
    steps = next_steps(found, owners=OWNERS, reader=reader or StepReader(), manifest=manifest)
    return [(" and ".join(one.who), one.what, one.commands[-1] if one.commands else "") for one in steps]


FILE = "--manifest computation.json"
CASES = {
    "no manifest": (
        status(State.IDLE),
        [("lab", "submits the manifest on which all parties have agreed", f"cloister run {FILE}")],
    ),
    "everything is missing": (
        status(State.RECEIVING, missing=("algorithm", "bundle", "h1", "h2"), hold=True),
        [
            ("lab", "uploads the algorithm and its packages", f"cloister upload-algorithm FILE --bundle FILE {FILE}"),
            ("hospital-1", "uploads the dataset h1", f"cloister upload-data FILE --name h1 {FILE}"),
            ("hospital-2", "uploads the dataset h2", f"cloister upload-data FILE --name h2 {FILE}"),
            ("lab", "starts the run once all assets have arrived", "cloister start"),
        ],
    ),
    "one dataset is missing": (
        status(State.RECEIVING, missing=("h2",)),
        [("hospital-2", "uploads the dataset h2", f"cloister upload-data FILE --name h2 {FILE}")],
    ),
    "held": (status(State.HELD), [("lab", "starts the run", "cloister start")]),
    "running": (status(State.RUNNING), [("", "The algorithm runs. No one has to do anything.", "")]),
    "an approval is missing": (
        status(State.APPROVAL, approved={"hospital-1": True, "hospital-2": False}),
        [("hospital-2", "approves the result, or rejects it", f"cloister reject {FILE}")],
    ),
    "a result is not fetched": (
        status(State.CONSUMING, consumed=("lab",)),
        [("hospital-1", "fetches the result", f"cloister result --output results.zip {FILE}")],
    ),
    **{
        state.value: (
            status(state, consumed=("lab", "hospital-1")),
            [("lab", "may wipe the machine for another computation: this one has ended", "cloister reset")],
        )
        for state in (State.COMPLETE, State.FAILED, State.STOPPED)
    },
}


@pytest.mark.parametrize("case", CASES)
def test_every_state_says_who_has_to_do_what(case):
    found, expected = CASES[case]
    assert said(found) == expected


def test_every_state_is_in_the_table():
    assert {found.state for found, _ in CASES.values()} == set(State)


def test_unknown_state_has_no_steps():
    with pytest.raises(ProofError):
        said(ComputationStatus(agent_pb2.StatusResponse(state="Other")))


def test_readers_own_commands_have_its_options_and_files(parties):
    manifest = parties.manifest()
    reader = StepReader(
        parties=frozenset({"hospital-1"}), options=("--cvm", "main", "--key", "my key.pem"), manifest="m.json"
    )
    found = status(State.RECEIVING, missing=("h1", "h2"))
    own, other = next_steps(found, owners=OWNERS, reader=reader, manifest=manifest)
    assert own.yours
    assert not other.yours
    assert own.commands == (
        "cloister review m.json",
        "cloister upload-data h1.csv --name h1 --manifest m.json --cvm main --key 'my key.pem'",
    )
    assert other.commands[-1] == "cloister upload-data h2.csv --name h2 --manifest computation.json"
    named = next_steps(found, owners=OWNERS, reader=dataclasses.replace(reader, manifest_set=True), manifest=manifest)
    assert "--manifest" not in named[0].commands[-1]


HOSTILE = (
    "$(reboot).csv",
    "`id`",
    "a; b",
    "-rf",
    "--key=x",
    "a b",
    "'",
    '"',
    "../x",
    "é.csv",
    "a\u202eb",
    "~",
    "*",
    "a&b",
    "",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_name_that_a_party_chose_is_in_no_command_unless_it_is_plain(parties, name):
    manifest = parties.manifest()
    hostile = dataclasses.replace(
        manifest,
        algorithm=dataclasses.replace(
            manifest.algorithm, asset=dataclasses.replace(manifest.algorithm.asset, file=name)
        ),
        datasets=tuple(dataclasses.replace(one, file=name) for one in manifest.datasets),
    )
    found = status(State.RECEIVING, missing=("algorithm", "h1", "h2"))
    for asset in found.answer.assets:
        asset.name = name if asset.kind == "dataset" else asset.name
    for step in next_steps(found, owners=OWNERS, reader=StepReader(), manifest=hostile):
        for command in step.commands:
            words = shlex.split(command)
            assert words[0] == "cloister"
            assert name not in words
