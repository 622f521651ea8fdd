"""One run in its sandbox: mounts, crun, the limits, and what is left afterwards.

Runs as root in the runner. Standard library only. What the algorithm has written is hostile: its results are walked
through descriptors that never follow a link, after its last process has ended.
"""

import contextlib
import ctypes
import json
import os
import shutil
import stat
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from agent_runtime.runner import oci_config
from agent_runtime.runner.oci_config import Places
from agent_runtime.runner.protocol import Job, Outcome

_MAX_FILES = 4096
_MAX_DEPTH = 32
_PIPE = 64 * 1024
_ID = "algorithm"
_BLOWS = 0.1
"""Seconds between attempts to kill a run."""

# mount(2) and umount2(2)
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 2, 4, 8, 4096
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8


@dataclass(frozen=True)
class Folders:
    """Where the runner works. ``base`` is its own, ``store`` holds what the agent received."""

    base: Path = Path("/run/cloister/run")
    store: Path = Path("/run/cloister/assets")
    cgroups: Path = Path("/sys/fs/cgroup")
    crun: Path = Path("/usr/bin/crun")

    @property
    def results(self) -> Path:
        """The algorithm's results, readable by the agent after the run."""
        return self.base / "results"

    @property
    def output(self) -> Path:
        """What the algorithm printed, as far as the manifest lets it be kept."""
        return self.base / "output"


@dataclass
class Container:
    """Runs one job with ``run``; ``stop`` may be called from another thread; ``clean`` undoes everything."""

    folders: Folders
    _stopped: threading.Event = field(default_factory=threading.Event)
    _timed_out: threading.Event = field(default_factory=threading.Event)
    _due: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _mounted: list[Path] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    def run(self, job: Job) -> Outcome:
        """Carry out ``job`` to its end. Raises OSError when the sandbox cannot be built."""
        places = self._prepare(job)
        bundle = self.folders.base / "oci"
        (bundle / "config.json").write_text(json.dumps(oci_config.config(job, places)))
        before = self._oom_kills()
        with open_marker(self.folders.base / "launched") as marker:
            status = self._run_crun(job, bundle)
            outcome = self._outcome(job, status, self._oom_kills() > before, launched=is_marked(marker))
        return self._hand_over(job) if outcome is Outcome.OK else outcome

    def stop(self) -> None:
        """End the run, whatever it is doing."""
        self._stopped.set()
        self._due.set()

    def clean(self) -> None:
        """Kill what is left, unmount, and forget the run's files."""
        self._kill()
        self._crun("delete", "--force", _ID)
        for place in reversed(self._mounted[:]):
            with contextlib.suppress(OSError):
                _unmount(place)
                self._mounted.remove(place)
        # What is still mounted is another file system and would be emptied: then better leave the folder.
        if not self._mounted:
            shutil.rmtree(self.folders.base, ignore_errors=True)

    def _prepare(self, job: Job) -> Places:
        base, store = self.folders.base, self.folders.store
        base.mkdir(mode=0o711)
        for name in ("oci", "oci/rootfs", "crun", "results", "packed", "upper", "datasets"):
            (base / name).mkdir(mode=0o711)
        # What the algorithm sees it may list, too.
        for name in ("work", "work/datasets", "work/results"):
            (base / name).mkdir(mode=0o755)
        (base / "work" / job.algorithm).touch()
        for name in ("algorithm", "bundle.tar"):
            (base / name).touch()
        self._bind(Path("/"), base / "oci/rootfs")
        self._bind(store / "algorithm", base / "algorithm")
        if job.wheels:
            self._bind(store / "bundle", base / "bundle.tar")
        if job.packed:
            self._bind(store / "packed", base / "packed")
        for entry in (store / "datasets").iterdir():
            # As on a real disk, the algorithm's user owns its input; the copy-on-write layer keeps what it changes.
            os.chown(entry, oci_config.OUTSIDE_UID, oci_config.OUTSIDE_UID, follow_symlinks=False)
        self._overlay(job)
        size = job.results + oci_config.RESULT_SLACK
        self._tmpfs(base / "results", size, oci_config.RESULT_INODES, MS_NOEXEC)
        os.chown(base / "results", oci_config.OUTSIDE_UID, oci_config.OUTSIDE_UID)
        return Places(
            rootfs=base / "oci/rootfs",
            work=base / "work",
            datasets=base / "datasets",
            results=base / "results",
            algorithm=base / "algorithm",
            bundle=base / "bundle.tar",
            packed=base / "packed",
            launched=base / "launched",
        )

    def _overlay(self, job: Job) -> None:
        """``datasets``: the uploaded files underneath, a bounded tmpfs for what the algorithm writes beside them."""
        base, store = self.folders.base, self.folders.store
        self._tmpfs(base / "upper", job.memory + oci_config.unpacked_size(job), oci_config.UPPER_INODES, 0)
        for name in ("data", "work"):
            (base / "upper" / name).mkdir(mode=0o755)
        # Owned before it is mounted: the root of the overlay takes over the upper folder's owner.
        os.chown(base / "upper/data", oci_config.OUTSIDE_UID, oci_config.OUTSIDE_UID)
        layers = f"lowerdir={store / 'datasets'},upperdir={base / 'upper/data'},workdir={base / 'upper/work'}"
        _mount("overlay", base / "datasets", "overlay", MS_NOSUID | MS_NODEV, f"{layers},redirect_dir=on")
        self._mounted.append(base / "datasets")

    def _bind(self, source: Path, target: Path) -> None:
        _mount(str(source), target, "", MS_BIND, "")
        self._mounted.append(target)

    def _tmpfs(self, target: Path, size: int, inodes: int, flags: int) -> None:
        _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV | flags, f"size={size},nr_inodes={inodes},mode=0755")
        self._mounted.append(target)

    def _run_crun(self, job: Job, bundle: Path) -> int:
        """Exit status of the sandbox; its output goes to the bounded file."""
        words = [*self._crun_words(), "run", "--bundle", str(bundle), _ID]
        if self._stopped.is_set():
            return -1
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={}
        ) as process:
            self._process = process
            guard = threading.Thread(target=self._guard, args=(job.seconds,), name="guard", daemon=True)
            guard.start()
            try:
                if process.stdout is not None:
                    keep_output(process.stdout, self.folders.output, job.output)
                status = process.wait()
            finally:
                self._over.set()
                self._due.set()
                guard.join()
        self._process = None
        # A process that the algorithm left behind would still write its results.
        self._kill()
        return status

    def _guard(self, seconds: int) -> None:
        """End the run when its time is over or :meth:`stop` says so.

        Again and again until it has ended: a first blow may fall before there is a group of processes to kill.
        """
        if not self._due.wait(seconds):
            self._timed_out.set()
        while not self._over.is_set():
            self._kill()
            self._over.wait(_BLOWS)

    def _outcome(self, job: Job, status: int, out_of_memory: bool, *, launched: bool) -> Outcome:
        if self._stopped.is_set():
            return Outcome.STOPPED
        if self._timed_out.is_set():
            return Outcome.TIME_LIMIT
        if status == 0:
            return Outcome.OK
        if out_of_memory:
            return Outcome.MEMORY_LIMIT
        if not launched:
            return Outcome.LAUNCH
        room = os.statvfs(self.folders.results)
        return Outcome.RESULT_LIMIT if not room.f_bavail or not room.f_favail else Outcome.EXIT_STATUS

    def _hand_over(self, job: Job) -> Outcome:
        try:
            total, files = open_to_reader(self.folders.results)
        except NotPlain:
            return Outcome.RESULT_INVALID
        if not files:
            return Outcome.NO_RESULT
        return Outcome.RESULT_LIMIT if total > job.results else Outcome.OK

    def _kill(self) -> None:
        group = self.folders.cgroups / oci_config.PARENT_CGROUP
        for path in (group / "cgroup.kill", *group.glob("*/cgroup.kill")):
            with contextlib.suppress(OSError):
                path.write_text("1")
        process = self._process
        if process is not None and (self._stopped.is_set() or self._timed_out.is_set()):
            process.kill()

    def _oom_kills(self) -> int:
        """How often the kernel killed below our group. The run's own group is gone when it has ended."""
        text = (self.folders.cgroups / oci_config.PARENT_CGROUP / "memory.events").read_text()
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
        state = str(self.folders.base / "crun")
        return [str(self.folders.crun), "--root", state, "--cgroup-manager=cgroupfs"]


class NotPlain(Exception):
    """The results hold something that is neither file nor folder, or too much of them."""


def open_marker(path: Path) -> IO[bytes]:
    """A new pipe at ``path`` that others may write to and only its owner reads; this end never waits."""
    os.mkfifo(path)
    path.chmod(0o622)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)


def is_marked(marker: IO[bytes]) -> bool:
    """Whether anything was written to a pipe of :func:`open_marker`."""
    return bool(marker.read(1))


def keep_output(source: IO[bytes], path: Path, limit: int) -> None:
    """Read ``source`` to its end into the new file ``path``; of what is over ``limit`` one byte is kept as its mark."""
    left = limit + 1
    with path.open("xb", buffering=0) as out:
        path.chmod(0o444)
        while data := os.read(source.fileno(), _PIPE):
            out.write(data[:left])
            left -= min(left, len(data))


def open_to_reader(folder: Path) -> tuple[int, int]:
    """Make a tree of results readable to everyone; bytes and files in it.

    Raises NotPlain for anything but files and folders, and for too many or too deep ones. No link is followed: every
    step goes through the descriptor of the folder that it stands in.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(top, 0o755)
        return _open_folder(top, _MAX_DEPTH, 0)
    finally:
        os.close(top)


def _open_folder(descriptor: int, depth: int, count: int) -> tuple[int, int]:
    if depth == 0:
        raise NotPlain
    total, files = 0, 0
    for name in os.listdir(descriptor):
        if count + files > _MAX_FILES:
            raise NotPlain
        # A handle that neither reads nor writes: the mode that the algorithm gave may allow neither.
        entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        try:
            found = os.fstat(entry)
            if stat.S_ISDIR(found.st_mode):
                _change_mode(entry, 0o755)
                inner, more = _open_inner(entry, depth - 1, count + files)
                total, files = total + inner, files + more
            elif stat.S_ISREG(found.st_mode):
                _change_mode(entry, 0o444)
                total, files = total + found.st_size, files + 1
            else:
                raise NotPlain
        finally:
            os.close(entry)
    return total, files


def _open_inner(handle: int, depth: int, count: int) -> tuple[int, int]:
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    try:
        return _open_folder(folder, depth, count)
    finally:
        os.close(folder)


def _change_mode(handle: int, mode: int) -> None:
    # fchmod(2) refuses such a handle; this link leads to what it holds, whatever bears the name by now.
    os.chmod(f"/proc/self/fd/{handle}", mode)


def _mount(source: str, target: Path, kind: str, flags: int, data: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [word.encode() for word in (source, str(target), kind, data)]
    if libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {target.name}")


def _unmount(target: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(str(target).encode(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0:
        raise OSError(ctypes.get_errno(), f"cannot unmount {target.name}")
