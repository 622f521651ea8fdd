"""Starts the runner, which is root: it runs the algorithm in a sandbox, and can power off and reboot."""

import sys

sys.path.insert(0, "/usr/lib/cloister")

from agent_runtime.runner.server import main

main()
