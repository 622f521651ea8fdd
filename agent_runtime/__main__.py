"""The agent's process in the guest. When it ends, the machine powers off and the agent's keys are gone."""

import os
import resource
import signal
import sys
import threading
from typing import NoReturn

# gRPC reads this when it is imported. It must not log to the console.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from agent_runtime.boot import Agent, start
from agent_runtime.clock import Clock
from agent_runtime.config import Config
from agent_runtime.platform.boot_progress import report_progress
from agent_runtime.platform.detect import detect_machine
from agent_runtime.platform.tpm import open_device
from cloister.errors import CloisterError

_GRACE_SECONDS = 5.0
"""Time for calls that are in progress when the agent is told to end (SIGTERM)."""


def main() -> NoReturn:
    """Start the agent and serve until it ends."""
    config, clock = Config(), Clock()
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    os.umask(0o022)
    # Before any thread is started: then only the one that waits for the signal gets it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        agent = start(config, detect_machine(config, open_device()), clock=clock)
    except (CloisterError, OSError) as error:
        message = error.message if isinstance(error, CloisterError) else f"The agent cannot start: {error.strerror}."
        report_progress(config.boot_progress, "failed", message)
        sys.exit(1)
    threading.Thread(target=end_when_told, args=(agent,), name="signal", daemon=True).start()
    report_progress(config.boot_progress, "ready", f"{clock.uptime():.2f}")
    agent.wait()
    agent.stop(_GRACE_SECONDS)
    sys.exit(0)


def end_when_told(agent: Agent) -> None:
    """Let the agent end at SIGTERM. A handler could come while the lock that it needs is held."""
    signal.sigwait({signal.SIGTERM})
    agent.end()


if __name__ == "__main__":
    main()
