"""A page shows names of others as text, and what is not known now without a sign that it is good."""

import dataclasses
import time

import pytest

from cloister.client.page import app, timeline
from cloister.client.page.timeline import EventWindow
from cloister.client.page.view import STALE_SECONDS, view
from cloister.client.page.watcher import Contact, Watcher
from cloister.client.waiting.next_steps import StepReader
from tests.client.html.markup import HOSTILE, TURNED, Page
from tests.client.page.told import event, machine_of, poison, told, verdict_on


@pytest.fixture
def watcher(parties):
    """A watcher of the machine that has been told everything, and asks nothing."""
    made = Watcher(machine_of(parties), parties.keys["lab"], lambda: None)
    made.snapshot = told(made)
    return made


PARTS = ("state", "fresh", "row", *app.SECTIONS)


def rendered(watcher, clock=None):
    shown = view(watcher, StepReader(), clock or time.monotonic())
    return app._rendered(PARTS, shown)


def test_machine_that_answered_is_good_and_shows_everything(watcher):
    parts = rendered(watcher)
    assert 'class="state good">Accepted' in parts["state"]
    assert "reported TCB" in parts["machine"]
    assert "500 EUR a month" in parts["machine"]
    assert watcher.key.hex() not in "".join(parts.values())
    assert "(you)" in parts["people"]
    assert "hospital-1" in parts["todo"]
    assert "2026" in parts["results"]


NOT_NOW = {
    "asking": {"contact": Contact.ASKING},
    "silent": {"contact": Contact.SILENT, "problem": "no answer"},
    "broken": {"contact": Contact.BROKEN},
    "rejected": {"contact": Contact.REJECTED, "status": None},
    "rejected without a verdict": {"contact": Contact.REJECTED, "verdict": None},
    "stale": {"clock": -STALE_SECONDS},
    "answer without a verdict": {"verdict": None},
    "no verdict": {"contact": Contact.REFUSED, "verdict": None, "status": None},
}


@pytest.mark.parametrize("case", NOT_NOW)
def test_what_is_not_known_now_has_no_sign_of_good(watcher, case):
    watcher.snapshot = dataclasses.replace(watcher.snapshot, **NOT_NOW[case])
    parts = rendered(watcher)
    text = "".join(parts.values())
    assert 'good"' not in text
    assert "upload" not in parts["todo"]
    assert "upload" not in parts["row"]


def test_answer_under_a_verdict_that_rejects_has_no_sign_of_good(watcher):
    judged = verdict_on(watcher.machine, accepted=False)
    watcher.snapshot = dataclasses.replace(watcher.snapshot, verdict=judged)
    parts = rendered(watcher)
    assert 'good"' not in "".join(parts.values())
    assert "upload" not in parts["todo"] + parts["row"]
    assert "accepts" not in parts["state"]


def test_answer_becomes_stale_by_itself(watcher):
    assert "good" in rendered(watcher)["state"]
    later = rendered(watcher, time.monotonic() + STALE_SECONDS + 1)
    assert "good" not in later["state"]
    assert "has not answered for a while" in later["state"]


def test_log_that_is_not_genuine_is_a_warning_and_asks_for_nothing(watcher):
    watcher.snapshot = dataclasses.replace(watcher.snapshot, log_problem="Event 3 is not signed.")
    parts = rendered(watcher)
    assert "The event log is not genuine" in parts["state"]
    assert "upload" not in parts["todo"]


@pytest.mark.parametrize("name", [HOSTILE, TURNED], ids=["markup", "invisible"])
def test_names_that_others_chose_are_text(watcher, name):
    poisoned = poison(watcher, name)
    for problem in ("", name):
        watcher.snapshot = dataclasses.replace(poisoned, log_problem=problem)
        parts = rendered(watcher)
        for part, text in parts.items():
            page = Page(f"<table>{text}</table>" if part == "row" else text)
            names = {name for name, _ in page.attributes}
            assert not {"script", "img", "iframe", "object", "svg", "form", "input", "style", "link"} & set(page.tags)
            assert not {one for one in names if one.startswith("on")} | names & {"src", "style"}
            assert not {"\u202e", "\x1b", "\u200b"} & set(text)
    assert "&lt;script&gt;" in parts["state"] or name == TURNED


def test_long_log_keeps_the_newest_events(monkeypatch):
    monkeypatch.setattr(timeline, "MAX_KEPT", 10)
    window = EventWindow({})
    for number in range(25):
        window.add(event(number))
    assert (window.count, window.first) == (25, 15)
    assert [number for number, _ in window.newest(3)] == [24, 23, 22]
    assert [number for number, _ in window.newest(3, before=17)] == [16, 15]
    assert window.newest(3, before=15) == window.newest(3, before=0) == []
    assert [number for number, _ in window.newest(100, before=10**8)] == list(range(24, 14, -1))
