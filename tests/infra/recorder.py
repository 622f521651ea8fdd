"""Records what a program declares, as it reaches the engine. Nothing is created; tests supply the outputs."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks, settings

GOLDEN = Path(__file__).parent / "declarations"
RENEW = "CLOISTER_RENEW_DECLARATIONS"
"""If set to 1, ``compare`` rewrites the golden file, so that a person can review the diff."""

Answers = Mapping[str, Mapping[str, Any]]
"""Token of a function, type, or "TYPE NAME" of a resource -> outputs."""


class _Cloud(mocks.Mocks):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        return dict(self._answers[args.token])

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        computed = {**self._answers.get(args.typ, {}), **self._answers.get(f"{args.typ} {args.name}", {})}
        return f"{args.typ.rpartition(':')[2]}/{args.name}", {**args.inputs, **computed}


class _Monitor(mocks.MockMonitor):
    """Keeps the complete requests: the SDK's own mocks do not get a resource's options."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(_Cloud(answers))
        self.declared: dict[str, dict[str, Any]] = {}

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            self.declared[f"{request.type} {request.name}"] = _declaration(request)
        return answer


def declare(program: Callable[[], pulumi.Output[Any]], answers: Answers) -> tuple[dict[str, dict[str, Any]], Any]:
    """The resources that ``program`` declares, by "TYPE NAME", and the value of the output that it returns."""
    monitor = _Monitor(answers)
    found: list[Any] = []

    def run() -> pulumi.Output[Any]:
        return program().apply(found.append)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_complain)
    asyncio.set_event_loop(loop)
    try:
        # A previous program's stack may have transformations.
        settings.ROOT.set(None)
        mocks.set_mocks(monitor.mocks, project="cloister", stack="lab", preview=False, monitor=monitor)
        mocks.test(run)()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return dict(sorted(monitor.declared.items())), found[0]


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Of a refused program, each output that waited for the refused one fails too; the first failure was raised."""
    if "exception was never retrieved" not in context["message"]:
        loop.default_exception_handler(context)


def compare(name: str, value: Any) -> None:
    """Assert that ``value`` equals ``declarations/<name>.json``."""
    path = GOLDEN / f"{name}.json"
    if os.environ.get(RENEW) == "1":
        path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    assert value == json.loads(path.read_text())


def _declaration(request: Any) -> dict[str, Any]:
    inputs = mocks.rpc.deserialize_properties(request.object)
    options = {
        "parent": _name(request.parent),
        "provider": _name(request.provider.rpartition("::")[0]),
        "depends_on": sorted(_name(urn) for urn in request.dependencies),
        "protect": request.protect,
        "retain_on_delete": request.retainOnDelete,
        "delete_before_replace": request.deleteBeforeReplace,
        "replace_on_changes": list(request.replaceOnChanges),
        "replacement_trigger": _trigger(request),
        "asked_before_delete": list(request.hooks.before_delete),
        "ignore_changes": list(request.ignoreChanges),
    }
    return {"inputs": _plain(inputs), "options": {key: value for key, value in options.items() if value}}


def _trigger(request: Any) -> Any:
    if not request.HasField("replacement_trigger"):
        return None
    return json_format.MessageToDict(request.replacement_trigger)


def _name(urn: str) -> str:
    return "::".join(urn.split("::")[-2:]).rpartition("$")[2].replace("::", " ")


def _plain(value: Any) -> Any:
    """Numbers arrive as floats."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
