"""Settings for all tests: markers, hypothesis, signals, locks, and the distribution to processes."""

import os
import signal
import tempfile

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from image.inputs.lockfile import RELOCKED

MACHINES = "tests/e2e/"
FAULTS = "tests/faults/"

# No deadline, since a loaded machine is slow; derandomized, so that a commit passes or fails for everyone.
settings.register_profile("cloister", deadline=None, derandomize=True)
settings.load_profile("cloister")

# The locks that `make setup` writes when a locked package is gone; also for direct calls of pytest.
os.environ.setdefault("CLOISTER_LOCKS", str(RELOCKED))


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts background jobs with SIGINT ignored; programs that a test interrupts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tests remember nothing for the user's own commands, nor for each other's processes.
    remembered = tempfile.TemporaryDirectory(prefix="cloister-state-")
    os.environ["XDG_STATE_HOME"] = remembered.name
    config.add_cleanup(remembered.cleanup)
    config.addinivalue_line("markers", "vm: boots a virtual machine (only in tests/e2e)")
    config.addinivalue_line("markers", "flavors: builds the image pytorch and a team's own (`invoke test.flavors`)")
    config.addinivalue_line("markers", "packages: uses what fewer people train with (`invoke test.packages`)")
    config.addinivalue_line("markers", "examples: runs an example to its end (`invoke test.examples`)")
    config.addinivalue_line("markers", "faults: one of the many faults (`invoke test.faults`)")
    config.addinivalue_line("markers", "sandbox: abuses a booted machine (`invoke test.sandbox`)")
    config.addinivalue_line("markers", "pages: types what pages say, the rarer ones (`invoke test.pages`)")
    config.addinivalue_line("markers", "kinds: runs each kind of algorithm on a machine (`invoke test.kinds`)")
    config.addinivalue_line("markers", "load: keeps a whole agent busy (`invoke test.load`)")
    config.addinivalue_line("markers", "scratch: changes a machine's disk and dumps its memory (`invoke test.scratch`)")
    config.addinivalue_line("markers", "hostile: boots a machine from a changed disk or host (`invoke test.hostile`)")
    config.addinivalue_line("markers", "browser: looks at a page in one more size or colour (`invoke test.browser`)")
    config.addinivalue_line("markers", "pulumi: fetches npm packages or builds generators (`invoke test.pulumi`)")
    config.addinivalue_line("markers", "rebuild: rebuilds the image without a network (`invoke test.rebuild`)")
    config.addinivalue_line("markers", "interop: other people's tools read what we write (`invoke test.interop`)")
    config.addinivalue_line("markers", "rare: what few do, or the other cloud (`invoke test.engine`, `test.machines`)")
    config.addinivalue_line("markers", "engine: starts the Pulumi engine (`invoke test.engine`)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the long tests first: with several processes (`pytest -n 2`), the short ones fill the gaps at the end."""
    items.sort(key=_order)


def _order(item: pytest.Item) -> int:
    if item.nodeid.startswith(MACHINES):
        return 0
    return 1 if item.get_closest_marker("engine") else 2


class FileScheduling(LoadScopeScheduling):
    """Runs all tests of a file in one process, in order. Files are independent, except those of tests/e2e, which form
    one unit: its machines boot once. Each seed of tests/faults is a unit.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(FAULTS):
            return nodeid
        return MACHINES if nodeid.startswith(MACHINES) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileScheduling:
    config.option.loadscopereorder = False
    return FileScheduling(config, log)
