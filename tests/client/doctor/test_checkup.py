"""The troubles of a first day, each caused here: what `doctor` finds, and what it says to do."""

import dataclasses
import datetime
import importlib.metadata
import io
import os
import shutil
import socket
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from cloister import endpoint
from cloister.client.doctor import checkup, installation
from cloister.client.doctor.checkup import Setup, check_up
from cloister.client.files import keys
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.signingkey import key_id
from tests.agent_fixture import new_authority
from tests.keyfile import samples


@pytest.fixture
def setup(machine, parties, monkeypatch, tmp_path):
    """A party's settings with which nothing is wrong."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    parties.manifest()
    folder = parties.folder
    _change_descriptor(folder, image=machine.policy.images[0].manifest_digest.hex())
    return Setup(folder / "lab.pem", folder / "policy.json", folder / "workspace.json", folder / "manifest.json")


def _change_descriptor(folder: Path, **values):
    path = folder / "workspace.json"
    path.write_bytes(dataclasses.replace(Descriptor.parse(path.read_bytes()), **values).encode())


def _change_cvm(folder: Path, **values):
    (cvm,) = Descriptor.parse((folder / "workspace.json").read_bytes()).cvms
    _change_descriptor(folder, cvms=(dataclasses.replace(cvm, **values),))


def wrong(setup, passphrase=None):
    """The message and remedy of each failed check."""
    return {one.name: f"{one.found} {one.remedy}" for one in check_up(setup, passphrase) if not one.good}


def test_nothing_is_wrong_with_what_belongs_together(setup):
    found = check_up(setup)
    assert [one for one in found if not one.good] == []
    assert {one.name for one in found if not one.checked} <= {"collateral", "trials"}


def test_a_new_party_is_told_where_each_file_comes_from():
    found = {one.name: one for one in check_up(Setup())}
    remedies = {name: one.remedy for name, one in found.items() if not one.good and name not in ("output", "cache")}
    assert list(remedies) == ["key", "policy", "workspace"]
    assert "`keys`" in remedies["key"]
    assert "`policy`" in remedies["policy"]
    assert "platform team" in remedies["workspace"]
    assert found["agent"].found == "not checked: see connection"


# The trouble: the setting to change, the file to write instead, and what is said of which check.
FILES = {
    "absent key": ("key", None, "key", "cannot be read: No such file"),
    "public key": ("key", "lab.pub", "key", "public"),
    "key that others can read": ("key", "open.pem", "key", "chmod 600"),
    "policy instead of key": ("key", "policy.json", "key", "policy.json"),
    "absent policy": ("policy", None, "policy", "cannot be read: No such file"),
    "descriptor as policy": ("policy", "workspace.json", "policy", "is a workspace descriptor, not"),
    "damaged policy": ("policy", "cut.json", "policy", "cut.json"),
    "absent descriptor": ("workspace", None, "workspace", "Ask the platform team for it"),
    "manifest as descriptor": ("workspace", "manifest.json", "workspace", "is the manifest of a computation, not a"),
    "absent manifest": ("manifest", None, "manifest", "cannot be read: No such file"),
    "policy as manifest": ("manifest", "policy.json", "manifest", "is a policy, not"),
    "author's manifest": ("manifest", "manifest.yaml", "manifest", "manifest.yaml"),
    "another party's key": ("key", "outsider.pem", "member", "has your key"),
}


@pytest.mark.parametrize("trouble", FILES)
def test_a_wrong_file_is_found(setup, parties, trouble):
    name, file, check, said = FILES[trouble]
    folder = parties.folder
    shutil.copy(folder / "lab.pem", folder / "open.pem")
    (folder / "open.pem").chmod(0o644)
    (folder / "cut.json").write_bytes((folder / "policy.json").read_bytes()[:-9])
    keys.generate_key(folder / "outsider.pem", keys.KeyType.ED25519)

    found = wrong(dataclasses.replace(setup, **{name: folder / (file or "absent")}))

    assert said in found.pop(check)
    # A party that is not a member is not a party of the manifest either; nothing else is a trouble of its own.
    assert set(found) <= ({"party"} if trouble == "another party's key" else set())


def test_a_passphrase_that_does_not_open_the_key_is_found(setup, parties):
    private = keys.load_key(setup.key).private
    setup.key.write_bytes(samples.private(private, encryption=samples.ENCRYPTED))
    assert set(wrong(setup, lambda _: b"other")) == {"key"}
    assert wrong(setup, lambda _: samples.PASSPHRASE) == {}


def test_a_key_that_the_manifest_does_not_name_is_found_with_those_that_it_names(setup, parties):
    found = wrong(dataclasses.replace(setup, key=parties.folder / "stranger.pem"))
    assert list(found) == ["party"]
    assert f"lab {key_id(parties.keys['lab'].public)}" in found["party"]


def test_files_of_different_workspaces_are_found(setup, machine, parties):
    folder = parties.folder
    before = (folder / "workspace.json").read_bytes()
    boot = machine.running.boot_configuration
    other = "11" * 32
    for change, check, said in (
        (lambda: _change_descriptor(folder, image=other), "image", f"found: {other}"),
        (lambda: _change_cvm(folder, platform="azure-snp"), "platform", "platform azure-snp"),
        (
            lambda: _change_cvm(folder, boot_configuration=dataclasses.replace(boot, owners=(other,))),
            "owners",
            "has other owners than the workspace",
        ),
    ):
        change()
        found = wrong(setup)
        assert list(found) == [check]
        assert said in found[check]
        (folder / "workspace.json").write_bytes(before)

    policy = dataclasses.replace(machine.policy.boot_configuration, workspace="elsewhere")
    (folder / "policy.json").write_bytes(dataclasses.replace(machine.policy, boot_configuration=policy).encode())
    assert "is for the workspace elsewhere" in wrong(setup)["owners"]
    policy = dataclasses.replace(machine.policy.boot_configuration, cvms=("elsewhere",))
    (folder / "policy.json").write_bytes(dataclasses.replace(machine.policy, boot_configuration=policy).encode())
    assert "accepts the CVMs elsewhere" in wrong(setup)["owners"]


def test_an_authority_that_was_replaced_is_found(setup):
    """A workspace that was destroyed and made again has another."""
    _change_descriptor(setup.workspace.parent, authority=new_authority().certificate)
    found = wrong(setup)
    assert list(found) == ["authority"]
    assert "pins another authority" in found["authority"]
    assert "platform team" in found["authority"]


def test_a_policy_with_placeholders_is_found(setup, monkeypatch):
    left = checkup.open_members
    placeholder = namedtuple("Placeholder", "member")("snp.minimum_tcb")
    monkeypatch.setattr(checkup, "open_members", lambda policy: (*left(policy), placeholder))
    assert "snp.minimum_tcb" in wrong(setup)["placeholders"]


def test_the_name_of_a_cvm_that_is_not_there_is_found(setup, machine):
    found = wrong(dataclasses.replace(setup, cvm="absent"))
    assert list(found) == ["machine"]
    assert machine.running.boot_configuration.cvm in found["machine"]


def test_a_machine_that_cannot_be_reached_is_found(setup):
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        other.close()
        for address, check, said in (
            ("no address at all", "address", "is not an address"),
            (place, "connection", "Connection refused"),
            ("no-such-host.invalid:6110", "connection", "no-such-host.invalid:6110"),
        ):
            found = wrong(dataclasses.replace(setup, address=address))
            assert list(found) == [check]
            assert said in found[check]


def test_a_server_that_is_not_an_agent_is_found(setup, monkeypatch):
    def refuse(address):
        raise endpoint.ProofError(f"{address} answers, but the handshake of TLS 1.3 failed.")

    monkeypatch.setattr(endpoint, "probe", refuse)
    assert list(wrong(setup)) == ["agent"]


def test_an_absent_folder_of_collateral_is_found(setup, tmp_path):
    assert list(wrong(dataclasses.replace(setup, collateral=tmp_path / "absent"))) == ["collateral"]


def test_an_old_python_is_found(setup, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert "expected 3.11 or newer" in wrong(setup)["python"]


@pytest.mark.parametrize("version", ["1.0", None])
def test_a_package_of_another_installation_is_found(setup, monkeypatch, version):
    there = importlib.metadata.version

    def found(name):
        if name != "grpcio":
            return there(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", found)
    assert f"grpcio {version or 'missing'} (expected ==" in wrong(setup)["packages"]


def test_a_clock_that_was_never_set_is_found(setup, monkeypatch):
    monkeypatch.setattr(installation, "_RELEASED", datetime.datetime.max.replace(tzinfo=datetime.UTC))
    assert "Set the clock" in wrong(setup)["clock"]


def test_a_terminal_without_other_letters_is_found(setup, monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert "PYTHONUTF8=1" in wrong(setup)["output"]


def test_a_cache_without_rights_or_room_is_found(setup, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "XDG_CACHE_HOME" in wrong(setup)["cache"]
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(1 << 20))
    assert "has 1 MiB left" in wrong(setup)["cache"]


def test_what_is_remembered_is_ones_own_and_readable(setup, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    kept = tmp_path / "state" / "cloister"
    (kept / "history").mkdir(parents=True)
    assert "memory" not in wrong(setup)
    for mode, said in ((0o770, "by its group"), (0o777, "by everyone")):
        kept.chmod(mode)
        assert said in wrong(setup)["memory"]
        assert "chmod go-w" in wrong(setup)["memory"]
    kept.chmod(0o700)
    monkeypatch.setattr(os, "access", lambda path, mode: "state" not in str(path))
    assert "XDG_STATE_HOME" in wrong(setup)["memory"]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state" / "cloister" / "history" / "file"))
    (kept / "history" / "file").write_bytes(b"")
    assert "XDG_STATE_HOME" in wrong(setup)["memory"]


@pytest.mark.parametrize("number", range(len(installation._USERNS)))
def test_a_system_without_namespaces_is_told_that_only_trials_need_them(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    settings = []
    for at, (_, value, said) in enumerate(installation._USERNS):
        path = tmp_path / str(at)
        path.write_text(f"{value if at == number else 9}\n")
        settings.append((str(path), value, said))
    with pytest.raises(checkup.NotChecked, match=installation._USERNS[number][2]):
        installation.check_trials(settings)
