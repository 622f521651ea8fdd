"""A local CVM: its folder, and the two processes (QEMU, swtpm) that run in it.

The folder is written before anything starts. It is the working directory of both processes, by which they are found
again, and so that all names inside it are relative.
"""

import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from image.inputs.host_tools import Tools
from image.secureboot import enrolment
from image.secureboot.keys import Certificates
from infra.paths import private_folder
from infra.processes import Process, start, working_in
from infra.provider.errors import ProviderError
from infra.provider.qemu import vtpm
from infra.provider.qemu.accelerator import Accelerator
from infra.provider.qemu.ports import LOOPBACK

AGENT_PORT = 6110
MONITOR_SOCKET = "qmp.sock"
CONSOLE_SOCKET = "console.sock"
CONSOLE_LOG = "console.log"
MILESTONES = "milestones.log"
QEMU_LOG = "qemu.log"

TPM = "swtpm"
_PROGRAMS = ("qemu-system-x86_64", TPM)
_CONFIGURATION = "boot-configuration.json"
_DISK = "disk.raw"
SCRATCH = "scratch.raw"
VARIABLES = "variables.fd"
_FIRMWARE = "usr/share/OVMF/OVMF_CODE_4M.fd"
_SECURE_FIRMWARE = "usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
_FIRMWARE_VARIABLES = "usr/share/OVMF/OVMF_VARS_4M.fd"
_MILESTONE_PORT = "org.cloister.milestone"
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_MEBIBYTE = 1 << 20
_FORWARDED = re.compile(rf"hostfwd=tcp:{re.escape(LOOPBACK)}:(\d+)-")


@dataclass(frozen=True)
class Hardware:
    """The virtual hardware. ``memory`` in bytes; ``port`` on the loopback interface; ``console``: a serial console;
    ``cpu``: QEMU's model and features, "" for the accelerator's default; ``scratch``: bytes of the scratch disk, or 0;
    ``secure_boot``: a firmware that starts only what its keys have signed.
    """

    name: str
    vcpus: int
    memory: int
    port: int
    console: bool
    cpu: str = ""
    scratch: int = 0
    secure_boot: bool = False


def prepare(
    folder: Path,
    tools: Tools,
    disk: Path,
    configuration: bytes,
    scratch: int = 0,
    *,
    keys: Certificates | None = None,
) -> None:
    """Write a machine's folder: disk, firmware variables with these ``keys``, boot configuration, and a scratch disk of
    ``scratch`` bytes.
    """
    for part in (folder.parent, folder):
        private_folder(part)
    try:
        # A hard link keeps the disk of a running machine when the image is rebuilt.
        os.link(disk, folder / _DISK)
    except OSError:
        shutil.copyfile(disk, folder / _DISK)
    variables = tools.path(_FIRMWARE_VARIABLES).read_bytes()
    (folder / VARIABLES).write_bytes(enrolment.enrolled(variables, keys) if keys else variables)
    (folder / VARIABLES).chmod(0o600)
    (folder / _CONFIGURATION).write_bytes(configuration)
    if scratch:
        # Sparse: it takes as much of the disk as the guest has written.
        with open(folder / SCRATCH, "xb") as file:
            file.truncate(scratch)


def boot(folder: Path, tools: Tools, hardware: Hardware, accelerator: Accelerator) -> subprocess.Popen[bytes]:
    """Start the TPM and QEMU in ``folder``; returns QEMU."""
    vtpm.start_for_qemu(tools, folder)
    return start(argv(tools, hardware, accelerator), folder, QEMU_LOG, tools.environment())


def argv(tools: Tools, hardware: Hardware, accelerator: Accelerator) -> list[str]:
    """QEMU's command line: q35 with UEFI, TPM, a read-only disk, a scratch disk if the machine has one, and a network
    open only to the agent's port.
    """
    qemu = tools.argv("qemu-system-x86_64")
    qemu += ["-name", f"cloister/{hardware.name}", "-nodefaults", "-no-user-config", "-display", "none"]
    qemu += ["-sandbox", _SANDBOX, "-qmp", f"unix:{MONITOR_SOCKET},server=on,wait=off"]
    qemu += [*accelerator.argv(), "-cpu", hardware.cpu or accelerator.cpu(), "-smp", str(hardware.vcpus)]
    qemu += ["-m", f"{hardware.memory // _MEBIBYTE}M"]
    secure = hardware.secure_boot
    qemu += ["-machine", f"q35,{'smm=on,' if secure else ''}pflash0=firmware,pflash1=variables"]
    if secure:
        # The firmware changes its variables in SMM only, and refuses to start elsewhere; suspend to memory would need a
        # part of it that nothing uses.
        qemu += ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"]
    qemu += _block("firmware", str(tools.path(_SECURE_FIRMWARE if secure else _FIRMWARE)), read_only=True)
    qemu += _block("variables", VARIABLES, read_only=False)
    # bootindex: otherwise failed attempts to boot from elsewhere are measured into PCR 4. Empty romfile: no option ROM
    # to measure.
    qemu += [*_block("disk", _DISK, read_only=True), "-device", "virtio-blk-pci,drive=disk,bootindex=1"]
    if hardware.scratch:
        # When this machine's disk is full the guest gets an error, as of any other fault. QEMU would stop the guest.
        scratch = "virtio-blk-pci,drive=scratch,werror=report,rerror=report"
        qemu += [*_block("scratch", SCRATCH, read_only=False), "-device", scratch]
    qemu += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:{LOOPBACK}:{hardware.port}-:{AGENT_PORT}"]
    qemu += ["-device", "virtio-net-pci,netdev=net,romfile="]
    qemu += ["-chardev", f"socket,id=tpm,path={vtpm.CONTROL_SOCKET}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"]
    qemu += ["-device", "tpm-crb,tpmdev=tpm0"]
    qemu += ["-fw_cfg", f"name=opt/org.cloister/boot-configuration,file={_CONFIGURATION}"]
    qemu += ["-device", "virtio-serial-pci", "-chardev", f"file,id=milestone,path={MILESTONES}"]
    qemu += ["-device", f"virtserialport,chardev=milestone,name={_MILESTONE_PORT}"]
    if hardware.console:
        qemu += ["-chardev", f"socket,id=console,path={CONSOLE_SOCKET},server=on,wait=off,logfile={CONSOLE_LOG}"]
        qemu += ["-serial", "chardev:console"]
    return qemu


def stop(folder: Path) -> None:
    """End the processes that run in ``folder``."""
    # QEMU first: swtpm ends with it.
    for program in _PROGRAMS:
        for process in running(folder, program):
            process.end()
    for path in folder.glob("*.sock"):
        path.unlink()


def remove(folder: Path) -> None:
    """End the processes that run in ``folder`` and remove it, if it exists.

    Raises ProviderError when it cannot be removed.
    """
    stop(folder)
    try:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        # A process that was ending may have removed a file, which stops the first attempt.
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise ProviderError(
            f"Cannot remove the machine's folder {folder}: {error.strerror}.",
            hint="Remove it yourself, then run the command again.",
        ) from error


def running(folder: Path, program: str = _PROGRAMS[0]) -> list[Process]:
    """The live processes of the machine in ``folder``."""
    return working_in(folder.resolve(), (program,))


def port(process: Process) -> int | None:
    """The host port that a running QEMU forwards to its agent."""
    try:
        words = Path(f"/proc/{process.pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return None
    found = _FORWARDED.search(words)
    return int(found[1]) if found else None


def _block(name: str, path: str, *, read_only: bool) -> list[str]:
    """A raw file as a block node. JSON, because QEMU's short form splits at commas in a path."""
    node = {"driver": "raw", "node-name": name, "read-only": read_only, "file": {"driver": "file", "filename": path}}
    return ["-blockdev", json.dumps(node)]
