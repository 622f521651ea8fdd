"""The page of a result says what is proven and nothing else, whatever names the other parties chose."""

import dataclasses
import datetime
import hashlib
import html
import shlex
import zipfile

import pytest

from cloister.client.files.event_log import evidence_path
from cloister.client.report import report
from cloister.errors import InputError
from cloister.protocol import archive
from tests.client.html.markup import HOSTILE, TURNED, Page, loads_nothing
from tests.client.report.reported import Reported, hostile, many, proven

NOW = datetime.datetime(2026, 11, 30, 12, 0, tzinfo=datetime.UTC)
MAX_SIZE = 300_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A proven result, and logs from before."""
    return Reported.make(tmp_path_factory.mktemp("parties"), tmp_path_factory.mktemp("machine"))


def test_page_of_a_proven_result_has_all_that_is_proven(made, tmp_path):
    found = report.write_report(made.result, made.policy, tmp_path / "page.html", today=NOW)
    text = (tmp_path / "page.html").read_text()
    page = Page(text)

    assert found.accepted
    assert found.documents is not None
    assert " Proven " in page.text
    assert "Not proven" not in page.text
    digest = hashlib.sha256(made.result.read_bytes()).hexdigest()
    documents = found.documents
    for said in (
        documents.manifest.name,
        digest,
        documents.receipt.log_head,
        *(asset.digest for asset in documents.manifest.assets()),
        *(one for file in documents.receipt.files.items() for one in file),
        *(claim.text for claim in found.claims),
        *(check.name for check in found.at_creation.checks),
        *(event for event in ("submitted the manifest", "the algorithm runs", "the algorithm has ended")),
        "The machine was not confidential: its host could read everything in it.",
    ):
        assert said in page.text
    assert loads_nothing(page)
    assert len(text) < MAX_SIZE


def test_page_of_a_changed_result_says_what_failed_and_shows_nothing_of_it(made, tmp_path):
    with zipfile.ZipFile(made.result) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    changed = next(name for name in members if not name.startswith("cloister/"))
    with (tmp_path / "results.zip").open("wb") as out:
        archive.write_zip(out, (members | {changed: b"other"}).items())

    found = report.write_report(tmp_path / "results.zip", made.policy, tmp_path / "page.html", today=NOW)
    page = Page((tmp_path / "page.html").read_text())

    assert not found.accepted
    assert found.documents is None
    assert "Not proven" in page.text
    assert f"Do not use this result. The files are the ones that the receipt names: {changed}" in page.text
    assert "What runs" not in page.text
    assert "submitted the manifest" not in page.text
    assert loads_nothing(page)


@pytest.mark.parametrize("name", [HOSTILE, TURNED], ids=["markup", "invisible"])
def test_names_that_others_chose_are_text(made, tmp_path, name):
    changed = hostile(proven(made), name)
    for title in (tmp_path / "results.zip", tmp_path / f"{name.replace('/', '')}.zip"):
        title.write_bytes(b"")
        text = report.render(title, changed, NOW)
        page = Page(text)
        assert loads_nothing(page)
        assert not set(TURNED) & set(text) & {"\u202e", "\x1b", "\u200b"}
        assert "{{ 7*7 }}" in text or name == TURNED


@pytest.mark.parametrize("name", ["-rf.zip", "--policy=other.json", "a b$(id).zip", "a';id;'.zip"])
def test_commands_of_the_page_take_the_file_for_a_file(made, tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    text = html.unescape(report.render(tmp_path / name, proven(made), NOW))
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith(("sha256sum ", "cloister "))]
    said = f"./{name}" if name.startswith("-") else name
    assert [words.index(said) for words in commands] == [1, 2, 2]


def test_page_of_a_long_log_stays_small(made):
    text = report.render(made.result, many(proven(made)), NOW)
    assert len(text.encode()) < MAX_SIZE
    assert "9600 further events" in text
    assert "9600 further files" in text


@pytest.mark.parametrize(
    ("log", "state"), [("started", "Waiting for a Manifest"), ("waiting", "Receiving Data (0 of 2)")]
)
def test_page_of_a_log_before_the_result(made, tmp_path, log, state):
    path = getattr(made, log)
    found = report.write_report(path, made.policy, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert found.accepted
    assert " Log proven " in page.text
    assert f"the computation was in the state {state}." in page.text
    assert hashlib.sha256(path.read_bytes()).hexdigest() in page.text
    assert "cloister audit" in page.text
    assert "Receipt" not in page.text
    assert all(claim.text in page.text for claim in found.claims)
    assert loads_nothing(page)
    assert (made.manifest.digest().hex() in page.text) == (log == "waiting")


def test_page_of_a_log_has_the_names_of_the_readers_manifest_and_of_no_other(made, tmp_path):
    report.write_report(made.waiting, made.policy, tmp_path / "page.html", manifest=made.manifest)
    page = Page((tmp_path / "page.html").read_text())
    assert made.manifest.name in page.text
    assert "lab submitted the manifest" in page.text
    assert "hospital-1" in page.text

    other = dataclasses.replace(made.manifest, name="other")
    for file in (made.waiting, made.result):
        (tmp_path / "page.html").unlink(missing_ok=True)
        with pytest.raises(InputError, match=f"The manifest is not the one of {file}") as caught:
            report.write_report(file, made.policy, tmp_path / "page.html", manifest=other)
        assert other.digest().hex() in caught.value.message
        assert not (tmp_path / "page.html").exists()
    # Nothing of a manifest that the machine does not have yet is shown as if it had.
    report.write_report(made.started, made.policy, tmp_path / "page.html", manifest=other)
    assert "What runs" not in Page((tmp_path / "page.html").read_text()).text


@pytest.mark.parametrize("fault", ["changed", "no evidence", "not a log"])
def test_page_of_a_log_that_is_not_proven_shows_nothing_of_it(made, tmp_path, fault):
    log = tmp_path / "events.jsonl"
    text = made.waiting.read_text()
    log.write_text({"changed": text.replace('"uptime":', '"uptime":1', 1), "not a log": '{"a": 1}\n'}.get(fault, text))
    if fault != "no evidence":
        evidence_path(log).write_bytes(evidence_path(made.waiting).read_bytes())
    found = report.write_report(log, made.policy, tmp_path / "page.html", manifest=made.manifest)
    page = Page((tmp_path / "page.html").read_text())
    assert not found.accepted
    assert "Not proven" in page.text
    assert "Do not rely on this log." in page.text
    assert "submitted the manifest" not in page.text
    assert made.manifest.name not in page.text
