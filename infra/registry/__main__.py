"""The Pulumi program of the registries: one stack holds the images of one subscription or project."""

import pulumi

from cloister.errors import CloisterError
from infra.registry import configuration
from infra.resources import program


def main() -> None:
    """Read the whole configuration, then declare the resources."""
    try:
        found = configuration.parse(pulumi.get_stack(), pulumi.Config().get_object("registry"))
        backend = program.backend("infra.registry.backends", found.backend)
    except CloisterError as error:
        program.end(error)
    declared = backend.RegistryComponent(found)
    pulumi.export("destination", declared.destination)
    pulumi.export("images", declared.images)


main()
