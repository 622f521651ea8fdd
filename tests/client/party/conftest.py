"""A machine, and the parties as objects."""

from collections.abc import Callable

import pytest

from cloister import client

PartyOf = Callable[[str], client.Party]


@pytest.fixture
def party(machine, parties) -> PartyOf:
    """A function that makes the party of a name, from the files in its folder."""

    def made(name: str) -> client.Party:
        folder = parties.folder
        return client.Party(
            key=folder / f"{name}.pem", policy=folder / "policy.json", workspace=folder / "workspace.json"
        )

    return made
