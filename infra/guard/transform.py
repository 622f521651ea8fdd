"""Converts the arguments of a Pulumi resource transform into a Resource, for the rules."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra.resources.resource import UNKNOWN, Resource
from infra.resources.urn import key_of


async def read(arguments: pulumi.ResourceTransformArgs) -> Resource:
    """The resource that is about to be registered."""
    options = arguments.opts
    dependencies = [await _urn(one) for one in _resources(options.depends_on)]
    return Resource(
        type=arguments.type_,
        name=arguments.name,
        inputs={name: await _plain(value) for name, value in arguments.props.items()},
        dependencies=tuple(key_of(urn) for urn in dependencies),
        explicit_provider=options.provider is not None,
        protected=options.protect is True and options.retain_on_delete is True,
        before_delete=tuple(_name(hook) for hook in (options.hooks.before_delete or () if options.hooks else ())),
        ignore_changes=tuple(str(path) for path in options.ignore_changes or ()),
        parent=key_of(await _urn(options.parent)) if options.parent is not None else None,
    )


def _name(hook: Any) -> str:
    """The name of a hook, which Pulumi hands on as a name or as an object with one."""
    return hook if isinstance(hook, str) else str(getattr(hook, "name", ""))


def _resources(depends_on: Any) -> Sequence[pulumi.Resource]:
    if depends_on is None:
        return ()
    return depends_on if isinstance(depends_on, list) else (depends_on,)


async def _urn(resource: pulumi.Resource) -> str:
    return str(await resource.urn.future())


async def _plain(value: Any) -> Any:
    if isinstance(value, pulumi.Output):
        if await value.is_secret() or not await value.is_known():
            return UNKNOWN
        return await _plain(await value.future())
    if isinstance(value, Mapping):
        return {str(name): await _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [await _plain(one) for one in value]
    return value if value is None or isinstance(value, str | bool | int | float) else UNKNOWN
