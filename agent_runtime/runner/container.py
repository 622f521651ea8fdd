"""Runs one job in its sandbox: mounts, crun, limits, outcome and cleanup.

Part of the runner, which is root. Standard library only.
"""

import contextlib
import json
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from agent_runtime.runner import oci_config
from agent_runtime.runner.kept_output import append_output, keep_output
from agent_runtime.runner.mounts import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, make_mount_points, mount, unmount
from agent_runtime.runner.oci_config import MACHINE, SandboxHost, SandboxPaths
from agent_runtime.runner.protocol import Job, RunOutcome
from agent_runtime.runner.result_tree import InvalidResults, make_readable

_ID = "algorithm"
_KILL_INTERVAL = 0.1
"""Seconds between attempts to kill a run."""


@dataclass(frozen=True)
class RunnerPaths:
    """Paths of the runner. ``base`` is its own folder, ``store`` holds the assets."""

    base: Path = Path("/run/cloister/run")
    store: Path = Path("/run/cloister/assets")
    cgroups: Path = Path("/sys/fs/cgroup")
    crun: Path = Path("/usr/bin/crun")

    @property
    def results(self) -> Path:
        """The algorithm's results; the agent reads them after the run."""
        return self.base / "results"

    @property
    def output(self) -> Path:
        """What the algorithm prints, up to the manifest's limit."""
        return self.base / "output"


@dataclass
class Container:
    """The sandbox of one run. ``stop`` may be called from another thread."""

    paths: RunnerPaths
    """Where the runner works."""

    host: SandboxHost = MACHINE
    """What the sandbox takes from the system around it."""

    _stopped: threading.Event = field(default_factory=threading.Event)
    """:meth:`stop` was called."""

    _timed_out: threading.Event = field(default_factory=threading.Event)
    """The job's time is over."""

    _due: threading.Event = field(default_factory=threading.Event)
    """Wakes the thread that kills the run: stopped, or over."""

    _over: threading.Event = field(default_factory=threading.Event)
    """crun has ended."""

    _mounted: list[Path] = field(default_factory=list)
    """Mount points, in order."""

    _process: subprocess.Popen[bytes] | None = None
    """crun while it runs."""

    def run(self, job: Job) -> RunOutcome:
        """Run ``job`` to its end. Raises OSError when the sandbox cannot be built."""
        paths = self._prepare(job)
        bundle = self.paths.base / "oci"
        (bundle / "config.json").write_text(json.dumps(oci_config.config(job, paths, self.host)))
        before = self._oom_kills()
        with open_marker(self.paths.base / "launched") as marker:
            status = self._run_crun(job, bundle)
            outcome = self._outcome(job, status, self._oom_kills() > before, launched=is_marked(marker))
        return self._check_results(job) if outcome is RunOutcome.OK else outcome

    def stop(self) -> None:
        """End the run."""
        self._stopped.set()
        self._due.set()

    def clean(self) -> None:
        """Kill remaining processes, unmount, and delete the run's files."""
        self._kill()
        self._crun("delete", "--force", _ID)
        for place in reversed(self._mounted[:]):
            with contextlib.suppress(OSError):
                unmount(place)
                self._mounted.remove(place)
        # Deleting through a remaining mount would empty another file system.
        if not self._mounted:
            shutil.rmtree(self.paths.base, ignore_errors=True)

    def _prepare(self, job: Job) -> SandboxPaths:
        base, store = self.paths.base, self.paths.store
        base.mkdir(mode=0o711)
        for name in ("oci", "oci/rootfs", "crun", "results", "files", "packed", "upper", "datasets"):
            (base / name).mkdir(mode=0o711)
        # Folders that the algorithm sees must be listable.
        for name in ("work", "work/datasets", "work/results"):
            (base / name).mkdir(mode=0o755)
        make_mount_points(base / "work", [job.algorithm, *(item.at for item in job.files)])
        for name in ("algorithm", "bundle.tar"):
            (base / name).touch()
        self._bind(Path("/"), base / "oci/rootfs")
        self._bind(store / "algorithm", base / "algorithm")
        if job.wheels:
            self._bind(store / "bundle", base / "bundle.tar")
        if job.files:
            self._bind(store / "files", base / "files")
        if job.packed:
            self._bind(store / "packed", base / "packed")
        self._place_datasets(job)
        size = job.results + oci_config.RESULT_SLACK
        self._tmpfs(base / "results", size, oci_config.RESULT_INODES, MS_NOEXEC)
        self._give(base / "results")
        return SandboxPaths(
            rootfs=base / "oci/rootfs",
            work=base / "work",
            datasets=base / "datasets",
            results=base / "results",
            algorithm=base / "algorithm",
            bundle=base / "bundle.tar",
            files=base / "files",
            packed=base / "packed",
            launched=base / "launched",
        )

    def _place_datasets(self, job: Job) -> None:
        """Mount ``datasets``: the uploaded files as lower layer, a bounded tmpfs for what the algorithm writes."""
        base, store = self.paths.base, self.paths.store
        for entry in (store / "datasets").iterdir():
            # The algorithm's user owns its input, as on a normal disk. Changes go to the overlay's upper layer.
            self._give(entry)
        self._tmpfs(base / "upper", job.memory + oci_config.unpacked_size(job), oci_config.upper_inodes(job), 0)
        for name in ("data", "work"):
            (base / "upper" / name).mkdir(mode=0o755)
        # Before mounting: the overlay's root gets the owner of the upper folder.
        self._give(base / "upper/data")
        layers = f"lowerdir={store / 'datasets'},upperdir={base / 'upper/data'},workdir={base / 'upper/work'}"
        mount("overlay", base / "datasets", "overlay", MS_NOSUID | MS_NODEV, f"{layers},redirect_dir=on")
        self._mounted.append(base / "datasets")

    def _give(self, path: Path) -> None:
        """Make the algorithm's user the owner of ``path``."""
        os.chown(path, self.host.owner, self.host.owner, follow_symlinks=False)

    def _bind(self, source: Path, target: Path) -> None:
        mount(str(source), target, "", MS_BIND, "")
        self._mounted.append(target)

    def _tmpfs(self, target: Path, size: int, inodes: int, flags: int) -> None:
        mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV | flags, f"size={size},nr_inodes={inodes},mode=0755")
        self._mounted.append(target)

    def _run_crun(self, job: Job, bundle: Path) -> int:
        """Run crun and return its exit status. Output goes to a bounded file."""
        words = [*self._crun_words(), "run", "--bundle", str(bundle), _ID]
        if self._stopped.is_set():
            return -1
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={}
        ) as process:
            self._process = process
            guard = threading.Thread(target=self._enforce_end, args=(job.seconds,), name="guard", daemon=True)
            guard.start()
            try:
                if process.stdout is not None:
                    self._keep_output(process.stdout, job.output)
                status = process.wait()
            finally:
                self._over.set()
                self._due.set()
                guard.join()
        self._process = None
        # A background process of the algorithm could still change the results.
        self._kill()
        return status

    def _keep_output(self, source: IO[bytes], limit: int) -> None:
        keep_output(source, self.paths.output, limit)

    def _enforce_end(self, seconds: int) -> None:
        """End the run after ``seconds``, or earlier after :meth:`stop`.

        Kills repeatedly: the first attempt may come before the run's cgroup exists.
        """
        if not self._due.wait(seconds):
            self._timed_out.set()
        while not self._over.is_set():
            self._kill()
            self._over.wait(_KILL_INTERVAL)

    def _outcome(self, job: Job, status: int, out_of_memory: bool, *, launched: bool) -> RunOutcome:
        if self._stopped.is_set():
            return RunOutcome.STOPPED
        if self._timed_out.is_set():
            return RunOutcome.TIME_LIMIT
        if status == 0:
            return RunOutcome.OK
        if out_of_memory:
            return RunOutcome.MEMORY_LIMIT
        if not launched:
            return RunOutcome.LAUNCH
        free = os.statvfs(self.paths.results)
        return RunOutcome.RESULT_LIMIT if not free.f_bavail or not free.f_favail else RunOutcome.EXIT_STATUS

    def _check_results(self, job: Job) -> RunOutcome:
        outcome, why = accept_results(self.paths.results, job.results)
        if why:
            self._tell(job, why)
        return outcome

    def _tell(self, job: Job, why: str) -> None:
        """Tell the log's readers why the result is not accepted."""
        append_output(self.paths.output, job.output, why)

    def _kill(self) -> None:
        group = self.paths.cgroups / oci_config.PARENT_CGROUP
        for path in (group / "cgroup.kill", *group.glob("*/cgroup.kill")):
            with contextlib.suppress(OSError):
                path.write_text("1")
        process = self._process
        if process is not None and (self._stopped.is_set() or self._timed_out.is_set()):
            process.kill()

    def _oom_kills(self) -> int:
        """OOM kills counted by the parent cgroup, which remains after the run's own cgroup is removed."""
        text = (self.paths.cgroups / oci_config.PARENT_CGROUP / "memory.events").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))

    def _crun(self, *words: str) -> None:
        subprocess.run(
            [*self._crun_words(), *words],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
        )

    def _crun_words(self) -> list[str]:
        state = str(self.paths.base / "crun")
        return [str(self.paths.crun), "--root", state, "--cgroup-manager=cgroupfs"]


def accept_results(folder: Path, limit: int) -> tuple[RunOutcome, str]:
    """Make the results readable. The outcome, and why it is not OK: sentences that name file and rule."""
    try:
        total, files = make_readable(folder)
    except InvalidResults as error:
        return RunOutcome.RESULT_INVALID, f"The result cannot be accepted: {' '.join(error.problems)}"
    if not files:
        return RunOutcome.NO_RESULT, "There is no file in results/."
    if total > limit:
        return RunOutcome.RESULT_LIMIT, f"The files in results/ have {total} bytes; results.max is {limit}."
    return RunOutcome.OK, ""


def open_marker(path: Path) -> IO[bytes]:
    """Create a pipe that anyone can write to and only its owner can read. Reading does not block."""
    os.mkfifo(path)
    path.chmod(0o622)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)


def is_marked(marker: IO[bytes]) -> bool:
    """Return whether anything was written to a pipe of :func:`open_marker`."""
    return bool(marker.read(1))
