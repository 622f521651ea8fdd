"""The markers of all tests, how hypothesis searches in them, what they inherit of the shell, which locks hold, and how
the tests are distributed to processes.
"""

import os
import signal

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from image.inputs.lockfile import RELOCKED

MACHINES = "tests/e2e/"

# A loaded machine is slow, not wrong; and the same commit fails or passes for everybody.
settings.register_profile("cloister", deadline=None, derandomize=True)
settings.load_profile("cloister")

# What `make setup` wrote when a locked package was gone, for those who call pytest themselves, too.
os.environ.setdefault("CLOISTER_LOCKS", str(RELOCKED))


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in its background with SIGINT ignored, and so would be everything that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "vm: boots a virtual machine (only in tests/e2e)")
    config.addinivalue_line("markers", "engine: starts the Pulumi engine (`invoke test.engine`)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests come first: with several processes (`pytest -n 2`), the short ones fill the gaps at the end."""
    items.sort(key=_order)


def _order(item: pytest.Item) -> int:
    if item.nodeid.startswith(MACHINES):
        return 0
    return 1 if item.get_closest_marker("engine") else 2


class FileScheduling(LoadScopeScheduling):
    """With several processes, all tests of a file run in one of them, in their order. Files do not depend on each
    other, except in tests/e2e, which is one unit: its machines boot once.
    """

    def _split_scope(self, nodeid: str) -> str:
        return MACHINES if nodeid.startswith(MACHINES) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileScheduling:
    config.option.loadscopereorder = False
    return FileScheduling(config, log)
