"""A workspace with the real engine, provider and image."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cloister.protocol.descriptor import Descriptor
from infra import paths
from infra.configuration.image import Image
from tests.client.parties import Parties
from tests.infra.project import Project

NAME, CVM = "e2e", "trainer"
ROLES = {
    "lab": ["owner", "algorithm-provider", "result-consumer"],
    "hospital-1": ["dataset-provider", "result-consumer"],
    "hospital-2": ["dataset-provider"],
}


@dataclass(frozen=True)
class RunningWorkspace:
    """A running workspace. ``parties.folder`` has the parties' files and the descriptor."""

    project: Project
    parties: Parties

    @classmethod
    def create(cls, folder: Path, image: Image, *, memory: str = "2GiB", **cvm: str) -> Self:
        """Bring it up: one boot. ``cvm`` has further members of the CVM's configuration."""
        (folder / "parties").mkdir()
        parties = Parties.make(folder / "parties")
        members = [
            {"name": name, "key": (parties.folder / f"{name}.pub").read_text(), "roles": roles}
            for name, roles in ROLES.items()
        ]
        value = {
            "backend": "local",
            "image": os.path.relpath(image.folder / "manifest.json", paths.CHECKOUT),
            "members": members,
            "cvms": [{"name": CVM, "memory": memory, **cvm}],
        }
        project = Project.create(folder, NAME, value, provider=paths.CHECKOUT / "infra" / "provider")
        project.up(create=4)
        made = cls(project, parties)
        made.descriptor()
        return made

    @contextmanager
    def destroyed_at_end(self) -> Iterator[None]:
        """Destroy the workspace when the block ends, even if a test left a run unfinished."""
        try:
            yield
        finally:
            self.project.environment["CLOISTER_FORCE"] = "1"
            self.project.pulumi("destroy", "--yes", "--skip-preview")
        assert self.project.nothing_is_left()

    def descriptor(self) -> Descriptor:
        """The workspace's descriptor, also written to ``workspace.json`` among the parties' files."""
        value: Any = json.loads(self.project.pulumi("stack", "output", "--json", "descriptor"))
        descriptor = Descriptor.from_value(value)
        (self.parties.folder / "workspace.json").write_bytes(descriptor.encode())
        return descriptor
