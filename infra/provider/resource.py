"""What every resource of the provider does, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Protocol

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class CheckResult:
    """The inputs with their defaults, and what is wrong: (property, sentence)."""

    inputs: dict[str, Any]
    failures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ResourceDiff:
    """The properties that make it a new resource, those that the old one takes over, and those of the first that
    are no inputs but were found to have changed by themselves.
    """

    replaces: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    outputs: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class CreateContext:
    """What surrounds one create: where progress goes, and whether the user has had enough."""

    say: Callable[[str], None]
    cancelled: Event


class LocalResource(Protocol):
    """``read`` returns None when the resource is gone. All raise CloisterError."""

    def check(self, olds: Properties, news: Properties) -> CheckResult: ...

    def diff(self, inputs: Properties, state: Properties, news: Properties) -> ResourceDiff: ...

    def create(self, inputs: Properties, operation: CreateContext) -> tuple[str, dict[str, Any]]: ...

    def read(self, state: Properties) -> dict[str, Any] | None: ...

    def update(self, state: Properties, news: Properties) -> dict[str, Any]: ...

    def delete(self, state: Properties) -> None: ...
