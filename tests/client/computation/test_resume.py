"""An upload continues where it stopped, reads nothing twice, and withholds its end from a file that has changed."""

import dataclasses
import hashlib
import os
import time

import pytest

from cloister.client.computation import asset, asset_upload, digests
from cloister.client.computation.asset import check_asset, describe_asset, identify, open_asset
from cloister.client.computation.asset_upload import upload_asset
from cloister.client.computation.digests import Digest, DigestCache
from cloister.client.computation.rehash import Rehash
from cloister.client.computation.upload import upload_assets
from cloister.client.connection import opening
from cloister.client.connection.connection import Connection
from cloister.errors import InputError
from cloister.protocol.foldertar import FolderTar
from cloister.protocol.sealing import FRAME_SIZE
from cloister.v1 import agent_pb2
from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.parties import Parties
from tests.line import cut

MIB = 1024**2
SIZE = 4 * MIB + 5


@pytest.fixture(autouse=True)
def settled(tmp_path, monkeypatch):
    """An empty cache, a clock that is an hour ahead, and no pauses between attempts."""
    monkeypatch.setattr(digests, "default_path", lambda: tmp_path / "cache" / "digests")
    monkeypatch.setattr(digests, "now", lambda: time.time_ns() + 3600 * 10**9)
    monkeypatch.setattr(digests, "_is_local", lambda descriptor: True)
    monkeypatch.setattr(asset_upload, "TRANSFER_PAUSES", (0.01,) * 8)
    monkeypatch.setattr(opening, "_PAUSES", (0.01,) * 3)


@pytest.fixture
def machine(tmp_path, tmp_path_factory):
    """A machine whose first dataset has some frames and five bytes."""
    parties = Parties.make(tmp_path, h1=os.urandom(SIZE))
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        yield Machine.of(running, parties)


def status(machine, name="h1"):
    with machine.connection("lab") as connection:
        return {one.name: one for one in connection.session().status().assets}[name]


def upload(machine, manifest, name="h1"):
    (declared,) = [one for one in manifest.assets() if one.name == name]
    with machine.connection(declared.provider, manifest) as connection:
        (done,) = upload_assets(connection, manifest, [(declared, machine.parties.files[name])])
    return done


CUTS = {
    "up": (0, 200, 1200, 3000, 6000, 20_000, MIB // 2, MIB + 3000, 2 * MIB, SIZE),
    "down": (0, 200, 1200, 3000, 6000, 20_000, 40_000),
}
"""Bytes after which a connection breaks: in the probe, the handshake, the opening, the binding, a frame, the answer."""


@pytest.mark.parametrize("direction", CUTS)
def test_upload_resumes_wherever_the_line_breaks(machine, direction):
    manifest = machine.submit()
    found = check_asset(manifest.datasets[0], machine.parties.files["h1"])
    with cut(machine.running.address, *CUTS[direction], downward=direction == "down") as between:
        target = dataclasses.replace(machine.target(manifest), address=between.address)
        with Connection(target, machine.parties.keys["hospital-1"]) as connection:
            for _ in CUTS[direction]:
                try:
                    upload_asset(connection, manifest, manifest.datasets[0], found)
                except asset_upload.CloisterError as error:
                    # The command is run again.
                    assert error.exit_code == 5, error
                    continue
                break
    assert between.reached > 3
    assert status(machine).complete


def partial(machine, manifest, content):
    """A first process sends the beginning, and is killed."""
    h1 = manifest.datasets[0]
    with machine.connection("hospital-1", manifest) as connection:
        session = connection.session()
        start = agent_pb2.UploadStart(asset="h1", consent=asset_upload.consent(connection.key, manifest, h1, session))
        pieces = [content[at : at + FRAME_SIZE] for at in range(0, len(content), FRAME_SIZE)]
        session.upload_asset(start, lambda: iter(pieces), h1.size)


def test_process_after_a_killed_one_reads_nothing_before_it_sends(machine, monkeypatch):
    manifest = machine.submit()
    path = machine.parties.files["h1"]
    describe_asset(path)
    partial(machine, manifest, path.read_bytes()[: 3 * MIB])
    monkeypatch.setattr(asset, "_read", None)

    done = upload(machine, manifest)

    assert done.sent == SIZE - 3 * MIB
    assert status(machine).complete


def test_folder_is_read_once_before_it_is_sent_and_never_written(machine, monkeypatch):
    folder = machine.parties.folder / "pictures"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_bytes(os.urandom(MIB))
    found = describe_asset(folder)
    machine.parties.edit("file: h2.csv", "file: pictures.tar")
    before = machine.parties.folder / "manifest.yaml"
    h2 = describe_asset(machine.parties.files["h2"])
    text = before.read_text().replace(h2.digest, found.digest).replace(f"size: {h2.size}", f"size: {found.size}")
    before.write_text(text)
    machine.parties.files["h2"] = folder
    manifest = machine.submit()
    monkeypatch.setattr("tempfile.TemporaryFile", None)
    monkeypatch.setattr(asset, "_read", None)  # it is remembered

    assert upload(machine, manifest, "h2").sent == found.size
    assert status(machine, "h2").complete


def lie(path, digest, size):
    """Make the cache say that the file at ``path`` has this digest, as after a change that nothing shows."""
    with open_asset(path) as stream:
        DigestCache().keep(identify(path, stream), Digest(digest, size, True), began=digests.now())


@pytest.mark.parametrize("at", [0, FRAME_SIZE - 1, 2 * FRAME_SIZE, SIZE - 1], ids=["first", "edge", "middle", "last"])
def test_end_of_a_file_that_changed_unnoticed_is_withheld(machine, at):
    manifest = machine.submit()
    h1, path = manifest.datasets[0], machine.parties.files["h1"]
    agreed = path.read_bytes()
    path.write_bytes(agreed[:at] + bytes([agreed[at] ^ 1]) + agreed[at + 1 :])
    lie(path, h1.digest, h1.size)

    with pytest.raises(InputError, match=r"h1\.csv was changed after it was checked") as caught:
        upload(machine, manifest)

    assert caught.value.exit_code == 2
    now = status(machine)
    assert not now.complete
    assert now.received <= 4 * MIB
    # It is not remembered any longer: the next call reads it, and sends nothing.
    with pytest.raises(InputError, match="is not what the manifest says"):
        upload(machine, manifest)
    assert status(machine).received == now.received
    # With the agreed file the machine finds that what it has is of another, and gets all of it.
    path.write_bytes(agreed)
    upload(machine, manifest)
    assert status(machine).complete


def test_nothing_of_a_small_file_that_changed_unnoticed_is_sent(machine):
    manifest = machine.submit()
    h2, path = manifest.datasets[1], machine.parties.files["h2"]
    path.write_bytes(b"X" + path.read_bytes()[1:])
    lie(path, h2.digest, h2.size)
    with pytest.raises(InputError, match="was changed after it was checked"):
        upload(machine, manifest, "h2")
    assert status(machine, "h2").received == 0


@pytest.mark.parametrize("offset", [MIB, 3 * MIB])
def test_end_is_withheld_when_what_an_earlier_process_sent_was_changed(machine, offset):
    manifest = machine.submit()
    h1, path = manifest.datasets[0], machine.parties.files["h1"]
    agreed = path.read_bytes()
    partial(machine, manifest, agreed[:offset])
    path.write_bytes(b"\0" + agreed[1:] if agreed[0] else b"\1" + agreed[1:])
    lie(path, h1.digest, h1.size)
    with pytest.raises(InputError, match="was changed after it was checked"):
        upload(machine, manifest)
    assert not status(machine).complete


def test_file_that_is_replaced_between_check_and_sending_is_not_sent(machine):
    manifest = machine.submit()
    path = machine.parties.files["h1"]
    found = check_asset(manifest.datasets[0], path)
    path.with_name("other").write_bytes(path.read_bytes())
    path.with_name("other").rename(path)
    with machine.connection("hospital-1", manifest) as connection, pytest.raises(InputError, match="Nothing was sent"):
        upload_asset(connection, manifest, manifest.datasets[0], found)
    assert status(machine).received == 0


def test_remembered_file_is_not_read_before_the_sender_reads_it(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(os.urandom(3 * MIB))
    found = dataclasses.replace(describe_asset(path), remembered=True)
    with Rehash(found) as again:
        positions = []
        readinto = again._stream.readinto

        class Noted:
            def readinto(self, target):
                positions.append(len(target))
                assert sum(positions) <= again._allowed
                return readinto(target)

            def close(self):
                pass

        with again._stream:
            again._stream = Noted()
            for position in (10, MIB, MIB, 2 * MIB, 5):
                again.advance(position)
            again.require(hashlib.sha256(path.read_bytes()).hexdigest())
        assert sum(positions) == 3 * MIB


def test_rehash_that_is_not_needed_any_more_ends(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    with Rehash(describe_asset(path)) as again:
        pass
    assert not again._thread.is_alive()


def test_file_that_is_shorter_at_the_second_reading_is_named(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    found = describe_asset(path)
    with Rehash(found) as again, pytest.raises(InputError, match="a was changed"):
        path.write_bytes(b"1")
        again.require(found.digest)


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_hashed_again_is_what_is_sent_and_no_copy_in_its_place(tmp_path, folder):
    """Else one could change what is sent and put an unchanged copy at its path."""
    at = tmp_path / "asset"
    inside = at / "a" if folder else at
    inside.parent.mkdir(exist_ok=True)
    inside.write_bytes(bytes(1000))
    found = describe_asset(at)
    inside.rename(tmp_path / "sent")
    inside.write_bytes(bytes(1000))

    with pytest.raises(InputError, match=r"asset(\.tar)? was changed"):
        Rehash(found)


def test_tar_of_a_folder_has_no_file(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    with open_asset(tmp_path) as stream:
        assert isinstance(stream, FolderTar)
