"""What prisoner.py finds in a sandbox, on a machine and in a trial alike."""

import errno

EACCES, ENETUNREACH = errno.EACCES, errno.ENETUNREACH

INSIDE = {
    "user": ["1000"] * 4,
    "capabilities": ["0" * 16],
    "no_new_privileges": "1",
    "seccomp": "2",
    "network": ["lo"],
    "connect": ENETUNREACH,
    "metadata": ENETUNREACH,
    "loopback": [0, 0],
    "own name": ["127.0.0.1", "::1"],
    "loaders": [[1, 2, 3, 4], [0, 0, 0, 0]],
    "processes": ["1"],
    "devices": ["full", "null", "random", "tty", "urandom", "zero"],
    "work": ["datasets", "results", "train.py"],
    "sys": [],
    "run": ["launched"],
    "read-only": ["/x", "/work/x", "/run/x", "/work/train.py", "/etc/passwd"],
    "system calls": ["bpf", "io_uring_setup", "keyctl", "mount", "ptrace", "unshare", "userfaultfd"],
    "sockets": ["AF_ALG", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"],
    "datasets": 0,
    "results are bounded": True,
    "results are not executable": EACCES,
    "shared memory is not executable": EACCES,
}
"""All findings but those that depend on the manifest: forks, memory, dataset files."""

DENIED = {
    "network": errno.ENETUNREACH,
    "metadata": errno.ENETUNREACH,
    "packets": errno.ENOSYS,
    "mount": errno.ENOSYS,
    "remount": errno.ENOSYS,
    "namespace": errno.ENOSYS,
    "chroot": errno.ENOSYS,
    "trace": errno.ENOSYS,
    "device": errno.ENOSYS,
    "become root": errno.EPERM,
    "give away": errno.EPERM,
    "write /": errno.EROFS,
    "write /etc/passwd": errno.EACCES,
    "write /work": errno.EROFS,
    "write the program": errno.EACCES,
    "write /proc": errno.EACCES,
    "read the agent's files": errno.ENOENT,
    "read outside": errno.ENOENT,
    "read the TPM": errno.ENOENT,
}
"""What escape.c finds as an algorithm of kind binary in a trial: the errors of what it tries."""

ON_MACHINE = DENIED | {"write /etc/passwd": errno.EROFS}
"""The same on a machine. Its root file system is read-only itself, which Linux says before it looks at permissions; in
a trial, only the mount is."""

AS_ROOT = DENIED | {
    "become root": 0,
    "give away": 0,
    "write /etc/passwd": errno.EROFS,
    "write the program": errno.EROFS,
}
"""The same for the root of an image, on a machine and in a trial. It has no capability, but its own files are its own,
where they can be written."""
