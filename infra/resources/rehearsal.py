"""Runs a Pulumi program without an engine and without a cloud: what it would declare is kept, and nothing is created.

What only a cloud knows stays unknown, as in a preview. Pulumi's own mocks do this; they are made for tests of programs.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
from pulumi.runtime import mocks, settings

from infra.resources.placeholders import COMPUTED
from infra.resources.resource import Resource, from_state

Answers = Mapping[str, Mapping[str, Any]]
"""What lookups return: outputs by the token of a function or the type of a resource that is only read."""


class _World(mocks.Mocks):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def call(self, args: mocks.MockCallArgs) -> Any:
        return dict(self._answers[args.token])

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        # What is declared comes back, but a structure may get members that only the cloud knows.
        known = {name: COMPUTED if isinstance(value, Mapping) else value for name, value in args.inputs.items()}
        return "", {**known, **self._answers.get(args.typ, {})}


class _Monitor(mocks.MockMonitor):
    """Keeps the complete requests: Pulumi's mocks hand on neither dependencies nor options."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(_World(answers))
        self.steps: list[dict[str, Any]] = []

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)
        self.steps.append(
            {
                "type": request.type,
                "urn": answer.urn,
                "inputs": mocks.rpc.deserialize_properties(request.object, True),
                "dependencies": list(request.dependencies),
                "provider": request.provider,
                "protect": request.protect,
                "retainOnDelete": request.retainOnDelete,
            }
        )
        return answer


def declared(program: Callable[[], object], stack: str, answers: Answers) -> tuple[Resource, ...]:
    """The resources that ``program`` declares, in the order in which it does. Raises what the program raises."""
    monitor = _Monitor(answers)
    loop = asyncio.new_event_loop()
    # Each output that waited for a refused resource fails too; the first failure was raised.
    loop.set_exception_handler(lambda _, context: None)
    asyncio.set_event_loop(loop)
    try:
        settings.ROOT.set(None)
        mocks.set_mocks(monitor.mocks, project="cloister", stack=stack, preview=True, monitor=monitor)
        mocks.test(lambda: _end(program()))()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return from_state(monitor.steps)


def _end(_: object) -> pulumi.Output[None]:
    return pulumi.Output.from_input(None)
