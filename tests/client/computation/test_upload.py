"""An asset is uploaded to the right machine, with consent, completely, and once in spite of interruptions."""

import dataclasses
import os

import pytest

from cloister.client.computation import asset_upload
from cloister.client.computation.asset import check_asset, describe_asset
from cloister.client.computation.asset_upload import upload_asset
from cloister.client.connection import refusal
from cloister.client.connection.connection import Connection
from cloister.errors import InputError, ProofError
from cloister.v1 import agent_pb2
from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.parties import Parties
from tests.line import cut

MIB = 1024**2


def status(machine, name):
    with machine.connection("lab") as connection:
        return {one.name: one for one in connection.session().status().assets}[name]


def test_flipped_bit_is_found_before_the_upload(machine):
    manifest = machine.submit()
    path = machine.parties.files["h1"]
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)

    with pytest.raises(InputError, match=f"expected SHA-256 {manifest.datasets[0].digest}") as caught:
        check_asset(manifest.datasets[0], path)

    assert caught.value.exit_code == 2
    assert status(machine, "h1").received == 0


def test_flipped_bit_during_the_upload_is_refused_by_the_agent(machine):
    manifest = machine.submit()
    path = machine.parties.files["h1"]
    path.write_bytes(b"X" + path.read_bytes()[1:])

    with machine.connection("hospital-1", manifest) as connection, pytest.raises(refusal.Refusal) as caught:
        upload_asset(connection, manifest, manifest.datasets[0], describe_asset(path, unpack=False))

    assert (caught.value.reason, caught.value.exit_code) == ("DIGEST_MISMATCH", 2)
    assert status(machine, "h1").received == 0


def test_nothing_is_uploaded_to_a_machine_with_another_manifest(machine):
    machine.submit()
    mine = machine.parties.manifest()

    with machine.connection("hospital-1", mine) as connection, pytest.raises(ProofError, match="manifest"):
        upload_asset(connection, mine, mine.datasets[0], describe_asset(machine.parties.files["h1"], unpack=False))


def test_asset_of_another_provider_is_refused(machine):
    manifest = machine.submit()

    with machine.connection("hospital-2", manifest) as connection, pytest.raises(refusal.Refusal) as caught:
        upload_asset(
            connection, manifest, manifest.datasets[0], describe_asset(machine.parties.files["h1"], unpack=False)
        )

    assert (caught.value.reason, caught.value.exit_code) == ("NOT_AUTHORIZED", 4)


def test_consent_to_another_asset_is_refused(machine):
    manifest = machine.submit()
    h1 = manifest.datasets[0]
    other = dataclasses.replace(h1, digest="00" * 32)

    with machine.connection("hospital-1", manifest) as connection:
        session = connection.session()
        consent = asset_upload.consent(connection.key, manifest, other, session)
        start = agent_pb2.UploadStart(asset="h1", consent=consent, offset=0)
        with pytest.raises(refusal.Refusal) as caught:
            session.upload_asset(start, lambda: iter([b"x"]), 1)

    assert (caught.value.reason, caught.value.exit_code) == ("WRONG_CONSENT", 3)


def test_agent_that_reports_more_bytes_than_the_asset_has_is_not_trusted(machine, monkeypatch):
    manifest = machine.submit()
    h1 = manifest.datasets[0]

    with machine.connection("hospital-1", manifest) as connection:
        session = connection.session()
        answer = agent_pb2.UploadOffsetResponse(offset=h1.size + 1)
        monkeypatch.setattr(session, "upload_offset", lambda asset: answer)
        with pytest.raises(ProofError, match=f"reports {h1.size + 1} bytes of h1, which has only {h1.size}") as caught:
            upload_asset(connection, manifest, h1, describe_asset(machine.parties.files["h1"], unpack=False))

    assert caught.value.exit_code == 3
    assert status(machine, "h1").received == 0


@pytest.fixture
def large(tmp_path, tmp_path_factory):
    """A machine whose first dataset has eight megabytes."""
    parties = Parties.make(tmp_path, h1=os.urandom(8 * MIB))
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        yield Machine.of(running, parties)


def test_interrupted_upload_resumes(large):
    manifest = large.submit()
    told = []
    with cut(large.running.address, 3 * MIB, 2 * MIB) as between:
        target = dataclasses.replace(large.target(manifest), address=between.address)
        with Connection(target, large.parties.keys["hospital-1"]) as connection:
            done = upload_asset(
                connection,
                manifest,
                manifest.datasets[0],
                describe_asset(large.parties.files["h1"], unpack=False),
                interrupted=lambda error, pause: told.append(error),
            )

    assert between.reached == 2
    assert len(told) == 2
    assert status(large, "h1").complete
    # What was on its way when the line broke is sent again; to start over twice would have cost 14 MiB.
    assert done.sent < 8 * MIB + 2 * 3 * MIB


def test_second_call_resumes_the_upload_of_a_killed_one(large):
    manifest = large.submit()
    h1 = manifest.datasets[0]
    with large.connection("hospital-1", manifest) as connection:
        session = connection.session()
        start = agent_pb2.UploadStart(asset="h1", consent=asset_upload.consent(connection.key, manifest, h1, session))
        content = large.parties.files["h1"].read_bytes()
        session.upload_asset(start, lambda: iter([content[: 1 * MIB], content[MIB : 3 * MIB - 5][: 1 * MIB]]), h1.size)
    before = status(large, "h1").received

    with large.connection("hospital-1", manifest) as connection:
        done = upload_asset(connection, manifest, h1, describe_asset(large.parties.files["h1"], unpack=False))

    assert before == 2 * MIB
    assert done.sent == 6 * MIB
    assert status(large, "h1").complete
