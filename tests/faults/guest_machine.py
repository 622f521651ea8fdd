"""A machine of processes that a test can kill, stop or fill: agent, runner and software TPM."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister.attestation.policy.policy import Policy
from cloister.attestation.testkit import Authority
from cloister.attestation.testkit.machine import BOOT_EVENTS
from cloister.attestation.tpm import commands
from cloister.endpoint import Address
from cloister.protocol.bootconfig import BootConfiguration
from image.inputs import host_tools
from tests.agent_fixture import FILLER, accepting_policy, new_authority, provision, write_platform_files
from tests.faults import guest

CHECKOUT = Path(__file__).resolve().parents[2]
STORE_SIZE = 96 << 20
"""Bytes of the store's file system."""


@dataclass(frozen=True)
class GuestMachine:
    """A running machine. ``tls_key`` and ``tls_certificate`` (PEM) are what only the agent should have."""

    folder: Path
    address: Address
    boot_configuration: BootConfiguration
    authority: Authority
    pids: Mapping[str, int]
    tls_key: bytes
    tls_certificate: bytes

    @property
    def certificate(self) -> bytes:
        """The certificate of the workspace's authority, DER."""
        return self.authority.certificate

    def policy(self) -> Policy:
        """A policy that accepts this machine."""
        return accepting_policy(self.boot_configuration, self.authority)

    def kill(self, program: str) -> None:
        """Kill ``agent``, ``runner`` or ``tpm``, as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[program], signal.SIGKILL)

    def pause(self, program: str) -> None:
        """Stop a program until :meth:`resume`: it answers nothing."""
        os.kill(self.pids[program], signal.SIGSTOP)

    def resume(self, program: str) -> None:
        """Let a stopped program go on."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[program], signal.SIGCONT)

    @property
    def store(self) -> Path:
        """The store as the agent sees it: a file system of its own."""
        return Path(f"/proc/{self.pids['agent']}/root{self.folder / guest.STORE}")

    def fill_store(self, left: int) -> None:
        """Leave ``left`` bytes free in the store."""
        status = os.statvfs(self.store)
        free = status.f_bavail * status.f_frsize
        with (self.store / FILLER).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - left))

    def empty_store(self) -> None:
        """Undo :meth:`fill_store`."""
        with contextlib.suppress(OSError):
            (self.store / FILLER).unlink(missing_ok=True)

    def runs(self) -> list[list[str]]:
        """For each run, the digests of what the store held when it began."""
        path = self.folder / guest.RUNS
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes of the agent's memory (proc(5), status)."""
        for line in Path(f"/proc/{self.pids['agent']}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) * 1024
        raise ValueError(f"the agent has no {field}")

    def log(self) -> str:
        """What the agent printed: its own log."""
        return (self.folder / "agent.log").read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def guest_machine(
    folder: Path, owners: tuple[str, ...], *, limits: Mapping[str, Any] | None = None, store: int = STORE_SIZE
) -> Iterator[GuestMachine]:
    """Start a machine in the empty ``folder``; ``owners`` are key ids, ``limits`` replace those of the agent."""
    configuration, authority = BootConfiguration("trial", "main", tuple(sorted(owners))), new_authority()
    for name in (guest.STORE, "tpm"):
        (folder / name).mkdir(parents=True)
    write_platform_files(folder, configuration)
    with contextlib.ExitStack() as stack:
        stack.callback(_kill_algorithms, folder)
        # A socket's path has at most 107 bytes, and pytest's folders are long.
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cl-")))
        tpm, connection = _start_tpm(folder / "tpm", authority)
        stack.callback(tpm.wait)
        stack.callback(tpm.kill)
        settings = {
            "limits": dict(limits or {}),
            "store": store,
            "tpm": connection.fileno(),
            "socket": str(short / guest.RUNNER_SOCKET),
        }
        (folder / guest.SETTINGS).write_text(json.dumps(settings))
        words = [sys.executable, "-m", "tests.faults.guest", str(folder)]
        with connection:
            programs = subprocess.Popen(
                ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", *words],
                cwd=CHECKOUT,
                env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[connection.fileno()],
            )
        stack.enter_context(programs)
        stack.callback(programs.kill)
        line = programs.stdout.readline() if programs.stdout else b""
        said = json.loads(line or b"{}")
        if "port" not in said:
            raise OSError(f"the machine did not start: {(folder / 'agent.log').read_text()}")
        pids = {"tpm": tpm.pid, **said["pids"]}
        for name in pids:
            # A stopped process is killed, too; a killed one is gone.
            stack.callback(_kill, pids[name])
        yield GuestMachine(
            folder=folder,
            address=Address("127.0.0.1", said["port"]),
            boot_configuration=configuration,
            authority=authority,
            pids=pids,
            tls_key=said["key"].encode(),
            tls_certificate=said["certificate"].encode(),
        )


def _start_tpm(folder: Path, authority: Authority) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """A provisioned TPM, and the socket that the agent gets."""
    swtpm = host_tools.ensure()
    ours, theirs = socket.socketpair()
    state = ["--tpmstate", f"dir={folder}", "--flags", "not-need-init"]
    with theirs:
        process = subprocess.Popen(
            [*swtpm.argv("swtpm"), "socket", "--tpm2", "--fd", str(theirs.fileno()), *state],
            pass_fds=[theirs.fileno()],
            env=swtpm.environment(),
        )
    send = guest.tpm_of(os.dup(ours.fileno()))
    commands.startup(send)
    provision(send, authority, BOOT_EVENTS)
    return process, ours


def _kill_algorithms(folder: Path) -> None:
    """End the algorithms of a runner that was killed. On a machine the kernel does that."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if os.fsencode(folder) in Path("/proc", name, "cmdline").read_bytes():
                    _kill(int(name))


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
