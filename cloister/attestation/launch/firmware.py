"""A firmware file as a host launches machines from it: OVMF with metadata for SEV-SNP, TDX or both, or an IGVM file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.launch import igvm
from cloister.attestation.launch.igvm import SEV_SNP, TDX, IgvmFile
from cloister.attestation.launch.ovmf import MAX_FIRMWARE
from cloister.attestation.launch.snp import OvmfFirmware, replay
from cloister.attestation.launch.tdx import Order, TdFirmware

MAX_SIZE = igvm.MAX_SIZE
"""Bytes of a file."""

HOSTS = {"Hyper-V": False, "QEMU": True}
"""Hosts that launch from IGVM files, and whether pages without data are of the type ZERO there."""

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True)
class Firmware:
    """What a file says of its launch; None where it has nothing for a technology, and ``reasons`` say why."""

    snp: OvmfFirmware | None = None
    td: TdFirmware | None = None
    igvm: IgvmFile | None = None
    reasons: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises MalformedEvidence for a file that is for neither SEV-SNP nor TDX."""
        if data.startswith(igvm.MAGIC):
            file = IgvmFile.parse(data)
            if not {SEV_SNP, TDX} & file.pages.keys():
                raise MalformedEvidence("IGVM.platforms", 0, "include neither SEV-SNP nor TDX")
            return cls(igvm=file)
        if len(data) > MAX_FIRMWARE:
            raise MalformedEvidence("firmware.size", 0, f"is more than {MAX_FIRMWARE} bytes")
        snp, without_snp = _parsed(OvmfFirmware.parse, data)
        td, without_td = _parsed(TdFirmware.parse, data)
        if without_snp is not None and without_td is not None:
            both = dict.fromkeys((without_snp.reason, without_td.reason))
            raise MalformedEvidence(without_snp.field, without_snp.offset, "; ".join(both))
        reasons = tuple(error.place for error in (without_snp, without_td) if error is not None)
        return cls(snp, td, reasons=reasons)

    def mrtds(self) -> Iterator[tuple[str, bytes]]:
        """MRTD of each way to launch a TD from the file, and what way it is."""
        if self.td is not None:
            for order in Order:
                yield order.value, self.td.mrtd(order)
        if self.igvm is not None and TDX in self.igvm.pages:
            yield "from an IGVM file", self.igvm.mrtd()

    def igvm_digests(self) -> Iterator[tuple[str, bytes]]:
        """The launch digest of SEV-SNP on each kind of host that launches from an IGVM file."""
        if self.igvm is not None and SEV_SNP in self.igvm.pages:
            for host, zero_pages in HOSTS.items():
                yield host, replay(self.igvm.measured(zero_pages=zero_pages))


def _parsed(parse: Callable[[bytes], _Parsed], data: bytes) -> tuple[_Parsed | None, MalformedEvidence | None]:
    """What was parsed, or why it was not."""
    try:
        return parse(data), None
    except MalformedEvidence as error:
        return None, error
