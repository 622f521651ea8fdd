"""The page of a result says what is proven and nothing else, whatever names the other parties chose."""

import dataclasses
import datetime
import hashlib
import zipfile

import pytest

from cloister.client.report import report
from cloister.client.result.download import fetch_ciphertext, finish_result
from cloister.client.result.proof import verify_result
from cloister.protocol import archive
from cloister.protocol.events import Event, EventKind, State
from tests.agent_fixture import running_agent
from tests.client.html.markup import HOSTILE, TURNED, Page, loads_nothing
from tests.client.machine import Machine
from tests.client.parties import Parties

NOW = datetime.datetime(2026, 11, 30, 12, 0, tzinfo=datetime.UTC)
MAX_SIZE = 300_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a proven result, and the policy under which it is."""
    folder = tmp_path_factory.mktemp("parties")
    parties = Parties.make(folder)
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        machine = Machine.of(running, parties)
        manifest = machine.run()
        with machine.connection("lab", manifest) as connection:
            fetch_ciphertext(connection, manifest, folder / "results.zip")
        finish_result(manifest, machine.policy, folder / "results.zip")
        return folder, machine.policy


def test_page_of_a_proven_result_has_all_that_is_proven(made, tmp_path):
    folder, policy = made
    found = report.write_report(folder / "results.zip", policy, tmp_path / "page.html", today=NOW)
    text = (tmp_path / "page.html").read_text()
    page = Page(text)

    assert found.accepted
    assert found.documents is not None
    assert " Proven " in page.text
    assert "Not proven" not in page.text
    digest = hashlib.sha256((folder / "results.zip").read_bytes()).hexdigest()
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
    folder, policy = made
    with zipfile.ZipFile(folder / "results.zip") as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    changed = next(name for name in members if not name.startswith("cloister/"))
    with (tmp_path / "results.zip").open("wb") as out:
        archive.write_zip(out, (members | {changed: b"other"}).items())

    found = report.write_report(tmp_path / "results.zip", policy, tmp_path / "page.html", today=NOW)
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
    folder, policy = made
    found = verify_result(folder / "results.zip", policy, today=NOW)
    documents = found.documents
    assert documents is not None
    hostile = dataclasses.replace(
        found,
        notes=(name,),
        claims=tuple(dataclasses.replace(claim, detail=name) for claim in found.claims),
        documents=dataclasses.replace(
            documents,
            manifest=dataclasses.replace(documents.manifest, name=name, description=name),
            receipt=dataclasses.replace(documents.receipt, files={name: "00" * 32}, created=name),
            events=tuple(dataclasses.replace(event, actor=name) for event in documents.events),
        ),
    )
    for title in (tmp_path / "results.zip", tmp_path / f"{name.replace('/', '')}.zip"):
        title.write_bytes(b"")
        text = report.render(title, hostile, NOW)
        page = Page(text)
        assert loads_nothing(page)
        assert not set(TURNED) & set(text) & {"\u202e", "\x1b", "\u200b"}
        assert "{{ 7*7 }}" in text or name == TURNED


def test_page_of_a_long_log_stays_small(made):
    folder, policy = made
    found = verify_result(folder / "results.zip", policy, today=NOW)
    documents = found.documents
    assert documents is not None
    event = Event(0, "00" * 32, "2026-11-30T12:00:00Z", 0, EventKind.CONSENT, State.RECEIVING, detail={"asset": "h1"})
    many = tuple(dataclasses.replace(event, sequence=number, uptime=number) for number in range(10_000))
    files = {f"{number}.png": "00" * 32 for number in range(10_000)}
    long = dataclasses.replace(
        found,
        documents=dataclasses.replace(
            documents, events=many, receipt=dataclasses.replace(documents.receipt, files=files)
        ),
    )
    text = report.render(folder / "results.zip", long, NOW)
    assert len(text.encode()) < MAX_SIZE
    assert "9600 further events" in text
    assert "And 9600 more" in text
