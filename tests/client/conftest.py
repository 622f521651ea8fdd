"""A machine with an agent in this process, and the parties around it."""

from collections.abc import Iterator

import pytest

from tests.agent_fixture import running_agent
from tests.client.machine import Machine
from tests.client.parties import Parties


@pytest.fixture
def parties(tmp_path) -> Parties:
    return Parties.make(tmp_path)


@pytest.fixture
def machine(parties, tmp_path_factory) -> Iterator[Machine]:
    """A machine of the workspace ``trial`` that the lab owns, without a manifest."""
    with running_agent(tmp_path_factory.mktemp("machine"), (parties.keys["lab"].id,)) as running:
        yield Machine.of(running, parties)
