"""Pulumi's resource provider protocol, implemented as by a cloud's plugin, for a cloud in a file."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.provider.values import from_struct, to_struct
from infra.resources.placeholders import COMPUTED
from infra.resources.urn import Urn
from tests.infra.clouds import azure, catalogue, check, functions, refusals, relations, schema
from tests.infra.clouds.schema import SchemaError
from tests.infra.clouds.world import CloudResource, World, answered

Servicer = TypeVar("Servicer")
Request = TypeVar("Request")
Response = TypeVar("Response")

_GENERATED = re.compile(r"-?[0-9a-f]{7,8}\Z")


class CloudError(Exception):
    """The cloud refuses a request. The message is shown to the user."""


def _answering(
    method: Callable[[Servicer, Request, grpc.ServicerContext], Response],
) -> Callable[[Servicer, Request, grpc.ServicerContext], Response]:
    def answer(servicer: Servicer, request: Request, context: grpc.ServicerContext) -> Response:
        try:
            return method(servicer, request, context)
        except (CloudError, SchemaError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        raise AssertionError("abort does not return")

    return answer


class CloudProvider(provider_pb2_grpc.ResourceProviderServicer):
    """The plugin of ``package``, azure-native or gcp. ``settings`` is the provider's configuration."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.settings: dict[str, Any] = {}

    def Handshake(self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=schema.version(self.package))

    def GetSchema(self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext) -> Any:
        named = {"name": self.package, "version": schema.version(self.package)}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(named))

    @_answering
    def CheckConfig(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> Any:
        values = {name: _decoded(value) for name, value in from_struct(request.news).items()}
        values.pop("version", None)
        failures = list(check.properties(schema.provider(self.package), values))
        return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(failures))

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> Any:
        """Another subscription or project replaces everything."""
        olds, news = from_struct(request.old_inputs), from_struct(request.news)
        changed = [name for name in ("subscriptionId", "project") if olds.get(name) != news.get(name)]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if olds != news else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=changed,
            diffs=[name for name in {**olds, **news} if olds.get(name) != news.get(name)],
        )

    def Configure(self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext) -> Any:
        self.settings = {name: _decoded(value) for name, value in from_struct(request.args).items()}
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    @_answering
    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> Any:
        arguments = from_struct(request.args)
        allowed, answers = schema.function(request.tok)
        failures = list(check.properties(allowed, arguments))
        if failures:
            return provider_pb2.InvokeResponse(failures=_failures(failures))
        found = functions.answer(request.tok, arguments, self.settings)
        return provider_pb2.InvokeResponse(**{"return": to_struct({name: found.get(name) for name in answers})})

    @_answering
    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> Any:
        urn = Urn.parse(request.urn)
        olds, news = from_struct(request.olds), from_struct(request.news)
        inputs = self._named(urn.type, urn.name, olds, news, bytes(request.randomSeed))
        failures = [*check.properties(schema.resource(urn.type).inputs, inputs)]
        # What the SDK's types do not allow never reaches the cloud.
        failures = failures or [*refusals.of(urn.type, inputs)]
        return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=_failures(failures))

    @_answering
    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> Any:
        urn = Urn.parse(request.urn)
        olds, news = from_struct(request.old_inputs), from_struct(request.news)
        kinds, detailed, replaces = provider_pb2.PropertyDiff, {}, []
        for path, how in _changes(olds, news):
            replaces_resource = catalogue.unchangeable(urn.type, path)
            replaces += [path] if replaces_resource else []
            detailed[path] = kinds(kind=getattr(kinds, f"{how}_REPLACE" if replaces_resource else how), inputDiff=True)
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if detailed else response.DIFF_NONE,
            replaces=replaces,
            diffs=sorted({re.split(r"[.\[]", path)[0] for path in detailed}),
            detailedDiff=detailed,
            hasDetailedDiff=True,
            # Two resources with one name cannot coexist; a generated name is generated again.
            deleteBeforeReplace=bool(replaces) and not _has_generated_name(urn.type, urn.name, news),
        )

    @_answering
    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> Any:
        kind, inputs = Urn.parse(request.urn).type, from_struct(request.properties)
        if request.preview:
            unknown = {name: COMPUTED for name in schema.resource(kind).outputs if name not in inputs}
            return provider_pb2.CreateResponse(properties=to_struct(unknown | answered(inputs)))
        identity = catalogue.identity(kind, inputs, self.settings)
        with World.opened() as world:
            _refuse([f"{identity} exists already."] if world.find(identity) else [])
            _refuse([sentence for _, sentence in refusals.of(kind, inputs)])
            _refuse(relations.of_missing(identity, inputs, world) or relations.of(world, identity, kind, inputs))
            resource = CloudResource(kind, inputs, catalogue.computed(kind, identity, inputs, self.settings))
            world.resources[identity] = resource
        return provider_pb2.CreateResponse(id=identity, properties=to_struct(resource.outputs))

    @_answering
    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> Any:
        with World.opened() as world:
            resource = world.find(request.id)
        if resource is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id, properties=to_struct(resource.outputs), inputs=to_struct(resource.inputs)
        )

    @_answering
    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> Any:
        kind, news = Urn.parse(request.urn).type, from_struct(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=to_struct(from_struct(request.olds) | answered(news)))
        with World.opened() as world:
            resource = world.find(request.id)
            if resource is None:
                raise CloudError(f"{request.id} was not found.")
            _refuse([sentence for _, sentence in refusals.of(kind, news)])
            _refuse([*refusals.of_change(kind, resource.inputs, news)])
            _refuse(relations.of_missing(request.id, news, world) or relations.of(world, request.id, kind, news))
            resource.inputs = news
            resource.computed = catalogue.computed(kind, request.id, news, self.settings)
            return provider_pb2.UpdateResponse(properties=to_struct(resource.outputs))

    @_answering
    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> Any:
        with World.opened() as world:
            _refuse(relations.of_deleting(world, request.id))
            resource = world.find(request.id)
            if resource is not None and catalogue.cloud_type(resource.type).remains:
                return empty_pb2.Empty()
            # Deleting a resource group, or any other container, deletes its content.
            inside = f"{request.id.lower()}/"
            for identity in [one for one in world.resources if f"{one.lower()}/".startswith(inside)]:
                gone = world.resources.pop(identity)
                if gone.inputs.get("properties", {}).get("enablePurgeProtection") is True:
                    world.resources[f"{azure.DELETED}{gone.inputs['vaultName']}"] = gone
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def _named(
        self, token: str, name: str, olds: Mapping[str, Any], news: Mapping[str, Any], seed: bytes
    ) -> dict[str, Any]:
        """The inputs with a generated name, if none is given, and the provider's defaults."""
        known, inputs = catalogue.cloud_type(token), dict(news)
        allowed = schema.resource(token).inputs
        if known.automatic and known.name in allowed and inputs.get(known.name) is None:
            digest = hashlib.sha256(seed or name.encode()).hexdigest()
            generated = f"{name}{digest[:8]}" if self.package == "azure-native" else f"{name}-{digest[:7]}"
            if token.endswith(":RoleAssignment"):
                generated = str(uuid.UUID(digest[:32]))
            inputs[known.name] = olds.get(known.name) or generated
        for default in ("location", "project", "region", "zone"):
            if default in allowed and inputs.get(default) is None and self.settings.get(default):
                inputs[default] = self.settings[default]
        return inputs


def _has_generated_name(token: str, name: str, inputs: Mapping[str, Any]) -> bool:
    known = catalogue.cloud_type(token)
    given = str(inputs.get(known.name, ""))
    return not known.name or (given.startswith(name) and _GENERATED.fullmatch(given[len(name) :]) is not None)


def _refuse(sentences: list[str]) -> None:
    if sentences:
        raise CloudError(" ".join(sentences))


def _failures(found: list[check.Failure]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=path, reason=f"{path}: {sentence}") for path, sentence in found]


def _decoded(value: Any) -> Any:
    """A setting of a provider: values other than strings arrive as JSON."""
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except ValueError:
            return value
        return found if isinstance(found, bool | list | dict) else value
    return value


def _changes(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The paths at which two values differ, each with ADD, DELETE or UPDATE."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({**old, **new}):
            inner = f"{path}.{name}" if path else name
            if old.get(name) is None and new.get(name) is not None:
                yield inner, "ADD"
            elif new.get(name) is None and old.get(name) is not None:
                yield inner, "DELETE"
            else:
                yield from _changes(old.get(name), new.get(name), inner)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            inner = f"{path}[{index}]"
            if index >= len(old) or index >= len(new):
                yield inner, "ADD" if index >= len(old) else "DELETE"
            else:
                yield from _changes(old[index], new[index], inner)
    else:
        yield path, "UPDATE"
