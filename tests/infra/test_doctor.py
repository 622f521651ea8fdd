"""What `doctor` finds, and what it says to do about it."""

import hashlib
import importlib.metadata
import inspect
import json
import os
import platform
import shutil
import socket
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from image.inputs import host_tools
from image.inputs.host_tools import Tools
from infra import doctor, paths
from infra.configuration import image
from infra.live import checkup, workspaces
from infra.provider.qemu import ports

CONFIGURATIONS = Path(__file__).with_name("configurations")


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
    wrong.pop("image", None)  # this checkout may have one
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


MACHINE = {
    "another system": ("machine", lambda m: m.setattr(platform, "system", lambda: "Darwin"), "Use Linux on x86-64"),
    "another processor": (
        "machine",
        lambda m: m.setattr(platform, "machine", lambda: "aarch64"),
        "Use Linux on x86-64",
    ),
    "an old Python": ("python", lambda m: m.setattr(sys, "version_info", (3, 10, 1)), "Python 3.11 or newer"),
    "a package that is missing": (
        "packages",
        lambda m: m.setattr(doctor, "_PACKAGES", ("no-such-package",)),
        "make venv",
    ),
    "no memory": ("memory", lambda m: m.setattr(doctor, "_MEMORY", 1 << 60), "memory: 2GiB"),
    "no room": (
        "disk",
        lambda m: m.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(1 << 20)),
        "XDG_CACHE_HOME",
    ),
    "no port": ("port", lambda m: m.setattr(ports, "free", refuse), "loopback interface"),
    "a package of another checkout": (
        "checkout",
        lambda m: m.setattr(inspect, "getfile", lambda _: "/elsewhere/cloister/machinecheck.py"),
        ". .cloister/env",
    ),
    "a backend that is not there": (
        "backend",
        lambda m: m.setenv("PULUMI_BACKEND_URL", "file:///no/such/folder"),
        "unset PULUMI_BACKEND_URL",
    ),
}


def refuse() -> int:
    raise OSError("no loopback")


@pytest.mark.parametrize("trouble", MACHINE)
def test_trouble_of_the_machine_is_found(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, cause, remedy = MACHINE[trouble]
    assert name in {one.name for one in doctor.examine()}
    cause(monkeypatch)

    found = finding(name)

    assert not found.good
    assert remedy in found.remedy


@dataclass(frozen=True)
class Checkout:
    """A checkout with one workspace, with which nothing is wrong."""

    folder: Path
    state: Path
    monkeypatch: pytest.MonkeyPatch

    def configure(self, **changes: object) -> None:
        value = yaml.safe_load((CONFIGURATIONS / "complete.yaml").read_text())["value"]
        value = value | {"image": str(self.folder / "image" / "manifest.json")} | changes
        text = yaml.safe_dump({"config": {workspaces.KEY: value}})
        (self.folder / "Pulumi.lab.yaml").write_text(text)

    def lock(self) -> None:
        folder = self.state / ".pulumi" / "locks" / "organization" / "cloister" / "lab"
        folder.mkdir(parents=True)
        said = {"pid": os.getpid(), "username": "anna", "hostname": socket.gethostname()}
        (folder / "1.json").write_text(json.dumps(said))

    def be_in(self, cloud: str) -> None:
        value = yaml.safe_load((CONFIGURATIONS / f"complete-{cloud}.yaml").read_text())["value"]
        self.configure(**value)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    folder, state = tmp_path / "infra", tmp_path / "state"
    stacks = state / ".pulumi" / "stacks" / "cloister"
    stacks.mkdir(parents=True)
    state.chmod(0o700)
    (stacks / "lab.json").write_text("{}")
    (state / paths.PASSPHRASE).write_text("secret")
    (folder / "image").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_bytes((paths.CHECKOUT / "infra" / "Pulumi.yaml").read_bytes())
    (folder / "image" / "disk.raw").write_bytes(b"disk")
    output = ImageOutput(hashlib.sha256(b"disk").hexdigest(), 4)
    made = ImageManifest(
        "base",
        False,
        dict.fromkeys(("recipe", "lock", "tools", "source"), "00" * 32),
        {image.DISK: output},
        dict.fromkeys((4, 9, 11, 12, 13), "00" * 32),
    )
    (folder / "image" / "manifest.json").write_bytes(made.encode())
    monkeypatch.setattr(workspaces, "PROJECT", replace(workspaces.PROJECT, folder=folder))
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in (*checkup._AZURE, *checkup._GCP, checkup._GCP_FILE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Checkout(folder, state, monkeypatch)
    made.configure()
    return made


def absent(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


CHECKOUT: dict[str, tuple[str, Callable[[Checkout], object], str]] = {
    "a state that others can read": ("state", lambda c: c.state.chmod(0o755), "chmod 700"),
    "a passphrase that is gone": ("passphrase", lambda c: (c.state / paths.PASSPHRASE).unlink(), "Restore it"),
    "a file that is not YAML": (
        "workspaces",
        lambda c: (c.folder / "Pulumi.lab.yaml").write_text("config: {"),
        "Correct the file",
    ),
    "a wrong configuration": ("workspaces", lambda c: c.configure(cvms=[]), ""),
    "a workspace without an owner": ("workspaces", lambda c: c.configure(members=[]), "--roles owner"),
    "a state that is gone": ("stacks", lambda c: shutil.rmtree(c.state / ".pulumi"), "Restore"),
    "another process": ("locks", Checkout.lock, "Wait until it has ended"),
    "no image": ("image", lambda c: shutil.rmtree(c.folder / "image"), "invoke image.build"),
    "half an image": ("image", lambda c: (c.folder / "image" / "disk.raw").write_bytes(b"d"), "invoke image.build"),
    "Azure without its packages": (
        "cloud packages",
        lambda c: (c.be_in("azure"), c.monkeypatch.setattr(importlib.metadata, "version", absent)),
        "make azure",
    ),
    "Azure without credentials": ("cloud credentials", lambda c: c.be_in("azure"), "az login"),
    "Google Cloud without credentials": ("cloud credentials", lambda c: c.be_in("gcp"), "gcloud auth"),
}


def test_nothing_is_wrong_with_a_checkout_that_works(checkout: Checkout) -> None:
    assert [one for one in checkup.check_up() if not one.good] == []


@pytest.mark.parametrize("trouble", CHECKOUT)
def test_trouble_of_a_checkout_is_found(checkout: Checkout, trouble: str) -> None:
    name, cause, remedy = CHECKOUT[trouble]
    cause(checkout)
    found = next(one for one in checkup.check_up() if one.name == name)

    assert not found.good
    assert found.remedy
    assert remedy in found.remedy
