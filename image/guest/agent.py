"""Drops all privileges for good, then imports and starts the agent."""

import ctypes
import os
import pwd
import sys

# prctl(2).
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38


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


drop_privileges("agent")
sys.path.insert(0, "/usr/lib/cloister")

from agent_runtime.__main__ import main  # noqa: E402 - the agent's code never runs with privileges

main()
