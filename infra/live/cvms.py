"""The CVMs of a workspace as the state knows them, on every backend."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloister.errors import CloisterError
from cloister.protocol import canonical
from cloister.protocol.bootconfig import BootConfiguration
from infra.provider.qemu.liveness import is_alive
from infra.resources.tags import BOOT, ENDPOINT, IMAGE
from infra.resources.types import LOCAL_CVM
from infra.resources.urn import Urn

_MEBIBYTE = 1 << 20
_GCP_RUNNING = "RUNNING"


@dataclass(frozen=True)
class DeployedCvm:
    """``running`` is None where nobody here can know: in a cloud. ``image`` and ``boot_configuration`` are the digests
    of what it was started with (hex), ``size`` says what it is made of.
    """

    name: str
    urn: str
    endpoint: str
    running: bool | None
    image: str
    boot_configuration: str
    size: str
    accelerator: str = ""

    @property
    def ended(self) -> bool:
        return self.running is False


def from_state(resources: Sequence[Mapping[str, Any]]) -> tuple[DeployedCvm, ...]:
    """The machines among the resources of a stack's state."""
    machines = []
    for resource in resources:
        read = _READERS.get(str(resource.get("type")))
        # What waits to be deleted after a replacement that broke off is no machine of the workspace any more.
        if read is not None and not resource.get("delete"):
            machines.append(read(str(resource["urn"]), resource.get("outputs") or {}))
    return tuple(machines)


def local_size(vcpus: int, memory: int) -> str:
    """``memory`` in bytes."""
    return f"{vcpus} vCPUs, {memory // _MEBIBYTE} MiB"


def _local_cvm(urn: str, outputs: Mapping[str, Any]) -> DeployedCvm:
    return DeployedCvm(
        name=outputs["name"],
        urn=urn,
        endpoint=outputs["endpoint"],
        running=is_alive(outputs),
        image=outputs["imageDigest"],
        boot_configuration=_digest(outputs["bootConfiguration"]),
        size=local_size(int(outputs["vcpus"]), int(outputs["memory"])),
        accelerator=outputs["accelerator"],
    )


def _azure_cvm(urn: str, outputs: Mapping[str, Any]) -> DeployedCvm:
    said = outputs.get("tags") or {}
    return _cloud_cvm(urn, said, str((outputs.get("hardwareProfile") or {}).get("vmSize", "")), None)


def _gcp_cvm(urn: str, outputs: Mapping[str, Any]) -> DeployedCvm:
    status = outputs.get("currentStatus")
    # Only the last refresh's word: a machine that ran then may not run now.
    ended = False if status and status != _GCP_RUNNING else None
    return _cloud_cvm(urn, outputs.get("metadata") or {}, str(outputs.get("machineType", "")), ended)


def _cloud_cvm(urn: str, said: Mapping[str, Any], size: str, running: bool | None) -> DeployedCvm:
    return DeployedCvm(
        name=Urn.parse(urn).name,
        urn=urn,
        endpoint=str(said.get(ENDPOINT, "")),
        running=running,
        image=str(said.get(IMAGE, "")),
        boot_configuration=str(said.get(BOOT, "")),
        size=size,
    )


def _digest(configuration: str) -> str:
    try:
        return BootConfiguration.parse(configuration.encode()).digest().hex()
    except (CloisterError, canonical.FormatError):
        return ""


_READERS: dict[str, Callable[[str, Mapping[str, Any]], DeployedCvm]] = {
    LOCAL_CVM: _local_cvm,
    "azure-native:compute:VirtualMachine": _azure_cvm,
    "gcp:compute/instance:Instance": _gcp_cvm,
}
