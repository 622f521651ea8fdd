"""A workspace with the real engine, provider and image."""

import json
import os
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
    def create(cls, folder: Path, image: Image) -> Self:
        """Bring it up: one boot."""
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
            "cvms": [{"name": CVM, "memory": "2GiB"}],
        }
        project = Project.create(folder, NAME, value, provider=paths.CHECKOUT / "infra" / "provider")
        project.up(create=4)
        made = cls(project, parties)
        made.descriptor()
        return made

    def descriptor(self) -> Descriptor:
        """The workspace's descriptor, also written to ``workspace.json`` among the parties' files."""
        value: Any = json.loads(self.project.pulumi("stack", "output", "--json", "descriptor"))
        descriptor = Descriptor.from_value(value)
        (self.parties.folder / "workspace.json").write_bytes(descriptor.encode())
        return descriptor
