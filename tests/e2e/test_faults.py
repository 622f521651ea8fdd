"""Faults while computations go on in a booted machine, drawn from one seed as in tests/faults."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloister.attestation.policy.policy import Policy
from cloister.endpoint import Address
from cloister.protocol.bootconfig import BootConfiguration
from infra.configuration.image import Image
from infra.provider.qemu import machine, ports
from tests.e2e.hostile_host import CVM, HostileHost
from tests.faults.computation import Computation, parties_with_files
from tests.faults.faults import KINDS
from tests.faults.scenario import Scenario

pytestmark = [pytest.mark.vm, pytest.mark.faults]

FAULTS, SEED, PER_STEP = 20, 1, 5
INSIDE = ("frame", "store", "runner")
"""Kinds that need what only the machine itself has: its TLS key, its file systems, its processes."""


@dataclass(frozen=True)
class BootedMachine:
    """A virtual machine for the faults; ``store`` is an empty folder, since no one can look into the machine."""

    host: HostileHost
    store: Path

    @property
    def address(self) -> Address:
        return Address(ports.LOOPBACK, self.host.port)

    @property
    def boot_configuration(self) -> BootConfiguration:
        return self.host.configuration()

    @property
    def certificate(self) -> bytes:
        return self.host.authority

    def policy(self) -> Policy:
        return self.host.policy()

    def kill(self, program: str) -> None:
        """With its agent, the whole machine ends."""
        self._signal(program, signal.SIGKILL)

    def pause(self, program: str) -> None:
        self._signal(program, signal.SIGSTOP)

    def resume(self, program: str) -> None:
        self._signal(program, signal.SIGCONT)

    def runs(self) -> list[list[str]]:
        return []

    def log(self) -> str:
        return ""

    def _signal(self, program: str, number: signal.Signals) -> None:
        folder = self.host.folder / CVM
        for process in machine.running(folder, machine.TPM) if program == "tpm" else machine.running(folder):
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def test_faults_in_a_booted_machine_break_no_promise(base_image: Image, tmp_path: Path) -> None:
    @contextmanager
    def booted(folder: Path) -> Iterator[Computation]:
        parties = parties_with_files(folder / "parties")
        (folder / "store").mkdir()
        with HostileHost.create(folder, base_image, parties) as host:
            host.boot()
            yield Computation.prepare(BootedMachine(host, folder / "store"), parties)

    kinds = [kind for kind in KINDS if not kind.name.startswith(INSIDE)]
    scenario = Scenario(SEED, tmp_path, started=booted, kinds=kinds, per_step=PER_STEP)
    try:
        scenario.run(FAULTS)
    finally:
        print("\n".join(scenario.history))
