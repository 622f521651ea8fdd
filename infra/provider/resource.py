"""The interface of the provider's resources."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class CheckResult:
    """The inputs with their defaults, and the failures: (property, reason)."""

    inputs: dict[str, Any]
    failures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ResourceDiff:
    """The properties that changed."""

    replaces: tuple[str, ...] = ()
    """Those that require a replacement."""
    updates: tuple[str, ...] = ()
    """Those that are updated in place."""
    outputs: tuple[str, ...] = field(default=())
    """Those of ``replaces`` that are outputs: the resource changed outside Pulumi."""


@dataclass(frozen=True)
class CreateContext:
    """Passed to ``create``: ``say`` shows progress, ``cancelled`` is set when the user cancels."""

    say: Callable[[str], None]
    cancelled: Event


class LocalResource(Protocol):
    """Handles one resource type. ``read`` returns None when the resource is gone. All methods raise CloisterError."""

    def check(self, olds: Properties, news: Properties) -> CheckResult: ...

    def diff(self, inputs: Properties, state: Properties, news: Properties) -> ResourceDiff: ...

    def create(self, inputs: Properties, operation: CreateContext) -> tuple[str, dict[str, Any]]: ...

    def read(self, state: Properties) -> dict[str, Any] | None: ...

    def update(self, state: Properties, news: Properties) -> dict[str, Any]: ...

    def delete(self, state: Properties) -> None: ...
