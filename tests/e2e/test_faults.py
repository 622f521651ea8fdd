"""Faults while computations go on in a booted machine, drawn from one seed as in tests/faults."""

import os
import select
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
from infra.provider.qemu import machine, ports, powerbutton
from tests.e2e.hostile.host import CVM, HostileHost
from tests.faults.computation import Computation, parties_with_files
from tests.faults.faults import KINDS, FaultKind, acted
from tests.faults.scenario import Scenario

pytestmark = [pytest.mark.vm, pytest.mark.faults]

SEEDS, FAULTS, PER_STEP, AGAIN = range(3, 7), 5, 5, 0.7
INSIDE = ("frame", "store", "runner")
"""Kinds that need what only the machine itself has: its TLS key, its file systems, its processes."""


def booted_machine(computation: Computation) -> "BootedMachine":
    assert isinstance(computation.guest, BootedMachine)
    return computation.guest


ENDS = (
    FaultKind("machine killed", acted(lambda one, _: one.guest.kill("agent"), gone=True), 4),
    FaultKind("power button", acted(lambda one, _: booted_machine(one).power_off(), gone=True), 4),
    FaultKind("TPM gone", acted(lambda one, _: one.guest.kill("tpm"), gone=True), 4),
)
"""What ends the machine: QEMU ends with its TPM, too."""

_SECONDS = 60


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
        """With its agent or its TPM, the whole machine ends."""
        qemu = [os.pidfd_open(process.pid) for process in machine.running(self.host.folder / CVM)]
        self._signal(program, signal.SIGKILL)
        for one in qemu:
            ended, _, _ = select.select([one], [], [], _SECONDS)
            os.close(one)
            assert ended, "the machine goes on"

    def power_off(self) -> None:
        """By the power button; the machine ends by itself."""
        (qemu,) = machine.running(self.host.folder / CVM)
        powerbutton.press(self.host.folder / CVM, qemu)
        assert not qemu.alive()

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


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_in_a_booted_machine_break_no_promise(base_image: Image, tmp_path: Path, seed: int) -> None:
    @contextmanager
    def booted(folder: Path) -> Iterator[Computation]:
        parties = parties_with_files(folder / "parties")
        (folder / "store").mkdir()
        with HostileHost.create(folder, base_image, parties) as host:
            host.boot()
            yield Computation.prepare(BootedMachine(host, folder / "store"), parties)

    kinds = [kind for kind in KINDS if not kind.name.startswith((*INSIDE, "TPM gone", "agent killed"))]
    scenario = Scenario(seed, tmp_path, started=booted, kinds=[*kinds, *ENDS], per_step=PER_STEP, again=AGAIN)
    try:
        scenario.run(FAULTS)
    finally:
        print("\n".join(scenario.history))
