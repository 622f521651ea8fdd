"""The choice of a console, and the errors without one."""

import socket
from pathlib import Path

import pytest

from cloister.errors import InputError
from infra.live import serial_console
from infra.provider.qemu.machine import CONSOLE_SOCKET


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLOISTER_STATE", str(tmp_path))
    return tmp_path


def listening(folder: Path) -> None:
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / CONSOLE_SOCKET))


def test_only_console_is_the_default(state: Path):
    with pytest.raises(InputError, match="No CVM of the workspace 'lab' has a console") as caught:
        serial_console.only("lab")
    assert "--image debug" in caught.value.hint
    listening(state / "lab" / "trainer")
    listening(state / "other" / "trainer")
    assert serial_console.only("lab") == "trainer"
    listening(state / "lab" / "second")
    with pytest.raises(InputError, match="Several CVMs have a console: second, trainer") as caught:
        serial_console.only("lab")
    assert caught.value.hint == "Choose one: --cvm NAME"


def test_cvm_without_a_console_is_reported(state: Path):
    (state / "lab" / "trainer").mkdir(parents=True)
    with pytest.raises(InputError, match="The CVM 'trainer' of the workspace 'lab' has no console"):
        serial_console.attach("lab", "trainer")
