"""The agent uses the platform that init found, and imports no other."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent_runtime.config import Config
from agent_runtime.errors import AgentError
from agent_runtime.platform import azure, detect, gcp, tsm
from agent_runtime.platform.metadata import MetadataClient

_IMPORTS = """
import sys
import agent_runtime.__main__, agent_runtime.platform.local
print(*sorted(name for name in sys.argv[1:] if name in sys.modules))
"""
CLOUD_ONLY = [
    "agent_runtime.platform.azure",
    "agent_runtime.platform.gcp",
    "agent_runtime.platform.metadata",
    "agent_runtime.platform.tsm",
    "http.client",
]


def config(folder: Path, name: bytes) -> Config:
    for file in ("boot-configuration", "log", "ccel"):
        (folder / file).write_bytes(b"{}")
    (folder / "platform").write_bytes(name)
    return replace(
        Config(),
        platform=folder / "platform",
        boot_configuration=folder / "boot-configuration",
        boot_event_log=folder / "log",
        ccel=folder / "ccel",
    )


@pytest.mark.parametrize("name", [b"", b"\n", b"aws\n", b"LOCAL\n", b"local azure\n", b"gcp" + b"p" * 100, b"\xff\n"])
def test_unknown_platform_is_an_error(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(AgentError, match="neither local nor on Azure"):
        detect.detect_machine(config(tmp_path, name), lambda _: b"")


def test_missing_platform_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        detect.detect_machine(replace(Config(), platform=tmp_path / "none"), lambda _: b"")


@pytest.mark.parametrize(("name", "module"), [("azure", azure), ("gcp", gcp)])
def test_metadata_service_is_asked_before_the_tpm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: object
) -> None:
    """Its metadata service does not answer here."""
    silent = MetadataClient({}, address="127.0.0.1", port=1, sleep=lambda _: None)
    monkeypatch.setattr(module, "metadata_service", lambda: silent)

    def untouched(_command: bytes) -> bytes:
        raise AssertionError("the TPM was asked first")

    with pytest.raises(AgentError, match="boot configuration"):
        detect.detect_machine(config(tmp_path, f"{name}\n".encode()), untouched)


def test_local_machine_imports_no_cloud_module() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS, *CLOUD_ONLY], capture_output=True, check=True, env=dict(os.environ), text=True
    )
    assert done.stdout.split() == []


def test_attributes_are_written_whole_and_read_with_a_limit(tmp_path: Path) -> None:
    folder = tsm.ReportFolder(tmp_path)
    (tmp_path / "inblob").touch()
    folder.write("inblob", b"x" * 64)
    assert (tmp_path / "inblob").read_bytes() == b"x" * 64
    (tmp_path / "outblob").write_bytes(bytes(tsm.MAX_SIZE + 1))
    assert len(folder.read("outblob")) == tsm.MAX_SIZE


def test_missing_attribute_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tsm.ReportFolder(tmp_path).write("inblob", b"x" * 64)
    assert tsm.ReportInterface(tsm.ReportFolder(tmp_path)).provider() == ""


@pytest.mark.parametrize("number", [b"", b"-1", b"x"])
def test_invalid_generation_is_refused(tmp_path: Path, number: bytes) -> None:
    (tmp_path / "generation").write_bytes(number)
    with pytest.raises(AgentError, match="invalid generation"):
        tsm.ReportInterface(tsm.ReportFolder(tmp_path)).take(b"x" * 64)
