"""The markers of all tests, and how hypothesis searches in them."""

import pytest
from hypothesis import settings

# A loaded machine is slow, not wrong; and the same commit fails or passes for everybody.
settings.register_profile("cloister", deadline=None, derandomize=True)
settings.load_profile("cloister")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "vm: boots a virtual machine (only in tests/e2e)")
