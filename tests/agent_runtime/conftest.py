"""Fixtures: an agent in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_fixture import RunningAgent, running_agent
from tests.agent_runtime.world import DATA, TRAIN, World, new_key


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An agent without a manifest, and the parties around it."""
    keys = {name: new_key() for name in ("owner", "lab", "hospital", "reader", "stranger")}
    with running_agent(tmp_path, (keys["owner"].id,)) as running:
        yield World(running, keys, {"algorithm": TRAIN, "h1": DATA})


@pytest.fixture
def agent(world: World) -> RunningAgent:
    """The agent of ``world``."""
    return world.running
