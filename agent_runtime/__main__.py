"""The agent's process in the guest. When it ends, the machine powers off and the agent's keys are gone."""

import os
import resource
import signal
import sys
from typing import NoReturn

# gRPC reads this when it is imported. It must not log to the console.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from agent_runtime.boot import start
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
    try:
        agent = start(config, detect_machine(config, open_device()), clock=clock)
    except (CloisterError, OSError) as error:
        message = error.message if isinstance(error, CloisterError) else f"The agent cannot start: {error.strerror}."
        report_progress(config.boot_progress, "failed", message)
        sys.exit(1)
    signal.signal(signal.SIGTERM, lambda number, frame: agent.end())
    report_progress(config.boot_progress, "ready", f"{clock.uptime():.2f}")
    agent.wait()
    agent.stop(_GRACE_SECONDS)
    sys.exit(0)


if __name__ == "__main__":
    main()
