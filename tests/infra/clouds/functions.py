"""Results of the cloud functions that the programs call."""

from collections.abc import Mapping
from typing import Any

from tests.infra.clouds import catalogue
from tests.infra.clouds.schema import SchemaError

PROJECT_NUMBER = "123456789012"


def answer(token: str, arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The result of the function ``token``. Raises SchemaError if the stand-in does not support it."""
    project = arguments.get("projectId") or arguments.get("project") or settings.get("project", "")
    if token == "azure-native:authorization:getClientConfig":
        generated = {
            name: catalogue.fill(f"{{uuid:{name.lower()}}}", {}, "client") for name in ("clientId", "objectId")
        }
        return {**generated, **{name: settings.get(name, "") for name in ("subscriptionId", "tenantId")}}
    if token == "gcp:organizations/getProject:getProject":
        return {"id": f"projects/{project}", "projectId": project, "name": project, "number": PROJECT_NUMBER}
    if token == "gcp:organizations/getClientConfig:getClientConfig":
        return {"project": project, "region": settings.get("region", ""), "zone": settings.get("zone", "")}
    raise SchemaError(f"The stand-in does not support the function {token}.")
