"""What the tests of the verbs share: the command, the parties, and a machine."""

import os

import pytest

from tests.cli.command import Cloister, runner
from tests.client.conftest import machine, parties

__all__ = ["machine", "parties"]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    """Nothing of the environment stands in for an option."""
    for name in [name for name in os.environ if name.startswith("CLOISTER_") or name == "AGENT_GRPC_URL"]:
        monkeypatch.delenv(name)


@pytest.fixture
def cloister(capsys) -> Cloister:
    return runner(capsys)
