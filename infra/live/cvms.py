"""The CVMs in a stack's state, on every backend."""

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
    """A CVM as the state describes it."""

    name: str
    urn: str
    endpoint: str
    """``address:port`` of its agent; "" if unknown."""
    running: bool | None
    """None if unknown: the state of a cloud does not tell."""
    image: str
    """Digest (hex) of the image manifest with which it was started."""
    boot_configuration: str
    """Digest (hex) of its boot configuration."""
    size: str
    """Machine type, or processors and memory."""
    accelerator: str = ""
    """``kvm`` or ``tcg``; local only."""
    cpu: str = ""
    """The configured CPU, "" for the accelerator's default; local only."""

    @property
    def ended(self) -> bool:
        return self.running is False


def from_state(resources: Sequence[Mapping[str, Any]]) -> tuple[DeployedCvm, ...]:
    """The CVMs among the resources of a stack's state."""
    machines = []
    for resource in resources:
        read = _READERS.get(str(resource.get("type")))
        # Skip a machine that only waits for deletion after an interrupted replacement.
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
        cpu=str(outputs.get("cpu") or ""),
    )


def _azure_cvm(urn: str, outputs: Mapping[str, Any]) -> DeployedCvm:
    said = outputs.get("tags") or {}
    return _cloud_cvm(urn, said, str((outputs.get("hardwareProfile") or {}).get("vmSize", "")), None)


def _gcp_cvm(urn: str, outputs: Mapping[str, Any]) -> DeployedCvm:
    status = outputs.get("currentStatus")
    # From the last refresh: a machine that ran then may have stopped since.
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
