"""What the configuration of a workspace would declare, without an engine, a state or a cloud."""

import pulumi

from cloister.units import format_size
from infra.configuration import image, workspace
from infra.configuration.image import Image
from infra.configuration.workspace import CvmConfiguration, WorkspaceConfiguration
from infra.live import workspaces
from infra.reach import graph as reach
from infra.reach.workspace_graph import WorkspaceGraph
from infra.resources import program, rehearsal
from infra.resources.resource import Resource
from infra.resources.types import REFERENCE

# Lookups of a program, answered as a cloud would; nothing of the answers is shown.
_PROJECT = {"gcp:organizations/getProject:getProject": {"number": "0"}}


def graph(name: str) -> WorkspaceGraph:
    """The graph of a workspace's file; of the selected workspace when ``name`` is empty.

    Raises ConfigurationError for what is wrong with the file, and ImageMissing when its image was not built.
    """
    project = workspaces.PROJECT
    value = project.written(name) if name else None
    if value is None:
        name = project.selected(name)
        value = project.written(name)
    configuration = workspace.parse(name, value)
    resources = declared(configuration, image.find(configuration.image))
    details = {cvm.name: _detail(cvm) for cvm in configuration.cvms}
    return WorkspaceGraph(
        name, configuration.backend, resources, reach.build(configuration.backend, resources), details
    )


def declared(configuration: WorkspaceConfiguration, found: Image) -> tuple[Resource, ...]:
    """The resources of a workspace with that image. Raises InputError when the backend's SDK is not installed."""
    backend = program.backend("infra.backends", configuration.backend)
    registry = {REFERENCE: {"outputs": {"images": {found.deployed: {"id": found.deployed}}}}}
    return rehearsal.declared(
        lambda: backend.WorkspaceComponent(configuration, found, pulumi.ResourceOptions()),
        configuration.name,
        {**_PROJECT, **registry},
    )


def _detail(cvm: CvmConfiguration) -> str:
    protection = "not confidential" if cvm.tee == "none" else cvm.tee
    return f"{protection}, {cvm.size or f'{cvm.vcpus} vCPUs, {format_size(cvm.memory)}'}"
