"""Several assets of one provider are uploaded at once, over one session, and each as if it were alone."""

import os
import threading

import pytest

from cloister.client.computation import asset_upload, upload
from cloister.client.computation.asset import describe_asset
from cloister.client.computation.upload import UploadReport, upload_datasets
from cloister.client.connection import refusal
from cloister.client.connection.connection import Connection
from cloister.client.connection.session import Session
from cloister.errors import InputError
from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.parties import Parties
from tests.line import cut

MIB = 1024**2
NAMES = [f"d{number}" for number in range(6)]


@pytest.fixture
def machine(tmp_path, tmp_path_factory, monkeypatch):
    """A machine for six datasets of a hospital; the last ones are small."""
    monkeypatch.setattr(asset_upload, "TRANSFER_PAUSES", (0.01,) * 8)
    parties = Parties.make(tmp_path)
    entries = []
    for number, name in enumerate(NAMES):
        path = tmp_path / "data" / f"{name}.csv"
        path.write_bytes(os.urandom(2 * MIB if number < 4 else 10))
        parties.files[name] = path
        found = describe_asset(path)
        entries.append(
            f"  - {{name: {name}, provider: hospital-1, file: {name}.csv, digest: {found.digest}, size: {found.size}}}"
        )
    parties.edit("results: {", "\n".join(entries).lstrip() + "\nresults: {")
    text = (tmp_path / "manifest.yaml").read_text().replace("- {name: d0", "  - {name: d0", 1)
    (tmp_path / "manifest.yaml").write_text(text)
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        yield Machine.of(running, parties)


def complete(machine):
    with machine.connection("lab") as connection:
        return sorted(one.name for one in connection.session().status().assets if one.complete)


def paths(machine):
    return [machine.parties.files[name] for name in NAMES]


class Noted(UploadReport):
    """The names of uploaded assets, and the numbers of those that remain to be sent."""

    def __init__(self):
        self.names = []
        self.remaining = []

    def sent(self, remaining):
        self.remaining.append(remaining)

    def uploaded(self, one):
        self.names.append(one.asset.name)


def test_several_datasets_are_uploaded_at_once_over_one_session(machine, monkeypatch):
    manifest = machine.submit()
    together = threading.Barrier(upload._AT_ONCE, timeout=60)
    plain, sessions = Session.upload_asset, set()

    def waiting(session, start, *rest):
        sessions.add(session)
        if start.asset in NAMES[: upload._AT_ONCE]:
            together.wait()  # which ends only if the others are here
        return plain(session, start, *rest)

    monkeypatch.setattr(Session, "upload_asset", waiting)
    told = Noted()
    with machine.connection("hospital-1", manifest) as connection:
        done = upload_datasets(connection, manifest, paths(machine), report=told)

    assert [one.asset.name for one in done] == told.names == NAMES
    assert [one.sent for one in done] == [2 * MIB] * 4 + [10] * 2
    assert sorted(set(told.remaining)) == list(range(len(NAMES)))
    assert told.remaining[-1] == 0
    assert len(sessions) == 1
    assert complete(machine) == NAMES


@pytest.mark.parametrize("counts", [(MIB,), (3 * MIB, MIB), (2 * MIB, 40_000, MIB)], ids=str)
def test_a_lost_line_interrupts_all_of_them_and_each_resumes(machine, counts):
    manifest = machine.submit()
    with cut(machine.running.address, *counts) as between:
        target = machine.target(manifest)
        target = type(target)(between.address, target.policy, target.cvm, target.manifest_digest)
        with Connection(target, machine.parties.keys["hospital-1"]) as connection:
            done = upload_datasets(connection, manifest, paths(machine))
    assert between.reached == len(counts)
    assert [one.asset.name for one in done] == NAMES
    assert complete(machine) == NAMES


def test_session_that_one_upload_closes_is_opened_once_for_all(machine, monkeypatch):
    manifest = machine.submit()
    plain, opened, lost = Session.upload_asset, [], threading.Event()
    bind = Connection.session

    def refusing(session, start, *rest):
        if start.asset == "d1" and not lost.is_set():
            lost.set()
            raise refusal.Refusal("gone", reason="SESSION_UNKNOWN", metadata={}, hint="", exit_code=4)
        return plain(session, start, *rest)

    def noted(connection):
        found = bind(connection)
        opened.append(found)
        return found

    monkeypatch.setattr(Session, "upload_asset", refusing)
    monkeypatch.setattr(Connection, "session", noted)
    with machine.connection("hospital-1", manifest) as connection:
        upload_datasets(connection, manifest, paths(machine))
    assert len(set(opened)) == 2
    assert complete(machine) == NAMES


def test_failure_of_one_is_raised_and_the_others_that_have_begun_are_told(machine, monkeypatch):
    manifest = machine.submit()
    plain, failed = Session.upload_asset, threading.Event()

    def failing(session, start, *rest):
        if start.asset == "d2":
            failed.set()
            raise InputError("d2 was changed.")
        failed.wait(60)
        return plain(session, start, *rest)

    monkeypatch.setattr(Session, "upload_asset", failing)
    told = Noted()
    with machine.connection("hospital-1", manifest) as connection, pytest.raises(InputError, match="d2 was changed"):
        upload_datasets(connection, manifest, paths(machine), report=told)
    assert told.names == complete(machine)
    assert "d2" not in told.names


def test_interruption_by_the_user_ends_all(machine, monkeypatch):
    manifest = machine.submit()
    plain, others = Session.upload_asset, threading.Event()

    def stopping(session, start, *rest):
        if threading.current_thread() is threading.main_thread():
            others.wait(60)
            raise KeyboardInterrupt
        others.set()
        return plain(session, start, *rest)

    monkeypatch.setattr(Session, "upload_asset", stopping)
    with pytest.raises(KeyboardInterrupt), machine.connection("hospital-1", manifest) as connection:
        upload_datasets(connection, manifest, paths(machine))
    for thread in [one for one in threading.enumerate() if one.name == "upload"]:
        thread.join(60)
        assert not thread.is_alive()


REFUSED = {
    "twice": (["d0", "d0"], None, "are both for the dataset d0"),
    "name for several": (["d0", "d1"], "d0", "--name is for one file, not for 2"),
    "unknown": (["d0", "algorithm"], None, "several datasets"),
}


@pytest.mark.parametrize(("names", "name", "why"), REFUSED.values(), ids=REFUSED)
def test_ambiguous_files_are_refused_before_anything_is_read(machine, names, name, why):
    manifest = machine.submit()
    with machine.connection("hospital-1", manifest) as connection, pytest.raises(InputError, match=why):
        upload_datasets(connection, manifest, [machine.parties.files[one] for one in names], name=name)
    assert complete(machine) == []
