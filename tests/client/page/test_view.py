"""A page shows names of others as text, and what is not known now without a sign that it is good."""

import dataclasses
import datetime
import html.parser
import time

import pytest

from cloister.attestation.result import Check, CheckOutcome, Claims, Verdict
from cloister.client.computation.status import ComputationStatus
from cloister.client.connection.session import Bound
from cloister.client.page import app, timeline
from cloister.client.page.machines import ManifestCopy, WatchedMachine
from cloister.client.page.timeline import EventWindow
from cloister.client.page.view import STALE_SECONDS, view
from cloister.client.page.watcher import Contact, Snapshot, Watcher
from cloister.client.waiting.next_steps import StepReader
from cloister.protocol.events import Event, EventKind, State
from cloister.v1 import agent_pb2
from tests.client.page.browser import watched

NOW = datetime.datetime(2026, 11, 30, 12, 0, tzinfo=datetime.UTC)
MARKUP = "</title></bdi><script>alert(1)</script><img src=x onerror=alert(1)>\"'& {{ 7*7 }}"
TURNED = "invoice\u202efdp.exe\x1b[2J\u200b"


@pytest.fixture
def watcher(machine):
    """A watcher of the machine that has been told everything, and asks nothing."""
    manifest = machine.parties.manifest()
    (one,) = watched(machine, manifest)
    made = Watcher(one, machine.parties.keys["lab"], lambda: None)
    answer = agent_pb2.StatusResponse(state=State.RECEIVING.value, manifest_digest=manifest.digest(), events=1)
    answer.assets.add(name="h1", kind="dataset", provider="hospital-1", size=4, received=1)
    answer.results.add(consumer="lab", consumed=True, consumed_at="2026-11-30T12:00:00Z")
    answer.approvals.add(party="hospital-1")
    answer.notices.append("notice")
    made.snapshot = Snapshot(
        since=NOW,
        contact=Contact.ANSWERED,
        verdict=verdict(one),
        status=ComputationStatus(answer),
        bound=Bound(("owner",), ("lab",)),
        answered=NOW,
        clock=time.monotonic(),
        events=EventWindow({}),
    )
    made.snapshot.events.add(event(0))
    return made


def verdict(machine, *, accepted=True):
    """A verdict on the machine, confidential if it is accepted."""
    outcome = CheckOutcome.PASSED if accepted else CheckOutcome.FAILED
    configuration = machine.entry.boot_configuration
    return Verdict(
        platform="sev-snp",
        identity_root="AMD",
        confidential=accepted,
        at=NOW,
        policy=bytes(32),
        checks=(Check("nonce", outcome, "1", "2"),),
        claims=Claims(configuration, bytes(32), bytes(32), None, {}, ("base", bytes(32)), {"reported TCB": "7"}),
    )


def event(number, **changes):
    made = Event(number, "00" * 32, "2026-11-30T12:00:00Z", number, EventKind.CONSENT, State.RECEIVING)
    return dataclasses.replace(made, **changes)


PARTS = ("state", "fresh", "row", *app.SECTIONS)


def rendered(watcher, clock=None):
    shown = view(watcher, StepReader(), clock or time.monotonic())
    return app._rendered(PARTS, shown)


class Tags(html.parser.HTMLParser):
    """Tags and attributes; what is opened must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.names, self._open = set(), set(), []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}
        self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag


def test_machine_that_answered_is_good_and_shows_everything(watcher):
    parts = rendered(watcher)
    assert 'class="state good">Accepted' in parts["state"]
    assert "reported TCB" in parts["machine"]
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


@pytest.mark.parametrize("name", [MARKUP, TURNED], ids=["markup", "invisible"])
def test_names_that_others_chose_are_text(watcher, name):
    found = watcher.snapshot
    answer = agent_pb2.StatusResponse()
    answer.CopyFrom(found.status.answer)
    answer.detail = name
    answer.assets.add(name=name, kind=name, provider=name, size=2**64 - 1, received=2**63)
    answer.results.add(consumer=name, consumed=True, consumed_at=name)
    answer.approvals.add(party=name, approved=True, approved_at=name)
    answer.notices.append(name)
    copy = watcher.machine.manifests[0].manifest
    hostile = dataclasses.replace(copy, name=name, parties={name: copy.parties["lab"]})
    events = EventWindow({"00": name})
    events.add(event(0, actor="00", detail={"asset": name}))
    events.add(event(1, actor=name, kind=EventKind.RESULT_CONSUMED, detail={"consumer": name}))
    judged = found.verdict
    watcher.machine = WatchedMachine(
        "trial",
        "main",
        watcher.machine.target,
        watcher.machine.descriptor,
        watcher.machine.entry,
        (ManifestCopy(hostile, name),),
        ("--policy", name),
    )
    answer.manifest_digest = hostile.digest()
    watcher.snapshot = dataclasses.replace(
        found,
        status=ComputationStatus(answer),
        bound=Bound((name,), (name,)),
        problem=name,
        hint=name,
        events=events,
        log_problem="",
        verdict=dataclasses.replace(
            judged,
            platform=name,
            checks=(Check(name, CheckOutcome.FAILED, name, name, name),),
            claims=dataclasses.replace(judged.claims, identity={name: name}, image=(name, b"")),
        ),
    )
    for problem in ("", name):
        watcher.snapshot = dataclasses.replace(watcher.snapshot, log_problem=problem)
        parts = rendered(watcher)
        for part, text in parts.items():
            page = Tags(f"<table>{text}</table>" if part == "row" else text)
            assert not {"script", "img", "iframe", "object", "svg", "form", "input", "style", "link"} & page.tags
            assert not {one for one in page.names if one.startswith("on")} | page.names & {"src", "style"}
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
