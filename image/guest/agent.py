"""Drops all privileges for good, imports the agent, waits until the machine is set up, and starts the agent."""

import ctypes
import gc
import os
import pwd
import sys
import types
from collections.abc import Callable
from typing import NoReturn

# prctl(2).
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38

HARDENED = 3
"""The descriptor of the pipe from init. Not standard input: a shell takes that away from what it starts beside it."""


def drop_privileges(name: str) -> None:
    """Become the user ``name``, with no capability in any set and no way to gain one."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last = int(file.read())
    for capability in range(last + 1):
        if prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"capability {capability} cannot be dropped")
    user = pwd.getpwnam(name)
    os.setgroups([user.pw_gid])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    # Leaving user 0 empties the permitted, effective and ambient sets (capabilities(7)).
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs cannot be set")


def imported() -> Callable[[], NoReturn]:
    """The agent's main function.

    gRPC imports its interface for asyncio, and with it asyncio and ssl: a tenth of all that would be imported, and the
    agent uses nothing of it. Empty modules stand for them meanwhile.
    """
    unused = ("asyncio", "grpc.aio")
    for name in unused:
        sys.modules[name] = types.ModuleType(name)
    # What is imported stays: searching it for garbage takes time now and later.
    gc.disable()
    from agent_runtime.__main__ import main

    gc.freeze()
    gc.enable()
    for name in unused:
        del sys.modules[name]
    return main


def wait_until_hardened() -> None:
    """Wait for the line that init (image/guest/rc) writes to the pipe when the machine is set up."""
    if not os.read(HARDENED, 1):
        sys.exit(1)
    os.close(HARDENED)


if __name__ == "__main__":
    # The agent's code never runs with privileges.
    drop_privileges("agent")
    sys.path.insert(0, "/usr/lib/cloister")
    start = imported()
    wait_until_hardened()
    start()
