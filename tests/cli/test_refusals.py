"""Every refusal has one message and the right exit code, and leaves nothing behind."""

import dataclasses
import json
import os
import socket

import pytest

from cloister.attestation.policy.policy import Policy
from tests.line import cut

WHERE = ("--workspace", "workspace.json", "--policy", "policy.json")


@pytest.fixture
def folder(parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    return parties.folder


def party(name, manifest="manifest.json"):
    return ("--key", f"{name}.pem", "--manifest", manifest, *WHERE)


def received(machine):
    with machine.connection("lab") as connection:
        return sum(one.received for one in connection.session().status().assets)


def refused(done, code, *words):
    """Require this exit code, and one message on standard error with these words and no traceback."""
    assert done.code == code, done.err
    assert done.err.startswith("Error: ")
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    "command",
    [
        ("attest", "--workspace", "workspace.json"),
        ("status", "--workspace", "workspace.json", "--key", "lab.pem"),
        ("upload-data", "data/h1.csv", "--key", "hospital-1.pem", "--manifest", "manifest.json"),
        ("run", "--manifest", "manifest.json", "--key", "lab.pem"),
        ("result", "--manifest", "manifest.json", "--key", "lab.pem"),
        ("verify-result", "results.zip"),
    ],
)
def test_without_a_policy_nothing_is_trusted(cloister, parties, folder, command):
    parties.manifest()

    refused(cloister(*command), 2, "No policy is set", "`cloister policy`")


def test_policy_comes_from_the_environment(cloister, machine, folder, monkeypatch):
    monkeypatch.setenv("CLOISTER_POLICY", "policy.json")
    monkeypatch.setenv("AGENT_GRPC_URL", str(machine.running.address))

    assert cloister("attest").code == 0


@pytest.mark.parametrize("changes", [{"workspace": "other"}, {"cvms": ("other",)}, {"owners": ("00" * 32,)}])
def test_policy_for_another_machine_uploads_nothing(cloister, machine, folder, changes):
    machine.submit()
    machine.write_policy(machine.other_policy(**changes))
    where = ("--workspace", "workspace.json", "--policy", "other-policy.json")

    refused(cloister("attest", *where), 3, "expected" if "cvms" not in changes else "The policy is for the CVM other")
    options = ("--key", "hospital-1.pem", "--manifest", "manifest.json", *where)
    refused(cloister("upload-data", "data/h1.csv", *options), 3)
    assert received(machine) == 0


def test_policy_from_another_image_is_refused(cloister, machine, folder):
    image = dataclasses.replace(machine.policy.images[0], pcrs={4: b"4" * 32, 9: b"9" * 32, 11: b"1" * 32})
    machine.write_policy(dataclasses.replace(machine.policy, images=(image,)))

    done = cloister("attest", "--workspace", "workspace.json", "--policy", "other-policy.json", "--json")

    refused(done, 3, "PCR 11", "expected", "found")
    assert json.loads(done.out)["accepted"] is False
    assert done.err.splitlines()[-1].startswith("The machine is rejected: pcr-4, ")


def test_policy_that_mixes_local_with_confidential_is_refused(cloister, machine, folder):
    value = machine.policy.value()
    value["platforms"] = ["local", "sev-snp"]
    (folder / "other-policy.json").write_text(json.dumps(value))

    done = cloister("attest", "--workspace", "workspace.json", "--policy", "other-policy.json")

    refused(done, 2, "allow_local", "other platforms")


def test_changed_manifest_is_refused(cloister, machine, folder):
    machine.submit()
    changed = machine.parties.manifest()

    done = cloister("upload-data", "data/h1.csv", *party("hospital-1"))

    refused(done, 3, "manifest", changed.digest().hex())
    assert received(machine) == 0


def test_machine_without_a_manifest_gets_no_data(cloister, machine, folder):
    machine.parties.manifest()

    refused(cloister("upload-data", "data/h1.csv", *party("hospital-1")), 3, "has no manifest yet", "Ask the owner")


def test_second_manifest_is_refused(cloister, machine, folder):
    machine.submit()
    machine.parties.manifest()

    refused(cloister("run", *party("lab")), 4, "The machine runs another manifest", "`cloister reset`")


def test_manifest_of_a_party_that_is_not_an_owner_is_refused(cloister, machine, folder):
    machine.parties.manifest()

    refused(cloister("run", *party("hospital-1")), 4, machine.parties.keys["hospital-1"].id)


def test_dataset_with_one_flipped_bit_is_refused(cloister, machine, folder):
    machine.submit()
    content = bytearray((folder / "data" / "h1.csv").read_bytes())
    content[5] ^= 4
    (folder / "data" / "h1.csv").write_bytes(content)

    refused(cloister("upload-data", "data/h1.csv", *party("hospital-1")), 2, "is not what the manifest says", "found")
    assert received(machine) == 0


def test_wrong_key_uploads_nothing(cloister, machine, folder):
    machine.submit()

    refused(cloister("upload-data", "data/h1.csv", *party("hospital-2"), "--name", "h1"), 4, "hospital-1 provides h1")
    refused(cloister("upload-data", "data/h1.csv", *party("stranger"), "--name", "h1"), 4, "names the key")
    refused(cloister("upload-data", "data/h1.csv", *party("stranger")), 2, "no dataset of the key")
    assert received(machine) == 0


def test_key_without_the_role_is_refused(cloister, machine, folder):
    machine.submit()

    refused(cloister("stop", "--key", "hospital-1.pem", *WHERE), 4, "role owner")
    refused(cloister("logs", "--key", "hospital-1.pem", *WHERE), 4, "does not let it read")
    refused(
        cloister("result", *party("lab")), 4, "no result in the state Receiving Algorithm", "when the state changes"
    )


def test_policy_and_an_output_are_not_overwritten(cloister, machine, folder):
    machine.submit()
    (folder / "results.zip").write_text("mine")

    refused(cloister("result", *party("lab")), 2, "results.zip exists")
    refused(cloister("keys", "--output", "lab.pem"), 2, "never overwritten")
    for words in (("keys", "--output"), ("result", *party("lab"), "--output"), ("events", *party("lab"), "--save")):
        for name in (".", "/"):
            assert "folder" in (done := cloister(*words, name)).err or "Is a directory" in done.err
            assert done.code == 2
    (folder / "mine").mkdir()
    refused(cloister("keys", "--output", "mine"), 2, "mine is a folder", "Name a new file in it: mine/NAME")
    refused(cloister("result", *party("lab"), "--output", "mine"), 2, "mine is a folder")
    assert (folder / "results.zip").read_text() == "mine"


# Of a device that has nothing to read: a verb that did read one would end, too.
DEVICES = {
    "checksum": ("checksum", os.devnull),
    "bundle": ("bundle", os.devnull, "--json"),
    "manifest": ("manifest", os.devnull, "--output", "canonical.json"),
    "review": ("review", os.devnull),
    "key": ("review", "manifest.json", "--key", os.devnull),
    "descriptor": ("attest", "--workspace", os.devnull, "--policy", "policy.json"),
    "policy": ("verify-evidence", "absent", "--policy", os.devnull),
    "image": ("policy", "--image", os.devnull, "--workspace", "workspace.json", "--output", "new.json"),
    "from-evidence": ("policy", "--image", "absent", "--from-evidence", os.devnull, "--output", "new.json"),
    "verify-evidence": ("verify-evidence", os.devnull, "--policy", "policy.json"),
    "audit": ("audit", os.devnull),
    "evidence": ("audit", "absent", "--evidence", os.devnull),
    "upload-data": ("upload-data", os.devnull, *party("hospital-1")),
    "upload-algorithm": ("upload-algorithm", os.devnull, *party("lab")),
}


@pytest.mark.parametrize("words", DEVICES.values(), ids=DEVICES)
def test_device_is_rejected_as_input(cloister, machine, folder, words):
    machine.submit()

    refused(cloister(*words), 2, "cannot be read: Is a device, not a file.")


def test_asset_in_a_manifest_is_a_regular_file(cloister, parties, folder):
    (folder / "train.py").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("train.py")

    refused(cloister("manifest", "manifest.yaml"), 2, "train.py cannot be read: Is a socket, not a file.")


@pytest.mark.parametrize("words", [("manifest", "manifest.yaml", "--output"), ("attest", *WHERE, "--save")])
def test_output_replaces_only_a_file(cloister, machine, folder, words):
    machine.submit()
    os.mkfifo(folder / "pipe")

    refused(cloister(*words, "pipe"), 2, "pipe cannot be written: Is a pipe, not a file.")
    assert (folder / "pipe").is_fifo()


def test_missing_options_are_reported(cloister, parties, folder):
    parties.manifest()
    (folder / "policy.json").write_text("{}")

    refused(cloister("policy"), 2, "policy needs --image")
    refused(cloister("attest", "--policy", "policy.json"), 2, "policy.json")
    refused(cloister("upload-data"), 2, "upload-data needs PATHS")
    assert cloister("no-such-verb").code == 1


def test_stopped_computation_is_reported_as_ended(cloister, machine, folder):
    machine.submit()
    before = sorted(folder.iterdir())
    fetch = ("result", *party("lab"), "--output", "new.zip")
    refused(cloister(*fetch), 4, "Receiving Algorithm", "`cloister events --follow`")

    assert cloister("stop", "--key", "lab.pem", *WHERE).code == 0

    refused(cloister(*fetch), 1, "Stopped", "has ended", "`cloister reset`")
    assert sorted(folder.iterdir()) == before


def test_unreachable_machine_is_named(cloister, machine, folder):
    machine.running.agent.stop()

    refused(cloister("attest", *WHERE), 5, str(machine.running.address), "Check the address")


def test_policy_from_a_descriptor_accepts_the_machine(cloister, machine, folder):
    """The verb makes it from an image manifest and a descriptor."""
    image = {
        "version": 1,
        "flavor": "base",
        "debug": False,
        "packages": {},
        "inputs": {"recipe": "00" * 32, "lock": "00" * 32, "tools": "00" * 32, "source": "00" * 32},
        "outputs": {"disk.raw": {"sha256": "00" * 32, "size": 1}},
        "measurements": {
            "pcrs": {
                **{str(index): value.hex() for index, value in machine.policy.images[0].pcrs.items()},
                "12": "00" * 32,
                "13": "00" * 32,
            }
        },
    }
    (folder / "image.json").write_text(json.dumps(image))
    options = ("--image", "image.json", "--workspace", "workspace.json", "--output", "mine.json")

    refused(cloister("policy", *options, "--yes"), 2, "--allow-local")
    done = cloister("policy", *options, "--allow-local", "--yes")

    assert done.code == 0, done.err
    assert machine.parties.keys["lab"].id in done.out
    assert "confirm with" in done.out
    policy = Policy.parse((folder / "mine.json").read_bytes())
    assert policy.boot_configuration == machine.policy.boot_configuration
    assert cloister("attest", "--workspace", "workspace.json", "--policy", "mine.json").code == 0
    refused(cloister("policy", *options, "--allow-local", "--yes"), 2, "is not overwritten")
    (folder / "policies").mkdir()
    refused(cloister("policy", *options[:-1], "policies", "--allow-local", "--yes"), 2, "policies is a folder")


def test_upload_over_a_breaking_connection_succeeds(cloister, machine, folder, monkeypatch):
    machine.submit()
    with cut(machine.running.address, 9000) as between:
        monkeypatch.setenv("AGENT_GRPC_URL", str(between.address))
        options = ("--key", "hospital-1.pem", "--manifest", "manifest.json", "--policy", "policy.json")
        done = cloister("upload-data", "data/h1.csv", *options)

    assert done.code == 0, done.err
    assert received(machine) == 4000
