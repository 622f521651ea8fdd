"""The component that every backend implements: ``WorkspaceComponent`` is its subclass in each module."""

from typing import Any

import pulumi

from cloister.protocol import canonical
from infra.configuration.image import Image
from infra.configuration.workspace import WorkspaceConfiguration
from infra.resources import labels
from infra.resources.types import WORKSPACE


class WorkspaceBase(pulumi.ComponentResource):
    """A workspace. Its outputs do not depend on the backend."""

    descriptor: pulumi.Output[Any]
    """The workspace descriptor, for the parties: its JSON value."""
    endpoints: pulumi.Output[dict[str, str]]
    """Address and port of each CVM's agent, by the CVM's name."""
    image: str
    """The digest of the image's manifest (hex)."""

    def __init__(self, configuration: WorkspaceConfiguration, image: Image, options: pulumi.ResourceOptions) -> None:
        whole = pulumi.ResourceOptions.merge(options, labels.options(configuration))
        super().__init__(WORKSPACE, configuration.name, None, whole)
        self.image = image.digest

    def publish(self, descriptor: pulumi.Output[Any]) -> None:
        """Set the outputs. ``descriptor`` is the JSON value."""
        self.descriptor = descriptor
        self.endpoints = descriptor.apply(lambda value: {cvm["name"]: cvm["endpoint"] for cvm in value["cvms"]})
        self.register_outputs(self.outputs())

    def outputs(self) -> dict[str, Any]:
        """The outputs by their names in the schema."""
        # As text: in a program that gets it from the engine, its integers would be floats.
        text = self.descriptor.apply(lambda value: canonical.encode(value).decode())
        return {"descriptor": text, "endpoints": self.endpoints, "image": self.image}
