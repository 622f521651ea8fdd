"""The labels by which a bill, a search and a person tell whose a resource is: attached to the whole stack at once."""

import pulumi

from infra import cloud, kinds
from infra.workspace import Workspace


def labels(configuration: Workspace) -> dict[str, str]:
    """What every resource of the workspace is labelled with that can be."""
    fixed = {cloud.WORKSPACE_LABEL: configuration.name, cloud.MANAGER_LABEL: cloud.MANAGER}
    return {**configuration.labels, **fixed}


def label_stack(configuration: Workspace) -> None:
    """From now on each resource that can have labels is declared with these, beside those it has already."""

    def attach(arguments: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        return _labelled(arguments, labels(configuration))

    pulumi.runtime.register_resource_transform(attach)


def _labelled(arguments: pulumi.ResourceTransformArgs, wanted: dict[str, str]) -> pulumi.ResourceTransformResult | None:
    name = kinds.labelled(arguments.type_)
    if not name:
        return None
    own = arguments.props.get(name) or {}
    whole = own.apply(lambda there: {**there, **wanted}) if isinstance(own, pulumi.Output) else {**own, **wanted}
    return pulumi.ResourceTransformResult({**arguments.props, name: whole}, arguments.opts)
