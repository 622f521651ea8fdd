"""Enters the namespaces of a trial and becomes the tree's Python. A program of its own, with the standard library only.

It gets its plan on standard input: a JSON object of :func:`read_message`. The rest of standard input belongs to the
program in the tree, which ends when that is closed. A failure is written as JSON to the descriptor in ``argv[1]``.

Three processes, since each can do what the next cannot: the first stays outside and writes the id maps, the second owns
the namespaces and mounts, the third is process 1 of the new process namespace. When one dies, the next is killed.
"""

import ctypes
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

# sched.h
_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
# mount(2), umount2(2), prctl(2), and the number of pivot_root in arch/x86/entry/syscalls/syscall_64.tbl
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH, _PR_SET_PDEATHSIG, _PIVOT_ROOT = 2, 1, 155

_LENGTH = 12
"""Digits of the length before a message."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_ASSETS = "run/cloister/assets"
_PROGRAM = "import sys; sys.path.insert(0, '/usr/lib/cloister'); from agent_runtime.trial.main import main; main()"
_ENVIRONMENT = {"PATH": "/usr/bin", "LANG": "C.UTF-8"}


class NotAllowed(Exception):
    """The system does not let this user make the namespaces."""


def message(value: Any) -> bytes:
    """A JSON value as :func:`read_message` reads it."""
    data = json.dumps(value).encode()
    return f"{len(data):0{_LENGTH}}".encode() + data


def read_message(descriptor: int) -> Any:
    """A JSON value from a pipe, and not a byte more."""
    return json.loads(_read(descriptor, int(_read(descriptor, _LENGTH))))


def _read(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(descriptor, size - len(data))
        if not part:
            raise EOFError("standard input was closed")
        data += part
    return data


def main() -> NoReturn:
    """Enter the namespaces, and exit as the program in the tree does."""
    report = int(sys.argv[1])
    try:
        _die_with_parent()
        status = _outside(read_message(0), report)
    except NotAllowed as error:
        _tell(report, "not-allowed", str(error))
        status = 1
    except (OSError, EOFError) as error:
        _tell(report, "not-built", str(error))
        status = 1
    os._exit(status)


def _tell(report: int, failure: str, why: str) -> None:
    os.write(report, json.dumps({"failure": failure, "why": why}).encode())


def _outside(plan: dict[str, Any], report: int) -> int:
    """Start the second process, write its id maps, and wait for it."""
    made, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(made[0])
        os.close(mapped[1])
        _second(plan, report, made[1], mapped[0])
    os.close(made[1])
    os.close(mapped[0])
    if os.read(made[0], 1) == b"1":
        found = {"wide": _write_maps(child), "group": _take_cgroup((os.getpid(), child))}
        os.write(mapped[1], json.dumps(found).encode())
    os.close(mapped[1])
    return _status(child)


def _status(child: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _write_maps(child: int) -> bool:
    """Map the caller to user 0, and as root also the ids that a machine has. Whether the latter was possible."""
    user, group = os.geteuid(), os.getegid()
    folder = Path(f"/proc/{child}")
    if user == 0:
        try:
            for name, own in (("uid_map", user), ("gid_map", group)):
                (folder / name).write_text(f"0 {own} 1\n100000 100000 65536\n")
            return True
        except OSError as error:
            if Path("/proc/self/uid_map").read_text().split()[:2] == ["0", "0"]:
                # Without further ids the algorithm would be the real root, whom no limit on processes holds.
                raise NotAllowed(f"the ids of a sandbox cannot be mapped ({error.strerror})") from error
    try:
        (folder / "setgroups").write_text("deny")
        (folder / "uid_map").write_text(f"0 {user} 1\n")
        (folder / "gid_map").write_text(f"0 {group} 1\n")
    except OSError as error:
        raise NotAllowed(f"ids cannot be mapped ({error.strerror})") from error
    return False


def _second(plan: dict[str, Any], report: int, made: int, mapped: int) -> NoReturn:
    try:
        _unshare()
        _die_with_parent()
        os.write(made, b"1")
        os.close(made)
        answer = os.read(mapped, 4096)
        if not answer:
            os._exit(1)
        found = json.loads(answer) | {"keep": plan.get("keep")}
        wide = found["wide"]
        if wide:
            os.setgroups([])
        tree = Path(plan["tree"])
        try:
            _mount_tree(tree)
        except PermissionError as error:
            # A security module may let a user make the namespaces and give no right in them.
            raise NotAllowed(str(error)) from error
        for name, source in plan["assets"].items():
            _place(source, tree / _ASSETS / name, wide)
        child = os.fork()
        if child == 0:
            _first(tree, report, found)
        os._exit(_status(child))
    except NotAllowed as error:
        _tell(report, "not-allowed", str(error))
    except Exception as error:  # noqa: BLE001 - a child of fork must not return
        _tell(report, "not-built", str(error))
    os._exit(1)


def _unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEWUSER | _NEWNS | _NEWPID | _NEWNET | _NEWIPC | _NEWUTS | _NEWCGROUP) != 0:
        raise NotAllowed(f"unshare: {os.strerror(ctypes.get_errno())}")


def _mount_tree(tree: Path) -> None:
    """Mount the tree read-only at its own path, with the few writable folders that a machine has."""
    mount("none", Path("/"), "", _REC | _PRIVATE)
    mount(str(tree), tree, "", _BIND)
    mount("tmpfs", tree / "dev", "tmpfs", _NOSUID | _NOEXEC, "size=64k,mode=0755")
    for name in _DEVICES:
        (tree / "dev" / name).touch()
        mount(f"/dev/{name}", tree / "dev" / name, "", _BIND)
    mount("tmpfs", tree / "run", "tmpfs", _NOSUID | _NODEV, "mode=0755")
    mount("tmpfs", tree / "tmp", "tmpfs", _NOSUID | _NODEV, "size=1m,mode=0755")
    mount("tmpfs", tree / "sys", "tmpfs", _NOSUID | _NODEV | _NOEXEC, "size=64k,mode=0755")
    (tree / "sys/fs/cgroup").mkdir(parents=True)
    # crun refuses to start without control groups, even if it does not use them.
    mount("cgroup", tree / "sys/fs/cgroup", "cgroup2", _NOSUID | _NODEV | _NOEXEC)
    for name in ("datasets", "packed"):
        (tree / _ASSETS / name).mkdir(parents=True)
    mount("none", tree, "", _REMOUNT | _BIND | _RDONLY | _kept(tree))


def _place(source: str, target: Path, wide: bool) -> None:
    """Put an asset where a machine's agent puts it: mounted, or copied if the algorithm could not read it there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.startswith("/proc/self/fd/") or (wide and not os.stat(source).st_mode & 0o004):
        shutil.copyfile(source, target)
        target.chmod(0o444)
    else:
        target.touch()
        mount(source, target, "", _BIND)
        # Not even a program of the tree may write to the author's files.
        mount("none", target, "", _REMOUNT | _BIND | _RDONLY | _kept(target))


def _first(tree: Path, report: int, found: dict[str, Any]) -> NoReturn:
    """Process 1: leave the caller's files behind and become the tree's Python."""
    try:
        _die_with_parent()
        # Only while the caller's /proc is visible may another one be mounted.
        mount("proc", tree / "proc", "proc", _NOSUID | _NODEV | _NOEXEC)
        os.chdir(tree)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(_PIVOT_ROOT, b".", b".") != 0 or libc.umount2(b".", _DETACH) != 0:
            raise OSError(ctypes.get_errno(), f"pivot_root: {os.strerror(ctypes.get_errno())}")
        os.chdir("/")
        os.set_inheritable(report, True)
        words = ["/usr/bin/python3", "-I", "-B", "-c", _PROGRAM, str(report), json.dumps(found)]
        os.execve(words[0], words, _ENVIRONMENT)  # noqa: S606 - the purpose of this program
    except PermissionError as error:  # in a container whose /proc is masked
        _tell(report, "not-allowed", str(error))
    except Exception as error:  # noqa: BLE001 - a child of fork must not return
        _tell(report, "not-built", str(error))
    os._exit(1)


def mount(source: str, target: Path, kind: str, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError that names the target."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [os.fsencode(word) for word in (source, target, kind, data)]
    if libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "cannot be mounted", str(target))


def _kept(place: Path) -> int:
    """The flags of a mount, which a remount by a user may not drop (mount_namespaces(7))."""
    flags = os.statvfs(place).f_flag
    pairs = ((os.ST_NOSUID, _NOSUID), (os.ST_NODEV, _NODEV), (os.ST_NOEXEC, _NOEXEC))
    pairs += ((os.ST_NOATIME, 1024), (os.ST_NODIRATIME, 2048))
    return sum(flag for found, flag in pairs if flags & found) | (1 << 21 if flags & os.ST_RELATIME else 0)


def _take_cgroup(processes: tuple[int, ...]) -> bool:
    """Make the caller's cgroup a parent of limits, if it is delegated and holds ``processes`` only. Whether it is.

    The layout is that of a machine: programs in one cgroup, the runs below another.
    """
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = Path("/sys/fs/cgroup", *(line.removeprefix("0::/") for line in lines if line.startswith("0::")))
        if sorted((own / "cgroup.procs").read_text().split()) != sorted(str(one) for one in processes):
            return False
        for name in ("init", "run"):
            (own / name).mkdir(exist_ok=True)
        for one in processes:
            (own / "init/cgroup.procs").write_text(str(one))
        for folder in (own, own / "run"):
            (folder / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    except OSError:
        return False
    return True


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
