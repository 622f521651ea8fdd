"""Speed and memory of uploads and downloads over loopback, against raw TLS sockets in the same run.

Sender and receiver are processes of their own; the file that is sent, the agent's store and what the raw receiver
writes are in memory (/dev/shm), as in a machine. The agent's machine is that of the tests: a software TPM, no sandbox.
Each upload has a fresh agent. A baseline is what a Python programmer would write: `raw.py`.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measurement import CHECKOUT, BenchmarkError, BenchmarkResult, peak_memory
from benchmarks.transfer.world import PLAIN, WITH_DIGEST, TransferParty, prepare

_MIB = 1024 * 1024
_SIZES = (512 * _MIB, 2048 * _MIB)
_SMALL, _LARGE = 64 * _MIB, 4096 * _MIB
_SESSIONS = 40
_MEMORY = Path("/dev/shm")  # noqa: S108 - files of this size, in a new folder


def measure(repeat: int) -> list[BenchmarkResult]:
    """Times of an upload and a download as multiples of the baselines', peak memory, and CPU of a session's opening."""
    with tempfile.TemporaryDirectory(prefix="cloister-transfer-", dir=_MEMORY) as made:
        folder = Path(made)
        results = [result for size in _SIZES for result in _speed(folder, size, repeat)]
        return [*results, *_memory(folder), _opening(folder, repeat)]


def _speed(folder: Path, size: int, repeat: int) -> list[BenchmarkResult]:
    rounds: list[dict[str, float]] = []
    source = source_file(folder, size)
    with running_machine(folder / "results", source) as results:
        results.run("result")
        for index in range(repeat):
            took = {
                "with SHA-256": _raw(source, folder / "received", WITH_DIGEST),
                "without": _raw(source, folder / "received", PLAIN),
                "download": results.run("download")["seconds"],
            }
            with running_machine(folder / f"round-{index}", source) as machine:
                took["upload"] = machine.run("upload")["seconds"]
            rounds.append(took)
    source.unlink()
    what = f"{size // _MIB} MiB"
    found = []
    for name in ("upload", "download"):
        for baseline, target in (("with SHA-256", 1 / 0.9), ("without", 1 / 0.55)):
            ratios = tuple(took[name] / took[baseline] for took in rounds)
            rates = ", ".join(f"{one} {_rate(size, rounds, one)} MB/s" for one in (name, baseline))
            found.append(
                BenchmarkResult(
                    f"{name} of {what}, times a raw TLS 1.3 socket and a file {baseline}", ratios, "x", target, rates
                )
            )
    return found


def _rate(size: int, rounds: Sequence[dict[str, float]], name: str) -> str:
    return f"{size / 1e6 / statistics.median(took[name] for took in rounds):.0f}"


def _memory(folder: Path) -> list[BenchmarkResult]:
    peaks: dict[int, tuple[float, float]] = {}
    for size in (_SMALL, _LARGE):
        source = source_file(folder, size)
        with running_machine(folder / f"memory-{size}", source) as machine:
            client = machine.run("upload")["peak"]
            peaks[size] = (machine.peak(), client)
        source.unlink()
    (agent, _), (agent_large, client) = peaks[_SMALL], peaks[_LARGE]
    how = f"VmHWM; after 64 MiB {agent:.0f} MB"
    return [
        BenchmarkResult("agent's peak memory after an upload of 4 GiB", (agent_large,), "MB", 134.2, how),
        BenchmarkResult("the same, times that after 64 MiB", (agent_large / agent,), "x", 1.1, "VmHWM"),
        BenchmarkResult("client's peak memory, upload of 4 GiB", (client,), "MB", 104.9, "VmHWM"),
    ]


def _opening(folder: Path, repeat: int) -> BenchmarkResult:
    source = source_file(folder, _MIB)
    with running_machine(folder / "sessions", source) as machine:
        values = []
        for _ in range(repeat):
            before = machine.cpu()
            spent = machine.run("sessions", str(_SESSIONS))["cpu"]
            values.append(1000 * (spent + machine.cpu() - before) / _SESSIONS)
    how = f"CPU of both processes, {_SESSIONS} sessions each; the TPM is a third process"
    return BenchmarkResult("opening and binding a session", tuple(values), "ms", 15, how)


def source_file(folder: Path, size: int) -> Path:
    """A file of bytes that do not compress, ``size`` long."""
    path = folder / f"source-{size}"
    piece = os.urandom(_MIB)
    with path.open("wb") as out:
        for number in range(size // _MIB):
            out.write(number.to_bytes(8, "big") + piece[8:])
    return path


def _raw(source: Path, target: Path, kind: str) -> float:
    words = [sys.executable, "-m", "benchmarks.transfer.raw"]
    with started([*words, "receive", kind, str(target)]) as (_, said):
        done = _run([*words, "send", str(source), str(said["port"]), str(said["certificate"])])
    target.unlink()
    return float(done["seconds"])


class TransferMachine:
    """A running agent, and its party."""

    def __init__(self, process: "subprocess.Popen[str]", party: TransferParty) -> None:
        self.party = party
        self._process = process

    def run(self, what: str, *words: str) -> dict[str, Any]:
        """Have the party do it, in a process of its own; what that process says of itself."""
        return _run([sys.executable, "-m", "benchmarks.transfer.party", str(self.party.folder), what, *words])

    def peak(self) -> float:
        """The agent's highest resident memory, MB."""
        return peak_memory(self._process.pid)

    def cpu(self) -> float:
        """Seconds of CPU that the agent has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running_machine(folder: Path, source: Path) -> Iterator[TransferMachine]:
    """An agent whose manifest has ``source`` as its dataset, and a result of the same size."""
    folder.mkdir()
    with started([sys.executable, "-m", "benchmarks.transfer.machine", str(folder)]) as (process, said):
        yield TransferMachine(process, prepare(folder, source, str(said["address"])))
    _run(["rm", "-rf", str(folder)], json_output=False)


@contextlib.contextmanager
def started(words: list[str]) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    """A process that says in a line of JSON that it is ready, and ends when its standard input does.

    What it says beside that, such as the agent's log, is shown only if it fails.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            words,
            cwd=CHECKOUT,
            env=os.environ | {"GRPC_VERBOSITY": "NONE"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
        ) as process,
    ):
        if process.stdin is None or process.stdout is None:
            raise BenchmarkError("A process has no pipes.")
        line = process.stdout.readline()
        if not line:
            log.seek(0)
            raise BenchmarkError(f"`{' '.join(words)}` ended before it was ready.\n{log.read()[-2000:]}")
        yield process, json.loads(line)
        process.stdin.close()


def _run(words: list[str], *, json_output: bool = True) -> dict[str, Any]:
    done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise BenchmarkError(f"`{' '.join(words)}` ended with status {done.returncode}.\n{done.stderr[-2000:]}")
    return json.loads(done.stdout) if json_output else {}
