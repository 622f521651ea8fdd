"""A hostile host: starts a machine like the provider, and changes what a host can change."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess
from threading import Event
from typing import Self, TypedDict, Unpack

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.attestation.policy.policy import Policy
from cloister.client.connection.binding import bind
from cloister.client.connection.opening import Opening, Target, attest
from cloister.client.connection.session import Session
from cloister.client.files.keys import Key
from cloister.endpoint import Address
from cloister.process import run
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import CvmEntry, Descriptor, MemberEntry
from image.inputs import host_tools
from infra.configuration.image import Image
from infra.paths import private_folder
from infra.processes import start
from infra.provider import certificates
from infra.provider.qemu import accelerator, machine, ports, vtpm
from infra.provider.qemu.boot import BootWatch
from infra.provider.qemu.sockets import connect, listens
from tests.client.parties import Parties

WORKSPACE, CVM = "trial", "trainer"
_MEMORY = 2 << 30
_END_SECONDS = 60
_REFUSAL_SECONDS = 120.0
_LOOK_SECONDS = 0.02
_VIRTUAL_CPUS = 2


class HostChanges(TypedDict, total=False):
    """What a host changes before it starts the machine.

    disk: another disk. vhd: the image's VHD in place of its raw disk. variables: the firmware's.
    extra: words for QEMU. configuration: the boot configuration. console: whether there is a serial console.
    """

    disk: bytes
    vhd: bool
    variables: bytes
    extra: Sequence[str]
    configuration: BootConfiguration
    console: bool


@dataclass(frozen=True)
class HostileHost(AbstractContextManager["HostileHost"]):
    """One machine of a hostile host. ``folder`` has the files of the machine and its authority.

    The parties know nothing of that: their policy is made from the genuine image's manifest.
    """

    folder: Path
    image: Image
    port: int
    authority: bytes
    parties: Parties
    scratch: int = 0
    """Bytes of the scratch disk."""

    @classmethod
    def create(cls, folder: Path, image: Image, parties: Parties | None = None, *, scratch: int = 0) -> Self:
        key_folder = private_folder(folder / "authority")
        return cls(
            folder=folder,
            image=image,
            port=ports.free(),
            authority=certificates.create_authority(WORKSPACE, key_folder),
            parties=parties or Parties.make(folder),
            scratch=scratch,
        )

    def __exit__(self, *_: object) -> None:
        machine.remove(self.folder / CVM)

    def configuration(self) -> BootConfiguration:
        return BootConfiguration(WORKSPACE, CVM, (self.parties.keys["lab"].id,), self.scratch)

    def boot(self, **changed: Unpack[HostChanges]) -> float:
        """Start the machine with these changes.

        Returns when the agent answers: after how many seconds. Raises ProviderError when it does not.
        """
        return self._watch(self._launch(**changed))

    def _launch(self, **changed: Unpack[HostChanges]) -> subprocess.Popen[bytes]:
        tools, place = host_tools.ensure(), self.folder / CVM
        vhd = changed.get("vhd", False)
        image = self.image.folder / "disk.vhd" if vhd else self.image.disk
        if "disk" in changed:
            image = self.folder / "changed.raw"
            image.write_bytes(changed["disk"])
        boot_configuration = changed.get("configuration", self.configuration()).encode()
        machine.prepare(place, tools, image, boot_configuration, self.scratch, keys=self.image.keys)
        if "variables" in changed:
            (place / machine.VARIABLES).write_bytes(changed["variables"])
        vtpm.create(tools, place, self._certify)
        return self._start(vhd=vhd, extra=changed.get("extra", ()), console=changed.get("console", False))

    def refused(self, *, says: str, **changed: Unpack[HostChanges]) -> str:
        """Start the machine, changed as for :meth:`boot`, which must end before its agent answers, or show the words
        ``says`` on its console. Returns its last milestone.
        """
        extra = ["-no-reboot", *changed.get("extra", ())]
        qemu = self._launch(**{**changed, "console": True, "extra": extra})
        place = self.folder / CVM
        while not listens(qemu.pid, machine.CONSOLE_SOCKET):
            with suppress(subprocess.TimeoutExpired):
                qemu.wait(_LOOK_SECONDS)
            assert qemu.poll() is None, (place / machine.QEMU_LOG).read_text("utf-8", "replace")
        ended = os.pidfd_open(qemu.pid)
        try:
            with connect(place, machine.CONSOLE_SOCKET, timeout=_REFUSAL_SECONDS) as console:
                # The console's file has what was written before this connection.
                while not (says and says in (place / machine.CONSOLE_LOG).read_text("utf-8", "replace")):
                    readable, _, _ = select.select([ended, console], [], [], _REFUSAL_SECONDS)
                    assert readable, f"The machine neither ended nor said {says!r}."
                    if ended in readable:
                        assert not says, f"The machine ended without saying {says!r}."
                        break
                    console.recv(1 << 16)
        finally:
            os.close(ended)
        machine.stop(place)
        milestones = [line.split()[0] for line in (place / machine.MILESTONES).read_text().splitlines()]
        assert "agent" not in milestones
        return milestones[-1] if milestones else ""

    def kill(self) -> None:
        """End the machine at once, as if its host had lost power."""
        (qemu,) = machine.running(self.folder / CVM)
        handle = os.pidfd_open(qemu.pid)
        try:
            os.kill(qemu.pid, signal.SIGKILL)
            # The kernel frees its memory before it closes its port.
            assert select.select([handle], [], [], _END_SECONDS)[0]
        finally:
            os.close(handle)

    def start_again(self) -> None:
        """Start it again after :meth:`kill`, with the disks as they are."""
        machine.stop(self.folder / CVM)
        (self.folder / CVM / machine.MILESTONES).unlink()
        self._watch(self._start())

    def _start(self, *, vhd: bool = False, extra: Sequence[str] = (), console: bool = False) -> subprocess.Popen[bytes]:
        tools, place = host_tools.ensure(), self.folder / CVM
        vtpm.start_for_qemu(tools, place)
        hardware = machine.Hardware(
            f"{WORKSPACE}/{CVM}",
            _VIRTUAL_CPUS,
            _MEMORY,
            self.port,
            console,
            scratch=self.scratch,
            secure_boot=self.image.signed,
        )
        words = [*machine.argv(tools, hardware, accelerator.choose(tools)), *extra]
        if vhd:
            words = [_as_vhd(word) for word in words]
        return start(words, place, machine.QEMU_LOG, tools.environment())

    def _watch(self, qemu: subprocess.Popen[bytes]) -> float:
        return BootWatch(CVM, self.folder / CVM, qemu, self.port, Event(), print).wait()

    def descriptor(self) -> Descriptor:
        return Descriptor(
            workspace=WORKSPACE,
            backend="local",
            flavor=self.image.manifest.flavor,
            image=self.image.digest,
            members=(
                MemberEntry("lab", self.parties.keys["lab"].public, ("owner", "algorithm-provider", "result-consumer")),
                MemberEntry("hospital-1", self.parties.keys["hospital-1"].public, ("dataset-provider",)),
            ),
            cvms=(CvmEntry(CVM, f"{ports.LOOPBACK}:{self.port}", "local", self.configuration()),),
            authority=self.authority,
        )

    def policy(self) -> Policy:
        """The parties' policy."""
        policy, _ = policy_from_manifest(
            self.image.manifest, self.descriptor(), allow_local=True, signed=self.image.statement
        )
        return policy

    def attest(self) -> Opening:
        """A session that was opened and verified under the parties' policy."""
        return attest(Target(Address(ports.LOOPBACK, self.port), self.policy(), CVM))

    def collude(self, key: Key) -> Session:
        """A session of a client that ignores the verdict."""
        opening = self.attest()
        return bind(replace(opening, verdict=replace(opening.verdict, checks=())), key)

    def upload(self) -> CompletedProcess[bytes]:
        """The upload command of a hospital, and its outcome."""
        for name, document in {"policy": self.policy(), "workspace": self.descriptor()}.items():
            (self.folder / f"{name}.json").write_bytes(document.encode())
        words = ["upload-data", "data/h1.csv", "--key", "hospital-1.pem"]
        for name in ("policy", "workspace", "manifest"):
            words += [f"--{name}", f"{name}.json"]
        return run([Path(sys.executable).with_name("cloister"), *words], cwd=self.folder, check=False)

    def _certify(self, point: bytes) -> bytes:
        return certificates.certify(self.folder / "authority", self.authority, point, f"{WORKSPACE}/{CVM}")


def _as_vhd(word: str) -> str:
    """A QEMU argument, with the disk's format changed to VHD."""
    if not word.startswith("{"):
        return word
    node = json.loads(word)
    return json.dumps(node | {"driver": "vpc"}) if node["node-name"] == "disk" else word
