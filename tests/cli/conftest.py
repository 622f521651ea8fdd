"""Fixtures of the verbs' tests: the command, the parties, a machine."""

import os

import pytest

from tests.cli.command import Cloister, runner
from tests.client.conftest import machine, parties

__all__ = ["machine", "parties"]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, tmp_path_factory):
    """Remove settings from the environment; nothing is remembered from another test, or found in the checkout."""
    monkeypatch.chdir(tmp_path_factory.mktemp("folder"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    for name in [name for name in os.environ if name.startswith("CLOISTER_") or name == "AGENT_GRPC_URL"]:
        monkeypatch.delenv(name)


@pytest.fixture
def cloister(capsys) -> Cloister:
    return runner(capsys)
