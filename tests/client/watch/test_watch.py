"""A party is told when it is its turn, when a result is ready, and how a computation without one has ended."""

import dataclasses
import json
import os
import select
import sys

import pytest

from cloister.client.computation import decisions, events, lifecycle
from cloister.client.computation.events import EventReader
from cloister.client.computation.status import fetch_status
from cloister.client.connection import opening
from cloister.client.waiting.next_steps import StepReader, next_steps
from cloister.client.watch import command, watch
from cloister.client.watch.command import parse_command
from cloister.client.watch.news import NewsDesk, NewsKind
from cloister.client.watch.watch import WatchReport, watch_computation
from cloister.errors import CloisterError, InputError, ProofError, UnreachableError
from cloister.protocol import schema
from tests.agent_fixture import running_agent
from tests.client.machine import FINISHED, Machine


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(watch, "PAUSES", (0.0,))
    monkeypatch.setattr(command, "PAUSES", ())
    monkeypatch.setattr(opening, "_PAUSES", ())
    monkeypatch.setattr(events, "EVENT_PAUSES", (0.01,))


class Awaiting(WatchReport):
    """Does the next step whenever the watch says that it waits."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.said = []

    def awaiting(self, said):
        self.said.append(said)
        if self.steps:
            self.steps.pop(0)()


def news_of(machine, party, manifest, **more):
    return watch_computation(machine.connection(party, manifest), manifest, **more)


def upload_all(machine, manifest):
    for asset in manifest.assets():
        machine.upload(manifest, asset)


def test_provider_is_told_from_the_manifest_to_the_result(machine):
    manifest = machine.parties.manifest()

    def submit():
        machine.submitted(manifest)

    waiting = Awaiting(submit)
    news = news_of(machine, "hospital-1", manifest, report=waiting)

    turn = next(news)
    assert waiting.said == ["The machine has no manifest yet. Waiting until the owner submits yours."]
    assert (turn.kind, turn.assets, turn.verbs, turn.parties) == (
        NewsKind.YOUR_TURN,
        ("h1",),
        ("upload-data",),
        ("hospital-1",),
    )
    upload_all(machine, manifest)
    ready = next(news)
    assert (ready.kind, ready.verbs, ready.workspace, ready.cvm) == (
        NewsKind.RESULT_READY,
        ("result",),
        "trial",
        "main",
    )
    assert turn.id != ready.id


def test_only_who_has_to_do_something_is_told_and_only_while_it_has(machine):
    machine.parties.edit("max: 1MiB", "max: 1MiB, approval: {by: [hospital-2], sees: names}")
    manifest = machine.run()
    with machine.connection("hospital-2", manifest) as connection:
        (turn,) = [next(news_of(machine, "hospital-2", manifest))]
        assert turn.verbs == ("approve", "reject")  # and not the upload that is done
        decisions.approve_result(connection, manifest, decisions.preview_result(connection, manifest))
    assert next(news_of(machine, "lab", manifest)).kind is NewsKind.RESULT_READY
    machine.stop()
    said = [(one.kind, one.text) for one in news_of(machine, "hospital-2", manifest)]
    assert said == [(NewsKind.ENDED, "Lab stopped the computation; there is no result.")]


def test_owner_is_told_of_a_held_run_and_everyone_of_a_withdrawal(machine):
    manifest = machine.parties.manifest()
    machine.submitted(manifest, hold=True)
    upload_all(machine, manifest)
    assert next(news_of(machine, "lab", manifest)).verbs == ("start",)
    with machine.connection("hospital-1", manifest) as connection:
        decisions.withdraw_consent(connection, manifest)

    for party in ("lab", "hospital-1", "hospital-2"):
        (only,) = news_of(machine, party, manifest)
        assert (only.kind, only.text) == (
            NewsKind.WITHDRAWN,
            "hospital-1 withdrew its consent; everything is wiped.",
        )


def turns(machine, party, manifest):
    """The verbs that `watch` names for a party now, from the signed events, and the page, from the status."""
    with machine.connection(party, manifest) as connection:
        desk = NewsDesk(
            manifest,
            connection.key.public,
            connection.evidence().event_log_key,
            is_owner=party == "lab",
            workspace="trial",
            cvm="main",
        )
        news = [desk.news(record) for record in EventReader(connection).records(follow=False)]
        standing = [one for one in news if one is not None and desk.stands(one)]
        steps = next_steps(
            fetch_status(connection),
            owners=("lab",),
            reader=StepReader(frozenset({party}), owner=party == "lab"),
            manifest=manifest,
        )
    typed = {command.split()[1] for one in steps if one.yours and not one.later for command in one.commands}
    return {verb for one in standing for verb in one.verbs}, typed - {"review", "reset", "logs"}


def test_watch_and_page_name_the_same_turn_at_every_step(machine):
    machine.parties.edit("max: 1MiB", "max: 1MiB, approval: {by: [hospital-2], sees: names}")
    manifest = machine.parties.manifest()
    found = []

    def compare():
        both = {party: turns(machine, party, manifest) for party in ("lab", "hospital-1", "hospital-2")}
        assert {party for party, (watch, page) in both.items() if watch != page} == set()
        found.append({party: sorted(watch) for party, (watch, _) in both.items() if watch})

    machine.submitted(manifest, hold=True)
    compare()
    for asset in manifest.assets():
        machine.upload(manifest, asset)
        compare()
    with machine.connection("lab", manifest) as connection:
        lifecycle.start_run(connection)
        for _ in EventReader(connection).records(follow=True, until=FINISHED):
            pass
    compare()
    with machine.connection("hospital-2", manifest) as connection:
        decisions.approve_result(connection, manifest, decisions.preview_result(connection, manifest))
    compare()

    assert {"lab": ["start"]} in found
    assert {"hospital-2": ["approve", "reject"]} in found
    assert found[0].keys() == {"lab", "hospital-1", "hospital-2"}
    assert found[-1] == {name: ["result"] for name in manifest.results.recipients}


def test_machine_that_stays_away_and_comes_back_empty_is_watched_again(machine, tmp_path_factory):
    manifest = machine.submit()
    connection = machine.connection("hospital-1", manifest)
    with running_agent(
        tmp_path_factory.mktemp("again"), (machine.parties.keys["lab"].id,), authority=machine.running.authority
    ) as running:
        again = Machine.of(running, machine.parties)
        waiting = Awaiting(
            lambda: setattr(
                connection,
                "target",
                dataclasses.replace(connection.target, address=running.address, policy=again.policy),
            ),
            lambda: again.submitted(manifest),
        )
        news = watch_computation(connection, manifest, report=waiting)
        before = next(news)
        machine.running.agent.stop()

        lost = next(news)
        after = next(news)

    assert [one.kind for one in (before, lost, after)] == [NewsKind.YOUR_TURN, NewsKind.ENDED, NewsKind.YOUR_TURN]
    assert len({before.id, lost.id, after.id}) == 3
    assert (lost.record, "was restarted, or its host shows another one" in lost.text) == (None, True)
    schema.validate("client/news", lost.value(), what="The news")
    assert waiting.said[0].endswith("Watching again when the machine answers.")
    assert waiting.said[1].startswith("The machine has no manifest yet.")


def test_machine_that_never_answered_that_is_rejected_or_refuses_ends_the_watch(machine):
    manifest = machine.submit()
    rejecting = machine.connection("hospital-1", manifest)
    rejecting.target = dataclasses.replace(rejecting.target, policy=machine.other_policy(owners=("00" * 32,)))
    with pytest.raises(ProofError):
        next(watch_computation(rejecting, manifest))
    with pytest.raises(InputError, match="Your key is not among the parties"):
        next(news_of(machine, "stranger", manifest))
    connection = machine.connection("hospital-1", manifest)
    machine.running.agent.stop()
    with pytest.raises(UnreachableError):
        next(watch_computation(connection, manifest))


@pytest.fixture
def script(tmp_path):
    """A command that writes down its words and what it was told, and ends as ``exit`` says."""
    (tmp_path / "exit").write_text("0")
    path = tmp_path / "tell me.py"
    path.write_text(
        "import json, pathlib, sys\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with (folder / 'told').open('a') as file:\n"
        "    file.write(json.dumps([sys.argv[1:], json.loads(sys.stdin.read())]) + '\\n')\n"
        "sys.exit(int((folder / 'exit').read_text()))\n"
    )
    return parse_command(f"{sys.executable} '{path}' \"$(touch {tmp_path}/shell)\" a;b")


def told(tmp_path):
    path = tmp_path / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_command_is_told_each_news_once_and_again_if_it_failed(machine, script, tmp_path):
    manifest = machine.submit()
    (tmp_path / "exit").write_text("3")
    with pytest.raises(CloisterError, match=r"failed with exit code 3\.") as caught:
        next(news_of(machine, "hospital-1", manifest, command=script))
    assert caught.value.exit_code == 1
    (tmp_path / "exit").write_text("0")
    turn = next(news_of(machine, "hospital-1", manifest, command=script))
    machine.stop()
    ended = list(news_of(machine, "hospital-1", manifest, command=script))
    assert list(news_of(machine, "hospital-1", manifest, command=script)) == []
    assert [one.kind for one in news_of(machine, "hospital-1", manifest)] == [NewsKind.ENDED]

    words, failed = told(tmp_path)[0]
    assert words == [f"$(touch {tmp_path}/shell)", "a;b"]
    assert not (tmp_path / "shell").exists()
    assert [one for _, one in told(tmp_path)] == [failed, turn.value(), ended[0].value()]
    assert failed == turn.value()


def test_two_watches_do_not_tell_one_command_the_same(machine, script):
    manifest = machine.submit()
    first = news_of(machine, "hospital-1", manifest, command=script)
    next(first)

    with pytest.raises(InputError, match="Another watch tells this command the same news"):
        next(news_of(machine, "hospital-1", manifest, command=script))
    assert next(news_of(machine, "hospital-1", manifest, command=(*script, "other"))).kind is NewsKind.YOUR_TURN
    assert next(news_of(machine, "hospital-2", manifest, command=script)).kind is NewsKind.YOUR_TURN


def test_command_is_not_told_what_cannot_be_remembered(machine, script, tmp_path):
    (tmp_path / "state").write_text("a file")

    with pytest.raises(InputError, match="cannot be written"):
        next(news_of(machine, "hospital-1", machine.submit(), command=script))
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("", "needs a command"),
        ("   ", "needs a command"),
        ("mail 'x", "not a command"),
        ("no-such-program-here", "there is no program"),
        ("/etc/passwd", "there is no program"),
        ("mail|cat", "there is no program"),
    ],
)
def test_what_is_not_a_command_is_refused_before_anything_is_watched(said, message):
    with pytest.raises(InputError, match=message):
        parse_command(said)


def test_program_that_does_not_start_counts_as_not_told(tmp_path):
    path = tmp_path / "empty"
    path.write_text("")
    path.chmod(0o755)

    with pytest.raises(CloisterError, match="could not be started"):
        command.tell(parse_command(str(path)), NOTHING)


class _Nothing:
    def value(self):
        return {}


NOTHING = _Nothing()


def test_a_command_that_takes_too_long_ends_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "SECONDS", 1.0)
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    script = f"sleep 600 >{held} & sleep 600 >{held}; true"

    with pytest.raises(CloisterError, match="sh did not end within 1 seconds"):
        command.tell(("/bin/sh", "-c", script), NOTHING)

    assert select.select([reader], [], [], 60)[0], "a program still holds the other end"
    assert os.read(reader, 1) == b""
    os.close(reader)
