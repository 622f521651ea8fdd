"""The verb `try`: options, output and exit codes. What a trial does is tested in tests/client/trial."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cloister import client
from cloister.cli import try_
from cloister.client.trial.report import TrialFile, TrialReport
from tests.cli.command import Cloister

REPORT = TrialReport(
    outcome="OK",
    seconds=1.25,
    memory=100 << 20,
    memory_limit=258 << 20,
    processes=5,
    printed=7000,
    output=b"hello\n",
    results=(TrialFile("model.json", 2),),
    suggested={"limits.time": "1m", "limits.memory": "192MiB"},
    not_enforced=("memory: sampled",),
)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The arguments of the function that the verb calls, which prints and returns REPORT."""
    found: dict[str, object] = {"report": REPORT}

    def try_computation(
        manifest: Path,
        root: Path,
        data: Mapping[str, Path],
        show: Callable[[bytes], None],
        unpack: Path | None,
        note: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> TrialReport:
        found.update(manifest=manifest, root=root, data=data, unpack=unpack)
        note("h1 stays packed.")
        warn("sklearn is missing.")
        show(b"hel\x1b[31ml\xc3")
        show(b"\xb6\n")
        return found["report"]  # ty: ignore[invalid-return-type]

    monkeypatch.setattr(client, "try_computation", try_computation, raising=False)
    return found


def test_trial_prints_what_it_found(cloister: Cloister, called: dict[str, object]) -> None:
    data = ("--data", "h1=mock/a b.zip", "--data", "h2=x=y")
    done = cloister("try", "c.yaml", "--root", "root.tar.gz", *data, "--unpack", "kept")

    assert called["manifest"] == Path("c.yaml")
    assert called["root"] == Path("root.tar.gz")
    assert called["data"] == {"h1": Path("mock/a b.zip"), "h2": Path("x=y")}
    assert called["unpack"] == Path("kept")
    assert done.code == 0
    for said in (
        "hel\ufffd[31ml\u00f6\n",
        "Outcome    OK",
        "100 MiB at its peak, of 258 MiB",
        "a machine keeps the first 6",
        "model.json",
        "limits.memory: 192MiB",
        "memory: sampled",
        "protects nothing",
    ):
        assert said in done.out
    assert "Limits to start from" in done.out
    assert "protects nothing" in done.err
    assert "h1 stays packed." in done.err
    assert "Warning: sklearn is missing." in done.err


def test_failed_run_points_to_what_helps(cloister: Cloister, called: dict[str, object]) -> None:
    called["report"] = dataclasses.replace(REPORT, outcome="EXIT_STATUS", advice=("Write below results/.",))
    done = cloister("try", "c.yaml", "--root", "root.tar.gz")

    lines = done.out.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("Outcome    EXIT_STATUS: ")]
    assert lines[at + 1].strip() == "Write below results/."
    assert json.loads(cloister("try", "c.yaml", "--root", "r", "--json").out)["advice"] == ["Write below results/."]


def test_json_is_all_that_is_printed(cloister: Cloister, called: dict[str, object]) -> None:
    done = cloister("try", "c.yaml", "--root", "root.tar.gz", "--json")
    value = json.loads(done.out)

    assert value["outcome"] == "OK"
    assert value["results"] == {"model.json": 2}
    assert value["warnings"] == ["sklearn is missing."]
    assert value["not_enforced"] == ["memory: sampled"]
    assert "protects nothing" in value["notice"]


def test_failed_run_exits_with_1(cloister: Cloister, called: dict[str, object]) -> None:
    called["report"] = TrialReport(**{**vars(REPORT), "outcome": "TIME_LIMIT"})
    done = cloister("try", "c.yaml", "--root", "root.tar.gz")

    assert done.code == 1
    assert "TIME_LIMIT: the algorithm took longer than the manifest allows" in done.out
    assert "Limits for what the run did until it ended" in done.out
    assert "Limits to start from" not in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "h1"], "--data must be NAME=PATH, not 'h1'."),
        (["--data", "=x"], "--data must be NAME=PATH"),
        (["--data", "h1=a", "--data", "h1=b"], "--data names h1 twice: a and b."),
    ],
)
def test_wrong_data_is_refused(cloister: Cloister, words: list[str], message: str) -> None:
    done = cloister("try", "c.yaml", "--root", "root.tar.gz", *words)

    assert (done.code, message in done.err) == (2, True)


def test_without_a_tree_the_verb_says_where_to_get_one(cloister: Cloister, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(try_, "_checkout", None)
    done = cloister("try", "c.yaml")

    assert done.code == 2
    assert "`invoke image.export`" in done.err
    assert "--image pytorch needs a checkout of Cloister" in cloister("try", "c.yaml", "--image", "pytorch").err
    assert "--root" in done.err
