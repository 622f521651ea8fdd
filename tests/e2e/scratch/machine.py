"""A machine with a scratch disk, its parties, and its host, which reads and changes disk and memory."""

import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.attestation.policy.policy import Policy
from cloister.client.computation.lifecycle import request_reset, wait_for_restart
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.endpoint import Address
from infra.configuration.image import Image
from infra.provider.qemu import machine, ports
from infra.provider.qemu.sockets import connect
from tests.agent_runtime.world import World
from tests.e2e.hostile.host import CVM, HostileHost

BLOCK = 4096
MEMORY = 2 << 30
_PIECE = 1 << 26


@dataclass(frozen=True)
class ScratchMachine:
    """The machine; ``address`` and ``policy`` are what :class:`World` asks for."""

    host: HostileHost

    @classmethod
    @contextmanager
    def booted(cls, folder: Path, image: Image, size: int) -> Iterator[Self]:
        """Boot one with a scratch disk of ``size`` bytes."""
        with HostileHost.create(folder, image, scratch=size) as host:
            ram = f"memory-backend-memfd,id=ram,size={MEMORY},share=on"
            host.boot(extra=["-object", ram, "-machine", "memory-backend=ram"])
            yield cls(host)

    @property
    def address(self) -> Address:
        return Address(ports.LOOPBACK, self.host.port)

    def policy(self) -> Policy:
        return policy_from_manifest(self.host.image.manifest, self.host.descriptor(), allow_local=True)[0]

    def world(self, files: dict[str, bytes]) -> World:
        """A computation of the machine's parties. The lab is the owner."""
        keys = self.host.parties.keys
        named = {"owner": "lab", "lab": "lab", "hospital": "hospital-1", "reader": "hospital-2"}
        return World(self, {name: keys[key] for name, key in named.items()}, files)  # ty: ignore[invalid-argument-type]

    def reset(self) -> None:
        """Reboot it."""
        with Connection(Target(self.address, self.policy(), CVM), self.host.parties.keys["lab"]) as owner:
            old = request_reset(owner)
        wait_for_restart(owner.target, old)

    def reset_and_keep(self) -> None:
        """Reset it, but stop it when it would start again: :attr:`memory` is then what it leaves."""
        with Monitor.of(self.host.folder / CVM) as monitor:
            monitor.run("set-action", reboot="shutdown", shutdown="pause")
            with Connection(Target(self.address, self.policy(), CVM), self.host.parties.keys["lab"]) as owner:
                request_reset(owner)
            monitor.wait("SHUTDOWN")

    def start_again(self) -> None:
        """Start it after :meth:`reset_and_keep`."""
        with Monitor.of(self.host.folder / CVM) as monitor:
            monitor.run("set-action", reboot="reset", shutdown="poweroff")
            monitor.run("system_reset")
            monitor.run("cont")
        wait_for_restart(Target(self.address, self.policy(), CVM), b"")

    @contextmanager
    def stopped(self) -> Iterator[Path]:
        """Its memory, while it stands still."""
        with Monitor.of(self.host.folder / CVM) as monitor:
            monitor.run("stop")
            yield self.memory
            monitor.run("cont")

    @property
    def memory(self) -> Path:
        """Its memory, as its host has it."""
        (qemu,) = machine.running(self.host.folder / CVM)
        handles = Path(f"/proc/{qemu.pid}/fd")
        (found,) = (one for one in handles.iterdir() if os.readlink(one).startswith("/memfd:memory-backend-memfd"))
        return found

    @property
    def disk(self) -> Path:
        """The file behind the scratch disk."""
        return self.host.folder / CVM / machine.SCRATCH

    def blocks(self) -> dict[int, bytes]:
        """The blocks of the scratch disk that were ever written, by number."""
        return written(self.disk)

    def put(self, blocks: dict[int, bytes]) -> None:
        """Change the scratch disk, while the machine runs."""
        put(self.disk, blocks)


def written(path: Path) -> dict[int, bytes]:
    """The blocks of a sparse file that have data, by number."""
    found, at = {}, 0
    with path.open("rb", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        while at < end:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            for block in range(start // BLOCK, -(-at // BLOCK)):
                found[block] = os.pread(file.fileno(), BLOCK, block * BLOCK)
    return found


def put(path: Path, blocks: dict[int, bytes]) -> None:
    """Write blocks of a file."""
    with path.open("r+b", buffering=0) as file:
        for block, content in blocks.items():
            os.pwrite(file.fileno(), content, block * BLOCK)


@dataclass
class Monitor:
    """QEMU's machine protocol (docs/interop/qmp-spec)."""

    stream: socket.socket
    rest: bytes = b""

    @classmethod
    @contextmanager
    def of(cls, folder: Path) -> Iterator[Self]:
        with connect(folder, machine.MONITOR_SOCKET, timeout=120) as stream:
            monitor = cls(stream)
            monitor.run("qmp_capabilities")
            yield monitor

    def run(self, command: str, **arguments: Any) -> None:
        """Run a command; its answer says nothing. Raises AssertionError when QEMU refuses it."""
        self.stream.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            said = self._next()
            assert "error" not in said, said
            if "return" in said:
                return

    def wait(self, event: str) -> None:
        """Wait for an event."""
        while self._next().get("event") != event:
            pass

    def _next(self) -> dict[str, Any]:
        while b"\n" not in self.rest:
            data = self.stream.recv(65536)
            assert data, "QEMU has ended"
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return dict(json.loads(line))


def counts(memory: Path, *patterns: bytes) -> list[int]:
    """How often each pattern, of at least four bytes, is in a file; all of them in one pass over its gigabytes."""
    content = np.memmap(memory, np.uint8, "r")
    by_start: dict[int, list[bytes]] = {}
    for pattern in patterns:
        by_start.setdefault(int.from_bytes(pattern[:4], "little"), []).append(pattern)
    starts = np.array(list(by_start), np.uint32)
    first = np.zeros(1 << 16, bool)
    first[starts & 0xFFFF] = True
    found = Counter[bytes]()
    for begin in range(0, len(content), _PIECE):
        piece = content[begin : begin + _PIECE + 3]
        for odd in (0, 1):
            pairs = piece[odd : len(piece) - (len(piece) - odd) % 2].view("<u2")
            places = np.flatnonzero(first[pairs[:-1]])
            fours = pairs[places].astype(np.uint32) | pairs[places + 1].astype(np.uint32) << 16
            known = np.isin(fours, starts)
            for place, four in zip(places[known].tolist(), fours[known].tolist(), strict=True):
                at = begin + odd + 2 * place
                found.update(one for one in by_start[four] if content[at : at + len(one)].tobytes() == one)
    return [found[one] for one in patterns]
