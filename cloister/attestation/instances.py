"""The policy's section ``instances``: which machines are accepted, by the names that vendors give them.

An empty list accepts any machine, except on a platform that requires one.
"""

from dataclasses import dataclass
from typing import Any, Self

from cloister.attestation.errors import PolicyError


@dataclass(frozen=True)
class GcpInstance:
    """Machines at Google: all of a project, or of one zone, or one by its number or name. None matches any value."""

    project: str
    zone: str | None = None
    instance_id: int | None = None
    instance_name: str | None = None

    def value(self) -> dict[str, Any]:
        """The JSON value. An instance number has 64 bits, more than a JSON number can hold: it is a string."""
        value = {
            "project": self.project,
            "zone": self.zone,
            "instance_id": None if self.instance_id is None else str(self.instance_id),
            "instance_name": self.instance_name,
        }
        return {name: member for name, member in value.items() if member is not None}

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {member}" for name, member in self.value().items())


@dataclass(frozen=True)
class Instances:
    """The accepted machines.

    ``chip_ids`` are AMD processors (64 bytes, 8 for Turin), ``ppids`` Intel platforms (16 bytes), ``azure_vm_ids`` the
    vmUniqueId of machines at Azure in upper case, ``gcp`` machines at Google. An empty list accepts any machine.
    """

    chip_ids: tuple[bytes, ...] = ()
    ppids: tuple[bytes, ...] = ()
    azure_vm_ids: tuple[str, ...] = ()
    gcp: tuple[GcpInstance, ...] = ()

    def __post_init__(self) -> None:
        """Raises PolicyError for zeros as a chip, which a report shows of every chip if its host masks the number."""
        if any(not any(chip_id) for chip_id in self.chip_ids):
            raise PolicyError(
                "The policy's instances.chip_ids has zeros, which a report shows if the host masks its chip.",
                hint="Any chip could show that: remove the entry.",
            )

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Self:
        """From the JSON value, which has passed the schema."""
        return cls(
            chip_ids=tuple(bytes.fromhex(text) for text in value.get("chip_ids", ())),
            ppids=tuple(bytes.fromhex(text) for text in value.get("ppids", ())),
            azure_vm_ids=tuple(text.upper() for text in value.get("azure_vm_ids", ())),
            gcp=tuple(
                GcpInstance(
                    project=one["project"],
                    zone=one.get("zone"),
                    instance_id=int(one["instance_id"]) if "instance_id" in one else None,
                    instance_name=one.get("instance_name"),
                )
                for one in value.get("gcp", ())
            ),
        )

    def value(self) -> dict[str, Any]:
        """The JSON value, with empty lists."""
        return {
            "chip_ids": [chip_id.hex() for chip_id in self.chip_ids],
            "ppids": [ppid.hex() for ppid in self.ppids],
            "azure_vm_ids": list(self.azure_vm_ids),
            "gcp": [one.value() for one in self.gcp],
        }
