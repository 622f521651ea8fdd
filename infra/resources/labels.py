"""The labels by which a bill, a search and a person tell whose a resource is: attached to the whole stack at once."""

from typing import Any

import pulumi

from infra.configuration import cloud
from infra.configuration.workspace import WorkspaceConfiguration
from infra.resources import types


def labels(configuration: WorkspaceConfiguration) -> dict[str, str]:
    """What every resource of the workspace is labelled with that can be."""
    fixed = {cloud.WORKSPACE_LABEL: configuration.name, cloud.MANAGER_LABEL: cloud.MANAGER}
    return {**configuration.labels, **fixed}


def label_stack(configuration: WorkspaceConfiguration) -> None:
    """From now on each resource that can have labels is declared with these, beside those it has already.

    By the older kind of transformation, inside this process: the newer one cannot return a resource that has a
    replacement trigger (pulumi 3.272, runtime/_callbacks.py: it hands protobuf the trigger's value for a message).
    """

    def attach(
        arguments: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        return _with_labels(arguments, labels(configuration))

    pulumi.runtime.register_stack_transformation(attach)


def _with_labels(
    arguments: pulumi.ResourceTransformationArgs, wanted: dict[str, str]
) -> pulumi.ResourceTransformationResult | None:
    name = types.label_input(arguments.type_)
    if not name:
        return None
    own: Any = arguments.props.get(name) or {}
    whole = own.apply(lambda there: {**there, **wanted}) if isinstance(own, pulumi.Output) else {**own, **wanted}
    return pulumi.ResourceTransformationResult({**arguments.props, name: whole}, arguments.opts)
