"""A result is fetched completely and once, and is never lost."""

import dataclasses
import errno
import os
import stat
from pathlib import Path

import pytest

from cloister import endpoint
from cloister.attestation.collateral_source import CERTIFICATE, InMemory
from cloister.client.collateral.sources import CollateralSources
from cloister.client.connection import refusal
from cloister.client.connection.connection import Connection
from cloister.client.connection.session import Session
from cloister.client.result import download
from cloister.client.result.download import fetch_ciphertext, finish_result
from cloister.client.result.fetch import fetch_result
from cloister.client.result.pending import alone, has_pending_key
from cloister.client.result.result_files import unpack_result
from cloister.errors import InputError, ProofError
from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.parties import Parties
from tests.line import cut

MIB = 1024**2


@pytest.fixture
def manifest(machine):
    return machine.run()


def names(folder):
    return sorted(path.name for path in folder.glob("results.zip*"))


def test_result_is_fetched_and_proven(machine, manifest, tmp_path):
    output = tmp_path / "results.zip"
    with machine.connection("lab", manifest) as connection:
        fetch_ciphertext(connection, manifest, output)
    assert names(tmp_path) == ["results.zip.key", "results.zip.part", "results.zip.part.json"]
    assert stat.S_IMODE((tmp_path / "results.zip.key").stat().st_mode) == 0o600

    brought = CollateralSources(InMemory({CERTIFICATE: (b"no certificate",)}))
    done = finish_result(manifest, machine.policy, output, "lab", collateral=brought)

    assert done.accepted
    assert [one.kind for one in done.at_creation.skipped] == [CERTIFICATE]
    assert names(tmp_path) == ["results.zip"]
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert [path.name for path in unpack_result(output, tmp_path / "out")] == ["model.json"]


def test_second_fetch_is_refused_with_the_time_of_the_first(machine, manifest, tmp_path):
    with machine.connection("lab", manifest) as connection:
        fetch_ciphertext(connection, manifest, tmp_path / "results.zip")

    with machine.connection("lab", manifest) as connection, pytest.raises(refusal.Refusal) as caught:
        fetch_ciphertext(connection, manifest, tmp_path / "again.zip")

    assert (caught.value.reason, caught.value.exit_code) == ("CONSUMED", 4)
    assert "consumed at 20" in caught.value.message
    assert not list(tmp_path.glob("again.zip*"))


def test_key_that_is_not_a_consumers_gets_no_result(machine, manifest, tmp_path):
    with (
        machine.connection("hospital-2", manifest) as connection,
        pytest.raises(InputError, match="consumers are: lab, hospital-1"),
    ):
        fetch_ciphertext(connection, manifest, tmp_path / "results.zip")


def test_failure_after_the_release_loses_nothing(machine, manifest, tmp_path):
    output = tmp_path / "results.zip"
    with machine.connection("lab", manifest) as connection:
        fetch_ciphertext(connection, manifest, output)
    with pytest.raises(ProofError, match="not proven") as caught:
        finish_result(manifest, machine.other_policy(workspace="other"), output, "lab")
    assert "results.zip.key" in caught.value.hint
    machine.running.agent.stop()

    assert has_pending_key(output)
    assert finish_result(manifest, machine.policy, output, "lab").accepted


@pytest.mark.parametrize("full", ["results.zip.part", "results.zip.key.part"])
def test_full_disk_leaves_the_key_with_the_machine(machine, manifest, tmp_path, monkeypatch, full):
    output = tmp_path / "results.zip"
    sync = os.fsync

    def fsync(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with (
        machine.connection("lab", manifest) as connection,
        pytest.raises(InputError, match="No space left") as caught,
    ):
        fetch_ciphertext(connection, manifest, output)
    assert "still with the machine" in caught.value.hint
    assert not has_pending_key(output)
    monkeypatch.undo()

    with machine.connection("lab", manifest) as connection:
        fetch_ciphertext(connection, manifest, output)
    assert finish_result(manifest, machine.policy, output, "lab").accepted


def test_lost_answer_to_the_release_is_asked_for_again(machine, manifest, tmp_path, monkeypatch):
    """The agent has released the key, and repeats it to this session only."""
    release, keys, told = Session.release_result, [], []

    def lost(session, consumer, digest):
        keys.append(release(session, consumer, digest))
        if len(keys) == 1:
            raise refusal.ConnectionLost("The connection ended.", hint="Run the command again.")
        return keys[-1]

    monkeypatch.setattr(Session, "release_result", lost)
    with machine.connection("lab", manifest) as connection:
        fetch_ciphertext(
            connection, manifest, tmp_path / "results.zip", interrupted=lambda error, pause: told.append(error)
        )

    assert (len(keys), len(set(keys)), len(told)) == (2, 1, 1)
    assert finish_result(manifest, machine.policy, tmp_path / "results.zip", "lab").accepted


def test_second_command_is_told_that_another_one_fetches(machine, manifest, tmp_path):
    output = tmp_path / "results.zip"

    def fetch():
        return fetch_result(lambda: machine.connection("lab", manifest), manifest, machine.policy, output)

    with alone(output), pytest.raises(InputError, match="Another command is fetching") as caught:
        fetch()
    assert "Wait" in caught.value.hint
    assert names(tmp_path) == []

    assert fetch().proof.accepted
    assert names(tmp_path) == ["results.zip"]


def test_damaged_partial_download_is_fetched_again(machine, manifest, tmp_path):
    output = tmp_path / "results.zip"
    with machine.connection("lab", manifest) as connection:
        state = download._Slot(manifest.digest().hex(), "lab", connection.evidence().event_log_key.hex())
        (tmp_path / "results.zip.part").write_bytes(b"junk")
        (tmp_path / "results.zip.part.json").write_bytes(state.encode())
        fetch_ciphertext(connection, manifest, output)

    assert finish_result(manifest, machine.policy, output, "lab").accepted


def test_partial_download_of_another_result_is_not_continued(machine, manifest, tmp_path):
    output = tmp_path / "results.zip"
    (tmp_path / "results.zip.part").write_bytes(b"x" * 100)
    (tmp_path / "results.zip.part.json").write_bytes(download._Slot("00", "lab", "00").encode())
    with machine.connection("lab", manifest) as connection:
        fetch_ciphertext(connection, manifest, output)

    assert finish_result(manifest, machine.policy, output, "lab").accepted


@pytest.mark.parametrize("name", ["results.zip.part", "results.zip.part.json"])
def test_fetch_writes_to_no_file_that_others_have_linked_beside_the_output(
    machine, manifest, tmp_path, tmp_path_factory, name
):
    """Others may write to the folder, and know what the description of a part says."""
    kept = tmp_path_factory.mktemp("kept", numbered=True) / "kept"
    kept.write_bytes(b"mine")
    with machine.connection("lab", manifest) as connection:
        slot = download._Slot(manifest.digest().hex(), "lab", connection.evidence().event_log_key.hex()).encode()
        (tmp_path / "results.zip.part.json").write_bytes(slot)
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).symlink_to(kept)
        if name.endswith("json"):
            with pytest.raises(InputError, match=r"results.zip.part.json cannot be written"):
                fetch_ciphertext(connection, manifest, tmp_path / "results.zip")
        else:
            fetch_ciphertext(connection, manifest, tmp_path / "results.zip")
            assert finish_result(manifest, machine.policy, tmp_path / "results.zip", "lab").accepted
    assert kept.read_bytes() == b"mine"


def _planted_file(at, seen):
    seen.replace(at)
    seen.hardlink_to(at)


@pytest.mark.parametrize("swap", [_planted_file, lambda at, seen: at.unlink()])
def test_released_key_goes_to_no_file_that_others_put_in_the_reserved_ones_place(
    machine, manifest, tmp_path, tmp_path_factory, monkeypatch, swap
):
    seen = tmp_path_factory.mktemp("seen", numbered=True) / "seen"
    seen.touch()
    release = Session.release_result

    def swapped(session, consumer, digest):
        swap(tmp_path / "results.zip.key.part", seen)
        return release(session, consumer, digest)

    monkeypatch.setattr(Session, "release_result", swapped)
    with machine.connection("lab", manifest) as connection:
        fetch_ciphertext(connection, manifest, tmp_path / "results.zip")

    assert seen.read_bytes() == b""
    assert finish_result(manifest, machine.policy, tmp_path / "results.zip", "lab").accepted


@pytest.mark.parametrize("silently", [False, True])
def test_interrupted_download_resumes(tmp_path, tmp_path_factory, monkeypatch, silently):
    """Also when the connection stays open and nothing comes any more: then it is the client that notices."""
    monkeypatch.setattr(endpoint, "PING_SECONDS", 1)
    monkeypatch.setattr(endpoint, "PING_ANSWER_SECONDS", 1)
    parties = Parties.make(tmp_path)
    parties.edit("max: 1MiB", "max: 8MiB")
    parties.files["algorithm"].write_text(
        "import os\nopen('results/model.bin', 'wb').write(os.urandom(6 * 1024 * 1024))\n"
    )
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        machine = Machine.of(running, parties)
        manifest = machine.run()
        told = []
        with cut(running.address, 3 * MIB, downward=True, stall=silently) as between:
            target = dataclasses.replace(machine.target(manifest), address=between.address)
            with Connection(target, parties.keys["lab"]) as connection:
                fetch_ciphertext(
                    connection, manifest, tmp_path / "results.zip", interrupted=lambda error, pause: told.append(error)
                )

        assert (between.reached, len(told)) == (1, 1)
        assert finish_result(manifest, machine.policy, tmp_path / "results.zip", "lab").accepted
