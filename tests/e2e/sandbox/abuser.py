"""An algorithm that abuses its machine in every way of docs/sandbox.md, and prints each outcome at once.

A line is a JSON list: the abuse, its outcome, and how many seconds it took. An outcome is "allowed", the name of an
errno, or a sentence. What would end the run is tried by trials of their own.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import pathlib
import resource
import signal
import socket
import stat
import subprocess
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)

# arch/x86/entry/syscalls/syscall_64.tbl
MOUNT = {"mount": 165, "umount2": 166, "pivot_root": 155, "fsopen": 430, "open_tree": 428, "move_mount": 429}
NAMESPACES = {"unshare": 272, "setns": 308, "clone3": 435}
KEYRING = {"add_key": 248, "request_key": 249, "keyctl": 250}
TRACING = {"ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "process_madvise": 440, "kcmp": 312}
HANDLES = {"open_by_handle_at": 304, "name_to_handle_at": 303, "pidfd_getfd": 438, "fanotify_init": 300}
MODULES = {"init_module": 175, "finit_module": 313, "delete_module": 176}
KERNEL = {"kexec_load": 246, "kexec_file_load": 320, "reboot": 169, "swapon": 167, "syslog": 103, "acct": 163}
PORTS = {"iopl": 172, "ioperm": 173, "modify_ldt": 154}
CLOCKS = {"settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305}
INTERFACES = {"io_uring_setup": 425, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "quotactl": 179}


def abuse(name):
    """Try the function and print its outcome under this name, a row of docs/sandbox.md."""

    def decorate(function):
        began = time.monotonic()
        try:
            outcome = function() or "allowed"
        except OSError as error:
            outcome = errno.errorcode.get(error.errno, str(error))
        except ValueError:
            outcome = "refused"  # resource.setrlimit has no errno
        print(json.dumps([name, outcome, round(time.monotonic() - began, 2)]), flush=True)
        return function

    return decorate


def check(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "")


def call(number, *arguments):
    check(LIBC.syscall(number, *[ctypes.c_long(one) for one in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]))


def all_of(numbers):
    """The one outcome that all system calls have, else each with its own."""
    found = {name: one(lambda number=number: call(number)) for name, number in numbers.items()}
    return found.popitem()[1] if len(set(found.values())) == 1 else str(found)


def one(function):
    try:
        return function() or "allowed"
    except OSError as error:
        return errno.errorcode[error.errno]


def each(paths, function):
    found = {path: one(lambda path=path: function(path)) for path in paths}
    return found.popitem()[1] if len(set(found.values())) == 1 else str(found)


def refused(paths, function):
    """ "refused" if the function fails for all paths: with which errno depends on the file system and the user."""
    found = [path for path in paths if one(lambda path=path: function(path)) == "allowed"]
    return "refused" if not found else f"allowed: {found}"


def open_to_write(path):
    os.close(os.open(path, os.O_WRONLY))


def write(path, data=b"0"):
    with open(path, "wb", buffering=0) as file:
        file.write(data)


def opened(path):
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def in_child(function):
    """The outcome of the function in a child, which may die of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            os.write(writing, one(function).encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 4096).decode()
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return said or f"killed by signal {os.WTERMSIG(status)}"


# ---- network


@abuse("connect to an address of the Internet")
def _():
    with socket.socket() as made:
        made.settimeout(5)
        made.connect(("203.0.113.1", 443))


@abuse("ask the cloud's metadata service")
def _():
    with socket.socket() as made:
        made.settimeout(5)
        made.connect(("169.254.169.254", 80))


@abuse("send a packet to the network's broadcast address")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        made.sendto(b"x", ("255.255.255.255", 67))


@abuse("open a raw socket")
def _():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()


@abuse("open a socket of each of 46 families: those that are allowed")
def _():
    allowed = []
    for family in range(46):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM):
            allowed.append(family)
    return ", ".join(socket.AddressFamily(family).name for family in allowed)


@abuse("give the loopback interface an address (SIOCSIFADDR)")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        request = b"lo".ljust(16, b"\0") + bytes([2, 0, 0, 0, 10, 0, 2, 15]).ljust(24, b"\0")
        fcntl.ioctl(made, 0x8916, request)


@abuse("connect to the runner's socket")
def _():
    with socket.socket(socket.AF_UNIX) as made:
        made.connect("/run/cloister/runner.sock")


@abuse("connect to abstract UNIX sockets: those that exist")
def _():
    names = pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]
    return f"{len(names)} exist"


# ---- other processes


@abuse("see other processes in /proc")
def _():
    seen = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    return "none exist" if seen == [os.getpid()] else str(seen)


@abuse("send signals to all process ids up to 4,194,304 (samples)")
def _():
    others = [*range(2, 3000), *range(3000, 4_194_304, 65_521)]
    reached = [pid for pid in others if one(lambda pid=pid: os.kill(pid, 0)) != "ESRCH"]
    return "none exist" if not reached else str(reached[:5])


@abuse("kill the supervisor: the parent, or process 1 from a child")
def _():
    def kill_first():
        os.kill(1, signal.SIGKILL)
        os.kill(1, signal.SIGSTOP)

    return f"parent {os.getppid()}; {in_child(kill_first)}, without effect"


@abuse("open a handle of another process (pidfd_open)")
def _():
    os.pidfd_open(2)


@abuse("trace or read memory of processes: ptrace, process_vm_readv, kcmp and two more")
def _():
    return all_of(TRACING)


@abuse("open files by handle, or those of another process: 4 system calls")
def _():
    return all_of(HANDLES)


# ---- the machine


@abuse("open the TPM: /dev/tpm0, /dev/tpmrm0")
def _():
    return each(["/dev/tpm0", "/dev/tpmrm0"], opened)


@abuse("open hardware reports: configfs-tsm, /dev/sev-guest, /dev/tdx_guest")
def _():
    return each(["/sys/kernel/config/tsm/report", "/dev/sev-guest", "/dev/tdx_guest"], opened)


@abuse("open the agent's folder and the assets in it")
def _():
    return each(["/run/cloister", "/run/cloister/assets", "/run/cloister/boot-configuration"], opened)


@abuse("open memory, disks and ports in /dev: mem, kmsg, dm-0, vda, vport1p1, fuse, loop0")
def _():
    return each([f"/dev/{name}" for name in ("mem", "kmsg", "dm-0", "vda", "vport1p1", "fuse", "loop0")], opened)


@abuse("read the kernel's memory and addresses: /proc/kcore, /proc/kallsyms")
def _():
    def read(path):
        if not pathlib.Path(path).read_bytes():
            raise OSError(errno.ENODATA, path)

    return refused(["/proc/kcore", "/proc/kallsyms"], read)


@abuse("find its control group and raise its limits")
def _():
    return each(["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/cgroup.procs"], write)


@abuse("find devices in /sys")
def _():
    return "empty" if os.listdir("/sys") == [] else str(os.listdir("/sys"))


# ---- mounts, namespaces, roots


@abuse("mount and unmount: 6 system calls")
def _():
    return all_of(MOUNT)


@abuse("make or enter namespaces: unshare, setns, clone3")
def _():
    return all_of(NAMESPACES)


@abuse("make a user namespace with clone")
def _():
    call(56, 0x10000000 | signal.SIGCHLD)


@abuse("change the root directory (chroot)")
def _():
    os.chroot("/tmp")


@abuse("write to the image, the launcher, the interpreter and itself")
def _():
    paths = ["/etc/passwd", "/usr/lib/cloister/agent_runtime/runner/launch.py", "/usr/bin/python3", __file__]
    return refused(paths, open_to_write)


@abuse("overwrite the running program through /proc/self/exe")
def _():
    return refused(["/proc/self/exe"], open_to_write)


# ---- kernel interfaces


@abuse("use keyrings: add_key, request_key, keyctl")
def _():
    return all_of(KEYRING)


@abuse("use io_uring, bpf, perf_event_open, userfaultfd, quotactl")
def _():
    return all_of(INTERFACES)


@abuse("load or unload kernel modules: 3 system calls")
def _():
    return all_of(MODULES)


@abuse("reboot, kexec, swap, kernel log, accounting: 6 system calls")
def _():
    return all_of(KERNEL)


@abuse("reach the processor's ports and tables: iopl, ioperm, modify_ldt")
def _():
    return all_of(PORTS)


@abuse("set or bend the clock: 4 system calls")
def _():
    return all_of(CLOCKS)


@abuse("turn off address randomisation (personality)")
def _():
    call(135, 0x0040000)


@abuse("call the kernel as a 32-bit program (int 0x80)")
def _():
    def run():
        code = bytes.fromhex("b814000000cd80c3")  # mov eax, 20; int 0x80; ret
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        found = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        if found < 0:
            raise OSError(-found, "")
        return "allowed"

    found = in_child(run)
    return "killed" if found.startswith("killed") else found


@abuse("write kernel settings: core_pattern, modprobe, hostname, sysrq-trigger")
def _():
    names = ("sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/kernel/hostname", "sysrq-trigger")
    return refused([f"/proc/{name}" for name in names], open_to_write)


@abuse("write /sys/kernel/uevent_helper")
def _():
    write("/sys/kernel/uevent_helper")


# ---- privileges


@abuse("become user 0, or any other")
def _():
    return each([0, 1, 900, 65535], os.setuid)


@abuse("take groups (setgroups)")
def _():
    os.setgroups([0])


@abuse("take capabilities (capset, ambient)")
def _():
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    everything = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    found = {one(lambda: check(LIBC.capset(header, everything))), one(lambda: check(LIBC.prctl(47, 2, 21, 0, 0)))}
    return " ".join(found)


@abuse("find programs with set-user-ID or capabilities in the image")
def _():
    found = []
    for place, _, files in os.walk("/usr"):
        for name in files:
            mode = os.lstat(os.path.join(place, name)).st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                found.append(os.path.join(place, name))
    return "none exist" if not found else str(found)


@abuse("make a program with set-user-ID and run it")
def _():
    path = "/tmp/busybox"
    pathlib.Path(path).write_bytes(pathlib.Path("/usr/bin/busybox").read_bytes())
    os.chmod(path, 0o6755)
    said = subprocess.run([path, "id", "-u"], capture_output=True, check=True, text=True).stdout.strip()
    os.unlink(path)
    return f"runs as user {said}"


@abuse("allow privileges again (PR_SET_NO_NEW_PRIVS)")
def _():
    check(LIBC.prctl(38, 0, 0, 0, 0))


@abuse("leave a core dump (PR_SET_DUMPABLE, RLIMIT_CORE)")
def _():
    check(LIBC.prctl(4, 1, 0, 0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


@abuse("raise resource limits")
def _():
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))


@abuse("escape the memory killer (oom_score_adj)")
def _():
    write("/proc/self/oom_score_adj", b"-1000")


@abuse("take all of the processor: nice -20, real-time scheduling")
def _():
    return each([-20], os.nice) + " " + one(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99)))


@abuse("make device nodes and pipes (mknod)")
def _():
    modes = (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO)
    return each(modes, lambda mode: os.mknod("/tmp/node", mode | 0o666, os.makedev(1, 1)))


# ---- bombs that the run survives


@abuse("fork bomb")
def _():
    children = []
    while True:
        try:
            child = os.fork()
        except OSError as error:
            found = error
            break
        if child == 0:
            signal.pause()
        children.append(child)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return f"{errno.errorcode[found.errno]} at the limit" if 8 < len(children) < 300 else str(len(children))


@abuse("thread bomb")
def _():
    go, made = threading.Event(), 0
    try:
        while made < 1000:
            threading.Thread(target=go.wait, daemon=True).start()
            made += 1
    except RuntimeError:
        return "stops at the limit"
    finally:
        go.set()


@abuse("disk bomb in results/")
def _():
    try:
        with open("results/large", "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
    finally:
        os.unlink("results/large")


@abuse("inode bomb in results/")
def _():
    made = 0
    os.mkdir("results/many")
    try:
        while True:
            os.close(os.open(f"results/many/{made}", os.O_CREAT))
            made += 1
    finally:
        subprocess.run(["rm", "-r", "results/many"], check=True)


@abuse("file of 1 EiB without contents, in /tmp")
def _():
    with open("/tmp/sparse", "wb") as file:
        file.truncate(1 << 60)
    size, used = os.stat("/tmp/sparse").st_size, os.stat("/tmp/sparse").st_blocks
    os.unlink("/tmp/sparse")
    return f"allowed, uses {used} blocks of {size >> 60} EiB"


@abuse("lock memory beyond its limit")
def _():
    memory = mmap.mmap(-1, 64 << 20)
    check(LIBC.mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory))), 64 << 20))


@abuse("pipe of 1 GiB")
def _():
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(writing, 1031, 1 << 30)
    finally:
        os.close(reading)
        os.close(writing)


@abuse("descriptor bomb")
def _():
    kept = []
    try:
        while True:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for descriptor in kept:
            os.close(descriptor)


@abuse("hard link to a file of another file system")
def _():
    os.link("/etc/passwd", "results/passwd")


@abuse("take back the byte that says that it was started (/run/launched)")
def _():
    with open("/run/launched", "rb") as file:
        file.read(1)


# ---- what it is given


@abuse("find secrets in the environment, the arguments and open files")
def _():
    known = {"HOME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LC_CTYPE"}
    open_files = {os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if int(name) < 3}
    kinds = {path.partition(":")[0] for path in open_files}
    return "none exist" if set(os.environ) <= known and kinds <= {"/dev/null", "pipe"} else str((os.environ, kinds))


@abuse("change the bytes that other parties' datasets had")
def _():
    path = min(pathlib.Path("datasets").iterdir())
    before = path.read_bytes()
    path.write_bytes(b"changed")
    path.write_bytes(before)
    return "only in the run's own layer"


pathlib.Path("results/model.json").write_text("{}")
os.write(1, b"flood\n" * 100_000)
