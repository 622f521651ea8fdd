"""The programs of a machine without a VM: ``python -m tests.faults.guest FOLDER``, in a user namespace.

The first process mounts the store, a tmpfs of its own, and starts runner and agent. The agent prints one line: its port
and its TLS key, with which a relay can stand between it and its parties. The sandbox is missing: the guest's launcher
runs the algorithm as a normal process.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from agent_runtime import boot
from agent_runtime.clock import Clock
from agent_runtime.config import Config
from agent_runtime.limits import Limits
from agent_runtime.platform.local import LocalMachine
from agent_runtime.runner.disk.scratchservice import ScratchService
from agent_runtime.runner.protocol import Job, RunnerOperation, RunOutcome
from agent_runtime.runner.server import RunnerServer, listen
from cloister.attestation.tpm import commands
from tests.agent_fixture import PlainExecutor, held_digests

SETTINGS, RUNNER_SOCKET, STORE = "settings.json", "runner.sock", "assets"
PROGRAMS = ("runner", "agent")
RUNS = "runs.jsonl"
"""A line for each run: the SHA-256 of every file in the store when the runner was told to start it."""

ENDED = "ended"
"""Exists when the agent had the machine powered off or rebooted."""

_PR_SET_PDEATHSIG = 1


@dataclass
class WatchedExecutor(PlainExecutor):
    """Notes what the store holds before a job runs."""

    runs: Path = field(default_factory=Path)

    def run(self, job: Job) -> RunOutcome:
        with self.runs.open("a", encoding="ascii") as file:
            file.write(json.dumps(held_digests(self.store)) + "\n")
        return super().run(job)


def tpm_of(descriptor: int) -> commands.Transport:
    """The TPM behind a socket; like the kernel's device, it fails with EIO when the TPM is gone."""
    connection = socket.socket(fileno=descriptor)

    def receive(size: int) -> bytes:
        data = connection.recv(size, socket.MSG_WAITALL)
        if len(data) != size:
            raise OSError(5, "Input/output error")
        return data

    def send(command: bytes) -> bytes:
        connection.sendall(command)
        header = receive(10)
        return header + receive(int.from_bytes(header[2:6]) - 10)

    return send


def run_agent(folder: Path, report: int) -> NoReturn:
    """Serve parties; the settings name the limits and the descriptor of the TPM."""
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    config = Config(
        address="127.0.0.1:0",
        boot_configuration=folder / "boot-configuration",
        boot_event_log=folder / "boot-event-log",
        debug=folder / "debug",
        packages=folder / "packages.json",
        store=folder / STORE,
        runner=Path(settings["socket"]),
        results=folder / "run" / "work" / "results",
        output=folder / "run" / "output",
        boot_progress=folder / "milestone",
        limits=Limits(**settings["limits"]),
    )
    machine = LocalMachine(
        tpm_of(settings["tpm"]), boot_configuration=config.boot_configuration, boot_event_log=config.boot_event_log
    )
    agent = boot.start(config, machine, clock=Clock())
    tls = agent.tls
    said = {"port": agent.port, "key": tls.key.decode(), "certificate": tls.certificate.decode()}
    os.write(report, json.dumps(said).encode() + b"\n")
    os.close(report)
    agent.wait()
    sys.exit(0)


def run_runner(folder: Path, report: int) -> NoReturn:
    """Run the algorithm for the agent. Its end, and a request to end the machine, leave a file."""
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    executor = WatchedExecutor(folder / "run", folder / STORE, runs=folder / RUNS)

    def end(operation: RunnerOperation, _: int) -> None:
        (folder / ENDED).write_text(operation)

    listener = listen(Path(settings["socket"]), None)
    os.write(report, b"listening\n")
    os.close(report)
    RunnerServer(executor, end, frozenset({os.getuid()}), ScratchService(os.getuid())).serve(listener)
    sys.exit(1)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start_programs(folder: Path) -> None:
    """Mount the store and start both programs; print their process ids and what the agent reports. Ends with stdin."""
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    options = f"size={settings['store']},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "assets", str(folder / STORE)], check=True)
    pids = {}
    said = b""
    for name in PROGRAMS:
        ours, theirs = os.pipe()
        with (folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.guest", str(folder), name, str(theirs)],
                pass_fds=[theirs, settings["tpm"]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        os.close(theirs)
        with open(ours, "rb") as answer:
            said = answer.readline()
        pids[name] = process.pid
    os.close(settings["tpm"])
    print(json.dumps({"pids": pids, **json.loads(said or b"{}")}), flush=True)
    sys.stdin.buffer.read()


def main(folder: Path, name: str = "", report: str = "-1") -> None:
    """The whole machine, or one of its programs."""
    if not name:
        start_programs(folder)
        return
    _end_with_parent()
    if name == "agent":
        run_agent(folder, int(report))
    else:
        run_runner(folder, int(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
