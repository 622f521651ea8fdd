"""Asks a CVM's agent whether a run is unfinished (health service ``cloister.run``)."""

import grpc

from cloister.endpoint import Address, channel, probe
from cloister.errors import CloisterError
from cloister.v1 import health_pb2, health_pb2_grpc
from infra.provider.errors import ProviderError

SERVICE = "cloister.run"
_SECONDS = 10.0


def has_unfinished_run(address: str) -> bool:
    """Whether the agent at ``address`` has an unfinished run. Raises ProviderError when it gives no answer."""
    try:
        with channel(probe(Address.parse(address), timeout=_SECONDS)) as connection:
            stub = health_pb2_grpc.HealthStub(connection)
            answer = stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=_SECONDS)
    except CloisterError as error:
        raise ProviderError(f"its agent cannot be asked whether a run is unfinished: {error.message}") from error
    except grpc.RpcError as error:
        raise ProviderError(f"its agent does not say whether a run is unfinished ({error.code().name})") from error
    statuses = health_pb2.HealthCheckResponse
    if answer.status not in (statuses.SERVING, statuses.NOT_SERVING):
        raise ProviderError("its agent does not say whether a run is unfinished")
    return answer.status == statuses.SERVING
