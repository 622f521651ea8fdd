"""What `doctor` finds, and what it says to do about it."""

import importlib.metadata
from pathlib import Path

import pytest

from image.inputs import host_tools
from image.inputs.host_tools import Tools
from infra import doctor


def finding(name: str) -> doctor.MachineCheck:
    return next(one for one in doctor.examine() if one.name == name)


@pytest.fixture(autouse=True)
def new_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CLOISTER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CLOISTER_DEBIAN_MIRROR", "http://127.0.0.1:1")


def test_a_new_machine_needs_setup_and_a_mirror():
    wrong = {one.name: one.remedy for one in doctor.examine() if not one.good and one.name not in ("memory", "disk")}
    assert set(wrong) == {"engine", "host tools", "virtualization", "mirror", "shell"}
    assert "CLOISTER_DEBIAN_MIRROR" in wrong.pop("mirror")
    assert [name for name, remedy in wrong.items() if "invoke setup" not in remedy] == []


@pytest.mark.parametrize(
    ("backend", "packages"),
    [
        ("azure", ["azure-identity", "azure-storage-blob", "pulumi-azure-native"]),
        ("gcp", ["google-cloud-storage", "pulumi-gcp"]),
    ],
)
def test_packages_of_each_cloud_are_reported(backend: str, packages: list[str], monkeypatch: pytest.MonkeyPatch):
    assert [one.rpartition(" ")[0] for one in finding(backend).found.split(", ")] == packages

    there = importlib.metadata.version

    def absent(name: str) -> str:
        if name == packages[-1]:
            raise importlib.metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    found = finding(backend)
    assert found.good, "a workspace on this machine needs no cloud"
    assert found.found == f"missing: {packages[-1]}; needed only for workspaces there: make {backend}"


def test_cache_path_with_a_space_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = tmp_path / "a b"
    for name in ("usr/bin/swtpm", "usr/bin/swtpm_setup"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    monkeypatch.setattr(host_tools, "find", lambda: Tools(root, "00"))
    found = finding("host tools")
    assert not found.good
    assert found.remedy == "Set XDG_CACHE_HOME to a folder without a space."
