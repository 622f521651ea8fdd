"""The page follows the machine, and never shows as good what is not known to be so now."""

import contextlib
import dataclasses
import re
import threading

import pytest

from cloister.client.connection.connection import Connection
from cloister.client.connection.sealed_calls import SealedCalls
from cloister.client.history.history import AcceptanceHistory, say_no
from cloister.client.page import live
from cloister.client.result.download import fetch_ciphertext
from cloister.protocol.manifest import Manifest
from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.page.browser import serving, watched, words
from tests.line import line

MACHINE = "trial/main/"
GOOD = re.compile(r'class="(state )?good"')


@pytest.fixture
def followed(machine):
    """The hospital's page, with its copy of the manifest, and the manifest."""
    manifest = machine.submit()
    with serving(watched(machine, manifest), machine.parties.keys["hospital-1"]) as browser:
        browser.enter()
        yield browser, manifest


def shown(page):
    """The text of the machine's page."""
    return words(page.get(MACHINE).text)


def test_page_follows_a_computation_to_its_result(machine, followed):
    page, manifest = followed
    stream = page.open(MACHINE + "live")
    assert "Accepted, not confidential" in words(stream.until("Receiving Algorithm"))
    assert "hospital-1 (you) uploads the dataset h1" in shown(page)
    assert "cloister upload-data h1.csv --name h1 --manifest manifest.json" in shown(page)
    for asset in manifest.assets():
        machine.upload(manifest, asset)
    stream.until(r"Completed \(0 of 2 fetched\)")
    whole = shown(page)
    for said in ("the algorithm has ended", "results are ready", "hospital-1 ready, not fetched yet", "verified"):
        assert said in whole
    with machine.connection("lab", manifest) as connection:
        fetch_ciphertext(connection, manifest, machine.parties.folder / "results.zip")
    assert re.search(r"lab fetched at \S+ \S+ \(event \d+\)", words(stream.until("lab fetched", "results")))


def test_what_was_not_accepted_before_is_a_warning_and_asks_for_nothing(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    manifest, key = machine.submit(), machine.parties.keys["hospital-1"]
    terms = manifest.value()
    terms["algorithm"]["args"] = ["--epochs", "2"]
    AcceptanceHistory(machine.policy, Manifest.from_value(terms), confirm=say_no)(verdict_on(machine, key), key)
    with serving(watched(machine, manifest), key) as page:
        page.enter()
        page.open(MACHINE + "live").until("Accepted, not confidential")

        assert "This is not what you accepted before" in shown(page)
        assert "algorithm.args" in shown(page)
        assert "upload-data" not in shown(page)
        accepting = AcceptanceHistory(machine.policy, manifest, confirm=lambda workspace, changes: True)
        accepting(verdict_on(machine, key), key)
        page.open(MACHINE + "live").until("upload-data", "todo")


def verdict_on(machine, key):
    """A verdict on the machine, of a connection of its own."""
    with Connection(machine.target(), key) as connection:
        return connection.verdict()


def test_browser_gets_neither_key_nor_session(machine, followed):
    page, _ = followed
    page.open(MACHINE + "live").until("Accepted")
    session = page.server.watchers[0]._connection.session()
    secret = machine.parties.keys["hospital-1"].private.private_bytes_raw()
    bodies = [page.get(path).body for path in (MACHINE, "page.js", MACHINE + "events?before=9")]
    for word in (session.calls.session_id.encode(), session.transcript.hex().encode(), secret.hex().encode(), secret):
        assert not any(word in body for body in bodies)


def test_key_is_used_for_status_and_events_only(machine, monkeypatch):
    called = set()

    def counted(real):
        def call(self, method, *rest):
            called.add(method)
            return real(self, method, *rest)

        return call

    for name in ("unary", "frames", "upload"):
        monkeypatch.setattr(SealedCalls, name, counted(getattr(SealedCalls, name)))
    with serving(watched(machine), machine.parties.keys["lab"]) as page:
        page.enter()
        page.open(MACHINE + "live").until("Accepted")
        for path in (MACHINE, MACHINE + "events?before=5", "", "nothing"):
            page.get(path)
    assert called == {"Status", "Events"}


def test_machine_that_does_not_answer_is_shown_as_it_was_and_not_as_good(machine, followed):
    page, _ = followed
    stream = page.open(MACHINE + "live")
    stream.until("Accepted")
    machine.running.agent.stop()
    html = stream.until("Not verified now")
    assert "What follows is what it said last" in html
    assert not GOOD.search(page.get(MACHINE).text)
    assert "upload-data" not in shown(page)


def test_rejected_machine_is_shown_with_the_failed_check_and_nothing_to_send(machine):
    manifest = machine.submit()
    (one,) = watched(machine, manifest)
    policy = machine.other_policy(owners=())
    rejecting = dataclasses.replace(one, target=dataclasses.replace(one.target, policy=policy))
    with serving([rejecting], machine.parties.keys["hospital-1"]) as page:
        page.enter()
        html = page.open(MACHINE + "live").until("Rejected")
        text = page.get(MACHINE).text
    assert "Do not send anything to this machine" in html
    assert '<td class="bad">failed</td>' in text
    assert not GOOD.search(text)
    assert "upload-data" not in text


@contextlib.contextmanager
def replaced(parties, folder, second):
    """A page whose machine is replaced by the agent ``second`` after it has been seen; yields page and stream."""
    owner = (parties.keys["lab"].id,)
    with running_agent(folder / "first", owner) as first, second(first, folder / "second", owner) as other:
        (one,) = watched(Machine.of(first, parties))
        with line(first.address) as between:
            behind = dataclasses.replace(one, target=dataclasses.replace(one.target, address=between.address))
            with serving([behind], parties.keys["lab"]) as page:
                page.enter()
                stream = page.open(MACHINE + "live")
                stream.until("Accepted")
                between.redirect(other.address)
                first.agent.stop()
                yield page, stream


def test_machine_that_turns_out_to_be_another_is_rejected(parties, tmp_path):
    with replaced(parties, tmp_path, lambda first, folder, owner: running_agent(folder, owner)) as (page, stream):
        html = stream.until("Rejected")
        assert "Do not send anything" in html
        assert not GOOD.search(page.get(MACHINE).text)


def test_reboot_is_said_and_its_events_begin_again(parties, tmp_path):
    def again(first, folder, owner):
        return running_agent(folder, owner, authority=first.authority)

    with replaced(parties, tmp_path, again) as (page, stream):
        html = stream.until("has started again, .* or its host shows another one")
        assert "Accepted" in html
        assert "1 events" in shown(page) or "1 event" in shown(page)


def test_other_manifest_than_the_partys_is_a_warning_and_asks_for_nothing(machine):
    machine.submit()
    other = dataclasses.replace(machine.parties.manifest(), id="00" * 16)
    with serving(watched(machine, other), machine.parties.keys["hospital-1"]) as page:
        page.enter()
        html = page.open(MACHINE + "live").until("Attention")
        assert "Do not upload anything before you know why" in html
        assert "upload-data" not in shown(page)


def test_stream_goes_on_where_it_was_interrupted(followed):
    page, _ = followed
    messages = iter(page.open(MACHINE + "live"))
    first = next(messages)
    assert {"state", "todo", "timeline", "verdict", "machine"} <= first.value["parts"].keys()
    page.open(MACHINE + "live").until("Accepted")
    latest = next(iter(page.open(MACHINE + "live"))).id

    resumed = next(iter(page.open(MACHINE + "live", ("Last-Event-ID", latest))))
    assert "machine" not in resumed.value.get("parts", {})
    by_query = next(iter(page.open(f"{MACHINE}live?since={latest}")))
    assert "machine" not in by_query.value.get("parts", {})
    for unknown in ("", "x", "0.99", f"{latest}9999", latest.split(".")[0], "é", "." * 500):
        with contextlib.suppress(UnicodeEncodeError):
            again = next(iter(page.open(MACHINE + "live", ("Last-Event-ID", unknown))))
            assert again.kind in ("parts", "beat")
    made_up = next(iter(page.open(MACHINE + "live", ("Last-Event-ID", "0123456789abcdef.5"))))
    assert "machine" in made_up.value["parts"]


def test_every_message_has_the_key_of_its_page(followed):
    page, _ = followed
    key = re.search(r'name="page-key" content="([^"]+)"', page.get(MACHINE).text)[1]
    stream = iter(page.open(MACHINE + "live"))
    assert [next(stream).value["key"] for _ in range(2)] == [key, key]
    assert key not in page.get("page.js").text


def test_streams_are_bounded_and_a_place_is_free_again(page, monkeypatch):
    monkeypatch.setattr(live, "MAX_STREAMS", 3)
    streams = [page.open(MACHINE + "live") for _ in range(3)]
    assert page.get(MACHINE + "live").status == 503
    assert page.get(MACHINE).status == 200
    page.streams.pop().close()
    streams.pop().answer.close()
    while page.open(MACHINE + "live").answer.status == 503:
        pass


def test_end_is_told_to_pages_that_are_open(page):
    stream = page.open(MACHINE + "live")
    stream.until("Accepted")
    page.server.stop()
    assert [sent.kind for sent in stream][-1] == "end"


def test_no_machine_is_asked_any_more_when_the_page_has_ended(machine, parties):
    """A channel that is open when Python ends makes gRPC wait two seconds."""
    with serving(watched(machine), parties.keys["lab"]) as page:
        page.enter()
        page.open(MACHINE + "live").until("Accepted")
    assert [one.name for one in threading.enumerate() if one.name.startswith("watch ")] == []


def test_several_workspaces_are_in_one_overview(machine, parties):
    (one,) = watched(machine)
    other = dataclasses.replace(one, workspace="second", target=dataclasses.replace(one.target, cvm="other"))
    with serving([one, other], parties.keys["lab"]) as page:
        page.enter()
        page.open("live").until("Waiting for a Manifest", "machine-0")
        page.open("live").until("Rejected", "machine-1")
        text = page.get("").text
    assert f'href="{MACHINE}"' in text
    assert 'href="second/main/"' in text
    assert "lab (you): submits the manifest" in words(text)
