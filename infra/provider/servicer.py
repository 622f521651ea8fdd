"""Pulumi's resource provider protocol (pulumi/proto, provider.proto) for the resources of this machine."""

import json
import traceback
from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from cloister.errors import CloisterError
from infra.provider.authority import AuthorityResource
from infra.provider.cvm import CvmResource
from infra.provider.errors import CancelledError
from infra.provider.resource import CreateContext, LocalResource
from infra.provider.values import from_struct, to_struct
from infra.resources.placeholders import COMPUTED
from infra.resources.types import LOCAL_AUTHORITY, LOCAL_CVM, PROVIDER
from infra.resources.urn import Urn

VERSION = "0.1.0"

_RESOURCES: dict[str, LocalResource] = {LOCAL_AUTHORITY: AuthorityResource(), LOCAL_CVM: CvmResource()}

Servicer = TypeVar("Servicer")
Request = TypeVar("Request")
Response = TypeVar("Response")


def _answering(
    method: Callable[[Servicer, Request, grpc.ServicerContext], Response],
) -> Callable[[Servicer, Request, grpc.ServicerContext], Response]:
    """Turn a CloisterError into a gRPC status with its message, which the engine shows to the user."""

    def answer(servicer: Servicer, request: Request, context: grpc.ServicerContext) -> Response:
        try:
            return method(servicer, request, context)
        except CancelledError as error:
            context.abort(grpc.StatusCode.CANCELLED, str(error))
        except CloisterError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        raise AssertionError("abort never returns")

    return answer


class LocalProvider(provider_pb2_grpc.ResourceProviderServicer):
    """``engine`` is the address of the engine's log, None to log nowhere."""

    def __init__(self, engine: str | None) -> None:
        self.cancelled = Event()
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine)) if engine else None

    def Handshake(self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext) -> Any:
        schema = {"name": PROVIDER, "version": VERSION, "resources": {kind: {} for kind in _RESOURCES}}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    @_answering
    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> Any:
        checked = _resource(request.urn).check(from_struct(request.olds), from_struct(request.news))
        failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in checked.failures]
        return provider_pb2.CheckResponse(inputs=to_struct(checked.inputs), failures=failures)

    @_answering
    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> Any:
        properties = (from_struct(struct) for struct in (request.old_inputs, request.olds, request.news))
        found = _resource(request.urn).diff(*properties)
        kinds = provider_pb2.PropertyDiff
        detailed = {name: kinds(kind=kinds.UPDATE, inputDiff=True) for name in found.updates}
        for name in found.replaces:
            detailed[name] = kinds(kind=kinds.UPDATE_REPLACE, inputDiff=name not in found.outputs)
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if detailed else response.DIFF_NONE,
            replaces=found.replaces,
            diffs=list(detailed),
            detailedDiff=detailed,
            hasDetailedDiff=True,
            # Old and new cannot coexist: they share folder and port, or the key file.
            deleteBeforeReplace=True,
        )

    @_answering
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> Any:
        inputs = from_struct(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        if COMPUTED in inputs.values():
            raise CloisterError("An input has no known value.")
        operation = CreateContext(lambda message: self._say(request.urn, message), self.cancelled)
        identity, outputs = _resource(request.urn).create(inputs, operation)
        return provider_pb2.CreateResponse(id=identity, properties=to_struct(outputs))

    @_answering
    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> Any:
        state = from_struct(request.properties)
        if not state:
            raise CloisterError(f"Cannot import {request.id!r}: only its own workspace can create a local resource.")
        found = _resource(request.urn).read(state)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=request.id, properties=to_struct(found), inputs=request.inputs)

    @_answering
    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> Any:
        state, news = from_struct(request.olds), from_struct(request.news)
        outputs = dict(state) | dict(news) if request.preview else _resource(request.urn).update(state, news)
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    @_answering
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> Any:
        _resource(request.urn).delete(from_struct(request.properties))
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self.cancelled.set()
        return empty_pb2.Empty()

    def _say(self, urn: str, message: str) -> None:
        """Show ``message`` at the resource until the next message. An error here fails no boot."""
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, urn=urn, message=message, ephemeral=True)
        try:
            self._engine.Log(request, timeout=1.0)
        except grpc.RpcError:
            traceback.print_exc()


def _resource(urn: str) -> LocalResource:
    type_ = Urn.parse(urn).type
    if type_ not in _RESOURCES:
        raise CloisterError(f"The provider {PROVIDER} has no resource type {type_}.")
    return _RESOURCES[type_]
