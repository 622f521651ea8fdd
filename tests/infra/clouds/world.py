"""What there is in the stand-in's cloud: a file, so that it outlives the plugin and a test can change it behind one."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

_IDENTITIES = "userAssignedIdentities"

VARIABLE = "CLOISTER_STANDIN_WORLD"
"""Names the file in the environment of the engine, and so in the plugin's."""


@dataclass
class Thing:
    """A resource of the cloud: what was asked for, and what the cloud added to it."""

    type: str
    inputs: dict[str, Any]
    computed: dict[str, Any]

    @property
    def outputs(self) -> dict[str, Any]:
        """What the cloud answers about it: lists and objects are those asked for, completed."""
        return _completed(answered(self.inputs), self.computed)


@dataclass
class World:
    """The things by their ids, which are compared without case, as Azure does."""

    things: dict[str, Thing]

    @classmethod
    @contextmanager
    def opened(cls, path: Path | None = None) -> Iterator[Self]:
        """The world in ``path``, for this process alone; written back at the end unless something is raised."""
        path = path or Path(os.environ[VARIABLE])
        with path.with_suffix(".lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            values = json.loads(path.read_text()) if path.exists() else {}
            world = cls({identity: Thing(**value) for identity, value in values.items()})
            yield world
            text = json.dumps({identity: asdict(thing) for identity, thing in world.things.items()}, indent=1)
            path.with_suffix(".part").write_text(text)
            path.with_suffix(".part").replace(path)

    def find(self, identity: str) -> Thing | None:
        return next((thing for name, thing in self.things.items() if name.lower() == identity.lower()), None)

    def of(self, *types: str) -> dict[str, Thing]:
        """The things of these types."""
        return {identity: thing for identity, thing in self.things.items() if thing.type in types}


def answered(inputs: Any) -> Any:
    """``inputs`` in the form in which a cloud answers them: Azure takes a list of identities and answers a map."""
    if isinstance(inputs, dict):
        found = {name: answered(value) for name, value in inputs.items()}
        identities = found.get("userAssignedIdentities")
        if isinstance(identities, list):
            found["userAssignedIdentities"] = {one: {"principalId": "p", "clientId": "c"} for one in identities}
        return found
    return [answered(one) for one in inputs] if isinstance(inputs, list) else inputs


def _completed(given: Any, added: Any) -> Any:
    if isinstance(given, dict) and isinstance(added, dict):
        return {**added, **{name: _completed(value, added.get(name)) for name, value in given.items()}}
    if isinstance(given, dict) and isinstance(given.get(_IDENTITIES), list):
        # Asked for as a list of ids, answered as a map by them (azure-native compute.VirtualMachineIdentityResponse).
        return {**given, _IDENTITIES: {identity: {} for identity in given[_IDENTITIES]}}
    if isinstance(given, list) and isinstance(added, list) and len(given) == len(added):
        return [_completed(one, more) for one, more in zip(given, added, strict=True)]
    return given
