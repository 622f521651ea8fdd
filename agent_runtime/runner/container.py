"""Runs one job in its sandbox: mounts, crun, limits, outcome and cleanup.

Part of the runner, which is root. Standard library only. Long because mounting, running, judging and removing a
sandbox are steps of one object, and a trial replaces single ones.
"""

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from agent_runtime.runner import oci_config
from agent_runtime.runner.disk.scratchdisk import ScratchDisk
from agent_runtime.runner.disk.scratchrun import ScratchRun, UnsealedError
from agent_runtime.runner.guard import RunGuard
from agent_runtime.runner.kept_output import append_output, keep_output
from agent_runtime.runner.kinds.image_config import container_config, read_process, unpacking_config
from agent_runtime.runner.mounts import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REMOUNT,
    make_mount_points,
    mount,
    unmount,
)
from agent_runtime.runner.oci_config import MACHINE, SandboxHost, SandboxPaths
from agent_runtime.runner.packing_config import packing_config
from agent_runtime.runner.protocol import MAX_ANSWER, Job, RunOutcome
from agent_runtime.runner.result_tree import accept_results

_ID = "algorithm"
_END_SECONDS = 10.0
"""Seconds that the machine waits for a killed run before it ends."""


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

    scratch: ScratchDisk = field(default_factory=ScratchDisk)
    """The scratch disk of the machine."""

    guard: RunGuard = field(default_factory=RunGuard)
    """Ends the run in time."""

    _cleaning: threading.Lock = field(default_factory=threading.Lock)
    """Held by :meth:`clean`."""

    _mounted: list[Path] = field(default_factory=list)
    """Mount points, in order."""

    _user: tuple[int, int] | None = None
    """User and group of the algorithm, outside of the sandbox, if they are an image's."""

    _process: subprocess.Popen[bytes] | None = None
    """crun while it runs."""

    def run(self, job: Job) -> RunOutcome:
        """Run ``job`` to its end. Raises OSError when the sandbox cannot be built."""
        self.paths.base.mkdir(mode=0o711)
        scratch = ScratchRun(self.scratch, self.paths.base, job)
        try:
            outcome = self.guard.run(lambda: self._run(job, scratch), job.seconds, self._kill, scratch.failed)
            if outcome is RunOutcome.OK:
                outcome = self._check_results(job)
        except OSError:
            if not scratch.failed():
                raise
            outcome = RunOutcome.SCRATCH
        except UnsealedError:
            outcome = RunOutcome.LAUNCH
            self._tell(job, "Unpacking to the scratch disk ended without a hash tree: an archive misled it.")
        if outcome is not RunOutcome.STOPPED and scratch.failed():
            self._tell(job, "The scratch disk returned data that was changed, or none. The host controls that disk.")
            return RunOutcome.SCRATCH
        if outcome is not RunOutcome.OK and scratch.full():
            self._tell(job, "What the algorithm wrote filled all of limits.scratch.")
        return outcome

    def _run(self, job: Job, scratch: ScratchRun) -> RunOutcome:
        scratch.mount()
        paths = self._prepare(job, scratch)
        before = self._oom_kills()
        with open_marker(self.paths.base / "launched") as marker:
            status = scratch.unpack(lambda device: self._pack(job, paths, device)) if job.packs else 0
            if status == 0:
                self._make_room(job, scratch)
                status = self._unpack_image(job, paths, scratch) if job.container is not None else 0
            if status == 0:
                config = self._config(job, paths)
                self._place_datasets(job, scratch)
                status = self._run_crun(config, lambda source: self._keep_output(source, job.output))
            return self._outcome(job, status, self._oom_kills() > before, launched=is_marked(marker))

    def _pack(self, job: Job, paths: SandboxPaths, device: int) -> tuple[int, bytes]:
        """Unpack to the scratch disk in a sandbox of its own. Only what it says about a failure is kept."""
        answer = b""

        def take(source: IO[bytes]) -> None:
            nonlocal answer
            answer = source.read(MAX_ANSWER)

        said = self.paths.base / "packing"
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb", buffering=0) as source:
            keeping = threading.Thread(target=keep_output, args=(source, said, job.output), name="packer's output")
            keeping.start()
            try:
                status = self._run_crun(packing_config(job, paths, self.host), take, device, writer)
            finally:
                os.close(writer)
                keeping.join()
        if status:
            said.rename(self.paths.output)
        return status, answer

    def _unpack_image(self, job: Job, paths: SandboxPaths, scratch: ScratchRun) -> int:
        """Unpack an image, and datasets beside it, in a sandbox of its own. What it says about a failure is kept.

        An image on the scratch disk is unpacked already, and says who gets the datasets.
        """
        said = b""

        def take(source: IO[bytes]) -> None:
            nonlocal said
            said = source.read(MAX_ANSWER)

        process = None
        if job.packs_image:
            self._bind(scratch.image, paths.image)
            process = read_process(paths.image)
        else:
            self._tmpfs(paths.image, oci_config.image_size(job), oci_config.IMAGE_INODES, 0)
            os.chown(paths.image, self.host.mapped(0), self.host.mapped(0))
        self._give(paths.room)
        status = self._run_crun(unpacking_config(job, paths, self.host, process), take)
        if status and said:
            self._tell(job, said.decode("utf-8", "replace").strip())
        return status

    def _config(self, job: Job, paths: SandboxPaths) -> Mapping[str, Any]:
        """The configuration of the run. The user of an image gets what the algorithm's user has."""
        if job.container is None:
            return oci_config.config(job, paths, self.host)
        process = read_process(paths.image)
        self._user = self.host.mapped(process.user), self.host.mapped(process.group)
        self._give(self.paths.results)
        return container_config(job, paths, process, self.host)

    def stop(self) -> None:
        """End the run."""
        self.guard.stop()

    def end(self) -> None:
        """:meth:`stop` and :meth:`clean`, before the machine ends."""
        self.stop()
        if self.paths.base.exists():
            self.guard.over.wait(_END_SECONDS)
        self.clean()

    def clean(self) -> None:
        """Kill remaining processes, unmount, and delete the run's files."""
        # The run's own end and the machine's may come together.
        with self._cleaning:
            self._clean()

    def _clean(self) -> None:
        self._kill()
        self._crun("delete", "--force", _ID)
        for place in reversed(self._mounted[:]):
            with contextlib.suppress(OSError):
                unmount(place)
                self._mounted.remove(place)
        with contextlib.suppress(OSError):
            self.scratch.close()
        # Deleting through a remaining mount would empty another file system.
        if not self._mounted and not self.scratch.mounted:
            shutil.rmtree(self.paths.base, ignore_errors=True)

    def _prepare(self, job: Job, scratch: ScratchRun) -> SandboxPaths:
        """Everything but the datasets, some of which may have to be unpacked first."""
        base = self.paths.base
        for name in ("oci", "oci/rootfs", "crun", "results", "files", "packed", "upper", "datasets", "image"):
            (base / name).mkdir(mode=0o711)
        # Folders that the algorithm sees must be listable.
        for name in ("work", "work/datasets", "work/results"):
            (base / name).mkdir(mode=0o755)
        own = [] if job.container else [job.algorithm]
        make_mount_points(base / "work", [*own, *(item.at for item in job.files)])
        for name in ("algorithm", "bundle.tar"):
            (base / name).touch()
        self._bind(Path("/"), base / "oci/rootfs")
        self._place_algorithm(job, scratch)
        if job.wheels:
            self._place("bundle", base / "bundle.tar", scratch)
        if job.files:
            self._place("files", base / "files", scratch)
        if job.packed:
            self._place("packed", base / "packed", scratch)
        self._place_results(job, scratch)
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
            wheels=scratch.wheels,
            temporary=base / "written/tmp",
            image=base / "image",
            room=self._room(scratch),
        )

    def _place(self, name: str, target: Path, scratch: ScratchRun) -> None:
        """Mount an asset, or a folder of assets, which may be partly in memory and partly on the scratch disk."""
        places = scratch.places(self.paths.store, name)
        if len(places) == 1:
            self._bind(places[0], target)
        else:
            self._layer(target, places, "")

    def _place_algorithm(self, job: Job, scratch: ScratchRun) -> None:
        """Mount the algorithm, so that it can be executed if it is a program itself."""
        target = self.paths.base / "algorithm"
        self._place("algorithm", target, scratch)
        if job.kind == "binary":
            # The store's own file system allows no execution. On the scratch disk the file has its mode already.
            mount("none", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, "")
            if (self.paths.store / "algorithm").exists():
                change_mode(self.paths.store / "algorithm", 0o555)

    def _place_results(self, job: Job, scratch: ScratchRun) -> None:
        results = self.paths.base / "results"
        if scratch.written is None:
            self._tmpfs(results, job.results + oci_config.RESULT_SLACK, oci_config.RESULT_INODES, MS_NOEXEC)
        else:
            for name in ("results", "tmp"):
                (scratch.written / name).mkdir(mode=0o755)
            (scratch.written / "tmp").chmod(0o1777)
            self._bind(scratch.written / "results", results)
        self._give(results)

    def _room(self, scratch: ScratchRun) -> Path:
        """The folder for what the algorithm writes to its datasets."""
        return (scratch.written or self.paths.base / "upper") / "data"

    def _make_room(self, job: Job, scratch: ScratchRun) -> None:
        """Make that folder, bounded."""
        upper = self._room(scratch).parent
        if scratch.written is None:
            self._tmpfs(upper, job.memory + oci_config.unpacked_size(job), oci_config.upper_inodes(job), 0)
        for name in ("data", "work"):
            (upper / name).mkdir(mode=0o755)

    def _place_datasets(self, job: Job, scratch: ScratchRun) -> None:
        """Mount ``datasets``: the uploaded files as lower layer, a bounded layer for what the algorithm writes."""
        base, store = self.paths.base, self.paths.store
        for entry in (store / "datasets").iterdir():
            # The algorithm's user owns its input, as on a normal disk. Changes go to the overlay's upper layer.
            self._give(entry)
        room = self._room(scratch)
        # Before mounting: the overlay's root gets the owner of the upper folder.
        self._give(room)
        layer = f",upperdir={room},workdir={room.parent / 'work'},redirect_dir=on"
        self._layer(base / "datasets", scratch.places(store, "datasets"), layer)

    def _layer(self, target: Path, layers: list[Path], upper: str) -> None:
        """Mount folders one over the other; those that are lower in the list are below."""
        lower = ":".join(str(layer) for layer in layers)
        mount("overlay", target, "overlay", MS_NOSUID | MS_NODEV, f"lowerdir={lower}{upper}")
        self._mounted.append(target)

    def _give(self, path: Path) -> None:
        """Make the algorithm's user the owner of ``path``."""
        os.chown(path, *(self._user or (self.host.owner, self.host.owner)), follow_symlinks=False)

    def _bind(self, source: Path, target: Path) -> None:
        mount(str(source), target, "", MS_BIND, "")
        self._mounted.append(target)

    def _tmpfs(self, target: Path, size: int, inodes: int, flags: int) -> None:
        mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV | flags, f"size={size},nr_inodes={inodes},mode=0755")
        self._mounted.append(target)

    def _run_crun(
        self,
        config: Mapping[str, Any],
        take: Callable[[IO[bytes]], None],
        standard_input: int = subprocess.DEVNULL,
        standard_error: int = subprocess.STDOUT,
    ) -> int:
        """Run crun and return its exit status. ``take`` reads its output."""
        bundle = self.paths.base / "oci"
        (bundle / "config.json").write_text(json.dumps(config))
        words = [*self._crun_words(), "run", "--bundle", str(bundle), _ID]
        if self.guard.is_due():
            return -1
        with subprocess.Popen(
            words, stdin=standard_input, stdout=subprocess.PIPE, stderr=standard_error, env={}
        ) as process:
            self._process = process
            if process.stdout is not None:
                take(process.stdout)
            status = process.wait()
        self._process = None
        # A background process of the algorithm could still change the results.
        self._kill()
        return status

    def _keep_output(self, source: IO[bytes], limit: int) -> None:
        keep_output(source, self.paths.output, limit)

    def _outcome(self, job: Job, status: int, out_of_memory: bool, *, launched: bool) -> RunOutcome:
        if ended := self.guard.outcome():
            return ended
        if status == 0:
            return RunOutcome.OK
        if out_of_memory:
            return RunOutcome.MEMORY_LIMIT
        if not launched:
            return RunOutcome.LAUNCH
        if job.written:
            return RunOutcome.EXIT_STATUS
        free = os.statvfs(self.paths.results)
        return RunOutcome.RESULT_LIMIT if not free.f_bavail or not free.f_favail else RunOutcome.EXIT_STATUS

    def _check_results(self, job: Job) -> RunOutcome:
        outcome, why = accept_results(self.paths.results, job.results)
        if why:
            self._tell(job, why)
        return outcome

    def _tell(self, job: Job, why: str) -> None:
        """Tell the log's readers why the result is not accepted."""
        self.paths.output.touch(mode=0o644)
        append_output(self.paths.output, job.output, why)

    def _kill(self) -> None:
        group = self.paths.cgroups / oci_config.PARENT_CGROUP
        for path in (group / "cgroup.kill", *group.glob("*/cgroup.kill")):
            with contextlib.suppress(OSError):
                path.write_text("1")
        process = self._process
        if process is not None and self.guard.is_due():
            process.kill()

    def _oom_kills(self) -> int:
        """OOM kills counted by the parent cgroup, which remains after the run's own cgroup is removed."""
        text = (self.paths.cgroups / oci_config.PARENT_CGROUP / "memory.events").read_text()
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))

    def _crun(self, *words: str) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*self._crun_words(), *words],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                timeout=_END_SECONDS,
            )

    def _crun_words(self) -> list[str]:
        state = str(self.paths.base / "crun")
        return [str(self.paths.crun), "--root", state, "--cgroup-manager=cgroupfs"]


def change_mode(path: Path, mode: int) -> None:
    """Change the mode of a file of the agent. Raises OSError for a link, which could lead to a file of root."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def open_marker(path: Path) -> IO[bytes]:
    """Create a pipe that anyone can write to and only its owner can read. Reading does not block."""
    os.mkfifo(path)
    path.chmod(0o622)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)


def is_marked(marker: IO[bytes]) -> bool:
    """Return whether anything was written to a pipe of :func:`open_marker`."""
    return bool(marker.read(1))
