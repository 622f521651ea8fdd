"""The content of the stand-in's cloud, in a file: it outlives the plugin, and a test can edit it to cause drift."""

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
"""The environment variable with the file's path, for the engine and therefore the plugin."""


@dataclass
class CloudResource:
    """A resource in the cloud: its inputs, and the outputs that the cloud computed."""

    type: str
    inputs: dict[str, Any]
    computed: dict[str, Any]

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs: the inputs, completed with computed values."""
        return _completed(answered(self.inputs), self.computed)


@dataclass
class World:
    """The resources by id. Ids are compared case-insensitively, as in Azure."""

    resources: dict[str, CloudResource]

    @classmethod
    @contextmanager
    def opened(cls, path: Path | None = None) -> Iterator[Self]:
        """The world in ``path``, locked for this process; written back at the end unless an exception is raised."""
        path = path or Path(os.environ[VARIABLE])
        with path.with_suffix(".lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            values = json.loads(path.read_text()) if path.exists() else {}
            world = cls({identity: CloudResource(**value) for identity, value in values.items()})
            yield world
            text = json.dumps({identity: asdict(resource) for identity, resource in world.resources.items()}, indent=1)
            path.with_suffix(".part").write_text(text)
            path.with_suffix(".part").replace(path)

    def find(self, identity: str) -> CloudResource | None:
        return next((resource for name, resource in self.resources.items() if name.lower() == identity.lower()), None)

    def of(self, *types: str) -> dict[str, CloudResource]:
        """The resources of the given types."""
        return {identity: resource for identity, resource in self.resources.items() if resource.type in types}


def answered(inputs: Any) -> Any:
    """``inputs`` as a cloud returns them: Azure takes a list of identities and returns a map."""
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
        # An input list of ids, returned as a map by id (azure-native compute.VirtualMachineIdentityResponse).
        return {**given, _IDENTITIES: {identity: {} for identity in given[_IDENTITIES]}}
    if isinstance(given, list) and isinstance(added, list) and len(given) == len(added):
        return [_completed(one, more) for one, more in zip(given, added, strict=True)]
    return given
