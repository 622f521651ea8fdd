"""The markers of all tests, how hypothesis searches in them, what they inherit of the shell, and which locks hold."""

import os
import signal

import pytest
from hypothesis import settings

from image.inputs.lockfile import RELOCKED

# A loaded machine is slow, not wrong; and the same commit fails or passes for everybody.
settings.register_profile("cloister", deadline=None, derandomize=True)
settings.load_profile("cloister")

# What `make setup` wrote when a locked package was gone, for those who call pytest themselves, too.
os.environ.setdefault("CLOISTER_LOCKS", str(RELOCKED))


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in its background with SIGINT ignored, and so would be everything that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "vm: boots a virtual machine (only in tests/e2e)")
