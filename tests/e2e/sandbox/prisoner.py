"""An algorithm that tries to leave its sandbox, and prints its findings as one line of JSON."""

import ctypes
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import socket
import subprocess
from multiprocessing import shared_memory

# arch/x86/entry/syscalls/syscall_64.tbl
CALLS = {
    "ptrace": 101,
    "mount": 165,
    "keyctl": 250,
    "unshare": 272,
    "bpf": 321,
    "userfaultfd": 323,
    "io_uring_setup": 425,
}
FAMILIES = {"AF_NETLINK": 16, "AF_PACKET": 17, "AF_ALG": 38, "AF_VSOCK": 40}
DOORS = ["/x", "/work/x", "/run/x", "/work/train.py", "/etc/passwd"]
ENOSYS = 38


def number(act):
    """0 when ``act`` succeeds, else its errno."""
    try:
        act()
    except OSError as error:
        return error.errno
    return 0


def refused(call):
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(call, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() == ENOSYS


def write(path, size=1):
    with open(path, "ab") as file:
        for _ in range(size):
            file.write(bytes(1 << 16))


def forks():
    children = []
    try:
        while len(children) < 1000:
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    except OSError:
        pass
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return len(children)


def execute(path):
    shutil.copyfile("/usr/bin/busybox", path)
    os.chmod(path, 0o755)
    subprocess.run([path, "true"], check=True)


def talk_to_itself(family, address):
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        socket.create_connection(listener.getsockname()[:2], timeout=5).close()


def load(name, todo, done):
    """A worker of a loader: fills its part of the shared memory, as often as it is asked."""
    block = shared_memory.SharedMemory(name=name)
    while (part := todo.get()) is not None:
        for start in range(part * 25 << 20, (part + 1) * 25 << 20, 1 << 20):
            block.buf[start : start + (1 << 20)] = bytes([part + 1]) * (1 << 20)
        done.put(part)
    block.close()


def loaders():
    """What a loader of data does: four forked workers, queues, and 100 MiB of shared memory."""
    fork = multiprocessing.get_context("fork")
    block = shared_memory.SharedMemory(create=True, size=100 << 20)
    todo, done = fork.Queue(), fork.Queue()
    workers = [fork.Process(target=load, args=(block.name, todo, done)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for part in (*range(4), *[None] * 4):
        todo.put(part)
    parts = sorted(done.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    first = [block.buf[part * 25 << 20] for part in parts]
    block.close()
    block.unlink()
    return [first, [worker.exitcode for worker in workers]]


def bounds(path):
    found = os.statvfs(path)
    return [found.f_blocks * found.f_frsize, found.f_files]


def rename_dataset():
    write("datasets/h1.csv")
    os.rename("datasets/h1.csv", "datasets/mine.csv")


status = dict(line.split(":\t") for line in pathlib.Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
found = {
    "user": status["Uid"].split(),
    "capabilities": sorted({status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}),
    "no_new_privileges": status["NoNewPrivs"],
    "seccomp": status["Seccomp"],
    "network": [line.split(":")[0].strip() for line in pathlib.Path("/proc/net/dev").read_text().splitlines()[2:]],
    "connect": number(lambda: socket.create_connection(("10.0.2.2", 80), timeout=5)),
    "metadata": number(lambda: socket.create_connection(("169.254.169.254", 80), timeout=5)),
    "processes": [name for name in os.listdir("/proc") if name.isdigit()],
    "devices": sorted(
        path.name for path in pathlib.Path("/dev").iterdir() if path.is_char_device() and not path.is_symlink()
    ),
    "work": sorted(os.listdir(".")),
    "sys": os.listdir("/sys"),
    "run": os.listdir("/run"),
    "loopback": [
        number(lambda: talk_to_itself(socket.AF_INET, "127.0.0.1")),
        number(lambda: talk_to_itself(socket.AF_INET6, "::1")),
    ],
    "own name": [
        socket.getaddrinfo(socket.gethostname(), 1, family, socket.SOCK_STREAM)[0][4][0]
        for family in (socket.AF_INET, socket.AF_INET6)
    ],
    "loaders": loaders(),
    "memory": {path: bounds(path) for path in ("/tmp", "/dev/shm")},
    "dataset files": sorted(os.listdir("datasets")),
    "read-only": [path for path in DOORS if number(lambda path=path: write(path))],
    "system calls": sorted(name for name, call in CALLS.items() if refused(call)),
    "sockets": sorted(
        name for name, family in FAMILIES.items() if number(lambda family=family: socket.socket(family, 3))
    ),
    "datasets": number(rename_dataset),
    "results are bounded": number(lambda: write("results/large", 2000)) != 0,
    "results are not executable": number(lambda: execute("results/large")),
    "shared memory is not executable": number(lambda: execute("/dev/shm/large")),
    "forks": forks(),
}
os.unlink("results/large")
pathlib.Path("results/model 2026-01-02 10:30:00 [\u00fc].json").write_text("{}")
print(json.dumps(found))
