"""Speed of the scratch disk in a guest under two ciphers, against the same disk without encryption in the same boot."""

import base64
import json
import re
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path

from benchmarks import guest_disk
from benchmarks.measurement import CHECKOUT, BenchmarkError, BenchmarkResult
from image.build import incremental
from infra.configuration import image
from infra.configuration.image import Image
from infra.provider.qemu.machine import CONSOLE_SOCKET
from infra.provider.qemu.sockets import connect
from tests.e2e.hostile.host import CVM, HostileHost

_RECIPE = """\
extends = "debug"
description = "The debug guest, with another cipher to compare"

[kernel.needed]
aes = ["gcm", "aesni_intel"]
"""
_FOLDER = CHECKOUT / "out" / "bench" / "ciphers"
_DISK = 2 << 30
_SECONDS = 400.0
_LINE = 900
"""Characters that the console's line takes."""

CHOSEN, OTHER, BARE = "AEGIS-128", "AES-256-GCM", "the bare disk"
_TARGET = 1 / 0.15


def measure(repeat: int) -> list[BenchmarkResult]:
    """Time to write and read as a multiple of the bare disk's, over ``repeat`` rounds in one boot."""
    with _booted(_image()) as console:
        rounds = console.run(Path(guest_disk.__file__), str(repeat))
    found = []
    for cipher in (CHOSEN, OTHER):
        for index, what in enumerate(("write", "read")):
            ratios = tuple(took[cipher][index] / took[BARE][index] for took in rounds)
            rates = ", ".join(f"{name} {_rate(rounds, name, index)} MB/s" for name in (cipher, BARE))
            target = _TARGET if cipher == CHOSEN else None
            name = f"scratch disk with {cipher}, {what}, times {BARE}"
            found.append(BenchmarkResult(name, ratios, "x", target, rates))
    return found


def _rate(rounds: list[dict[str, list[float]]], name: str, index: int) -> str:
    best = sorted(took[name][index] for took in rounds)
    return f"{guest_disk.SIZE / 1e6 / best[len(best) // 2]:.0f}"


def _image() -> Image:
    _FOLDER.mkdir(parents=True, exist_ok=True)
    recipe = _FOLDER / "ciphers.toml"
    recipe.write_text(_RECIPE)
    incremental.build(str(recipe), _FOLDER / "image", relock=True)
    return image.find(str(_FOLDER / "image" / "manifest.json"))


class Console:
    """The shell on a debug guest's serial port."""

    def __init__(self, folder: Path) -> None:
        self._stream = connect(folder, CONSOLE_SOCKET, timeout=_SECONDS)

    def run(self, program: Path, *words: str) -> list[dict[str, list[float]]]:
        """The rounds that a Python program prints in the guest. Raises BenchmarkError."""
        content = base64.b64encode(program.read_bytes()).decode()
        for start in range(0, len(content), _LINE):
            self._shell(f"echo {content[start : start + _LINE]} >>/tmp/program")
        said = self._shell(f"base64 -d /tmp/program | /usr/bin/python3 -S -I - {' '.join(words)}")
        rounds = re.findall(r"^ROUND (\{.*\})\r?$", said, re.MULTILINE)
        if len(rounds) != int(words[0]):
            raise BenchmarkError(f"The guest did not measure: {said[-1000:]}")
        return [json.loads(one) for one in rounds]

    def _shell(self, command: str) -> str:
        """What a command prints. Its echo has the quotes, its output has not."""
        self._stream.sendall(f"{command}; echo 'E'ND\n".encode())
        said = b""
        while b"\nEND" not in said:
            part = self._stream.recv(65536)
            if not part:
                raise BenchmarkError(f"The guest ended: {said.decode('utf-8', 'replace')[-1000:]}")
            said += part
        return said.decode("utf-8", "replace")


@contextmanager
def _booted(debug: Image) -> Generator[Console]:
    """A guest that has the disk and makes no use of it."""
    with tempfile.TemporaryDirectory(prefix="cloister-scratch-") as made:
        folder = Path(made)
        with HostileHost.create(folder, debug, scratch=_DISK) as host:
            with redirect_stdout(sys.stderr):
                host.boot(console=True, configuration=replace(host.configuration(), scratch=0))
            yield Console(folder / CVM)
