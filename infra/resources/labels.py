"""The labels that identify a workspace's resources, attached to all of them at once."""

from typing import Any

import pulumi

from infra.configuration import cloud
from infra.configuration.workspace import WorkspaceConfiguration
from infra.resources import types


def labels(configuration: WorkspaceConfiguration) -> dict[str, str]:
    """The labels of every resource of the workspace whose type supports labels."""
    fixed = {cloud.WORKSPACE_LABEL: configuration.name, cloud.MANAGER_LABEL: cloud.MANAGER}
    return {**configuration.labels, **fixed}


def options(configuration: WorkspaceConfiguration) -> pulumi.ResourceOptions:
    """Options of the component that add these labels to each of its children whose type supports labels.

    Uses Pulumi's older transformations, which run in this process: the newer transforms cannot return a resource with a
    replacement trigger (pulumi 3.272, runtime/_callbacks.py, passes the trigger's value to protobuf as a message).
    """

    def attach(
        arguments: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        return _with_labels(arguments, labels(configuration))

    return pulumi.ResourceOptions(transformations=[attach])


def _with_labels(
    arguments: pulumi.ResourceTransformationArgs, wanted: dict[str, str]
) -> pulumi.ResourceTransformationResult | None:
    name = types.label_input(arguments.type_)
    if not name:
        return None
    own: Any = arguments.props.get(name) or {}
    whole = own.apply(lambda there: {**there, **wanted}) if isinstance(own, pulumi.Output) else {**own, **wanted}
    return pulumi.ResourceTransformationResult({**arguments.props, name: whole}, arguments.opts)
