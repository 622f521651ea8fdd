"""Pulumi's resource provider protocol for the component: ``Construct`` and ``GetSchema``.

The SDK's servicer does the work, except that a CloisterError becomes a message without a traceback.
"""

import asyncio
import json
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pulumi
from google.protobuf.struct_pb2 import Struct
from pulumi.provider import ConstructResult, Provider
from pulumi.provider.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2

from cloister.errors import CloisterError, InputError
from infra.component import inputs, workspace
from infra.configuration.validation import ConfigurationError
from infra.provider.values import from_struct
from infra.resources.types import WORKSPACE

SCHEMA = Path(__file__).with_name("schema.json")
FORCE = "CLOISTER_FORCE"


class RefusalError(CloisterError):
    """The guard refused a resource."""

    remedy = "Change what declares the resource: the workspace's inputs, or a transform of the program."
    # The SDK appends the traceback of an error in a transform to its message.
    __traceback__ = None


class ComponentProvider(Provider):
    """Constructs the component. ``refused`` is the guard's last sentence."""

    def __init__(self) -> None:
        schema = SCHEMA.read_text(encoding="utf-8")
        super().__init__(json.loads(schema)["version"], schema)
        self.refused: RefusalError | None = None

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Mapping[str, Any],
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """Raises CloisterError."""
        if resource_type != WORKSPACE:
            raise InputError(f"The package has no resource {resource_type}; it has {WORKSPACE}.")
        force = os.environ.get(FORCE) == "1"
        declared = workspace.declare(name, dict(inputs), self._refuse, force=force, alone=False, options=options)
        return ConstructResult(declared.urn, declared.outputs())

    def _refuse(self, sentence: str) -> NoReturn:
        self.refused = RefusalError(sentence)
        raise self.refused


class ComponentServicer(ProviderServicer):
    """``engine`` is the address of the engine."""

    def __init__(self, provider: ComponentProvider, engine: str) -> None:
        super().__init__(provider, [], engine)
        self._component = provider
        # The SDK's settings belong to the process.
        self._one_at_a_time = asyncio.Lock()

    async def Construct(
        self, request: provider_pb2.ConstructRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> provider_pb2.ConstructResponse:
        async with self._one_at_a_time:
            try:
                inputs.check(request.name, request.inputs)
                return await self._construct(request, context)
            except Exception as error:
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, self._message(error))
                raise AssertionError("abort never returns") from error

    @staticmethod
    async def _construct_inputs(inputs: Struct, input_dependencies: Any) -> dict[str, Any]:
        """Plain values: the SDK's own method makes outputs of them."""
        return from_struct(inputs)

    def _message(self, error: Exception) -> str:
        known = self._component.refused or error
        if isinstance(known, ConfigurationError):
            # Its hints name verbs, which are for the stacks of infra/.
            return f"{known.message}\nCorrect these inputs of the component."
        if isinstance(known, CloisterError):
            return f"{known.message}\n{known.hint or known.remedy}".rstrip()
        if isinstance(known, pulumi.RunError):
            return str(known)
        traceback.print_exception(error)
        return f"{type(error).__name__}: {error}"

    async def Configure(self, request: provider_pb2.ConfigureRequest, context: Any) -> provider_pb2.ConfigureResponse:
        # Without outputs, an unknown value arrives as one.
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)
