"""What a machine measures that a host launches from a firmware file: launch digest of SEV-SNP, MRTD of TDX.

A launch digest is computed twice, by virtee's sev-snp-measure and by the code that lists the pages and that verdicts
are explained with (``cloister/attestation/launch/snp.py``). If they differed, none would be shown.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cloister import userfile
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.launch.firmware import HOSTS, MAX_SIZE, Firmware
from cloister.attestation.launch.igvm import MAGIC, SEV_SNP, TDX, IgvmFile
from cloister.attestation.launch.ovmf import PAGE
from cloister.attestation.launch.snp import (
    MODELS,
    NOT_MEASURED,
    KernelHashes,
    MeasuredPage,
    OvmfFirmware,
    PageType,
    replay,
)
from cloister.attestation.launch.tdx import Order, TdFirmware, TdRegion
from cloister.errors import InputError
from image import cache
from image.errors import ImageError
from image.platforms import rtmr0
from image.platforms.machine_value import MachineValue, MeasuredStep, ValueKind

MAX_PROCESSORS = 4096
"""Virtual processors of a launch."""

_HINT = (
    "Pass the whole OVMF file that the host launches machines with, such as OVMF.fd or OVMF.amdsev.fd, or an IGVM file."
)
_IGVM_HINT = "Get the file again, for SEV-SNP or TDX."
_GUEST_FEATURES = 1  # SNP active, and nothing else; the library takes a number, its program's help says hexadecimal.
# Offset, what is there, and what such a file is.
_OTHERS = (
    (0, b"QFI\xfb", "a QCOW2 disk image; convert it: qemu-img convert -O raw FILE OVMF.fd"),
    (0, b"\x1f\x8b", "compressed by gzip; unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it"),
    (0, b"\xfd7zXZ\0", "compressed by xz; unpack it"),
    (0, b"!<arch>\n", "a Debian package; unpack it: dpkg-deb -x FILE FOLDER"),
    (0, b"\xed\xab\xee\xdb", "an RPM package; unpack it"),
    (0, b"MZ", "a program for UEFI, such as a kernel image"),
    (0, b"\x7fELF", "an ELF program"),
)
_VOLUME, _VOLUME_AT = b"_FVH", 40
_KIND_AT = 16
_VARIABLES = bytes.fromhex("8d2bf1ff96768b4ca9852747075b4f50")  # EFI_SYSTEM_NV_DATA_FV_GUID


@dataclass(frozen=True)
class HostLaunch:
    """How a host launches machines: number and models of virtual processors, and the kernel that it loads, if any."""

    DEFAULT_PROCESSORS: ClassVar = 2

    processors: int
    models: tuple[str, ...]
    kernel: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.processors <= MAX_PROCESSORS:
            raise InputError(
                f"--vcpus {self.processors} is not a number of virtual processors.",
                hint=f"Pass 1 to {MAX_PROCESSORS}.",
            )
        for model in self.models:
            if model not in MODELS:
                raise InputError(f"--model {model} is not a model with SEV-SNP.", hint=f"Pass {', '.join(MODELS)}.")


def measure(path: Path, launch: HostLaunch) -> tuple[MachineValue, ...]:
    """The measurements of every technology that the firmware is for. Raises InputError for another file."""
    data = read(path)
    try:
        firmware = Firmware.parse(data)
    except MalformedEvidence as error:
        if data.startswith(MAGIC):
            raise InputError(f"{path} cannot be measured: {error.place}.", hint=_IGVM_HINT) from error
        raise InputError(f"{path} is {_other(data) or f'not a firmware: {error.place}'}.", hint=_HINT) from error
    name = f"{path.name}, SHA-256 {hashlib.sha256(data).hexdigest()}"
    if firmware.igvm is not None:
        return tuple(_igvm(firmware.igvm, name))
    (reason,) = firmware.reasons or ("",)
    values: list[MachineValue] = []
    if firmware.snp is not None:
        values += _snp(firmware.snp, path, launch, name)
    else:
        values.append(MachineValue("launch digest", "SEV-SNP", ValueKind.MISSING, "", reason))
    if firmware.td is not None:
        values += (*(_mrtd(firmware.td, order, name) for order in Order), rtmr0.of_firmware(firmware.td))
    else:
        values.append(MachineValue("MRTD", "TDX", ValueKind.MISSING, "", reason))
    return tuple(values)


def read(path: Path) -> bytes:
    """The firmware file. Raises InputError."""
    try:
        return userfile.read(path, MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(path, error) from error


def _other(data: bytes) -> str:
    """What else the file is; empty if that is not known."""
    for offset, magic, words in _OTHERS:
        if data.startswith(magic, offset):
            return words
    if not data:
        return "empty"
    if data[_VOLUME_AT : _VOLUME_AT + 4] != _VOLUME:
        return ""
    if data[_KIND_AT : _KIND_AT + 16] == _VARIABLES and int.from_bytes(data[32:40], "little") >= len(data):
        return "a store of variables, not a firmware"
    return "a firmware volume that does not end like OVMF: it is cut off, or part of a firmware"


def _snp(firmware: OvmfFirmware, path: Path, launch: HostLaunch, name: str) -> Iterator[MachineValue]:
    """The launch digest for each model, without a kernel and with the image's if the firmware takes one."""
    kernels = [None] + ([launch.kernel] if launch.kernel is not None and firmware.takes_hashes else [])
    for kernel in kernels:
        hashes = None if kernel is None else KernelHashes(bytes.fromhex(cache.digest(kernel)))
        first = tuple(firmware.pages(hashes))
        start = replay(first)
        loaded = "no kernel from the host" if kernel is None else f"the kernel image {kernel.name} from the host"
        for model in launch.models:
            states = tuple(firmware.processors(MODELS[model], launch.processors))
            digest = replay(states, start)
            if digest != _by_the_library(path, kernel, MODELS[model], launch.processors):
                raise ImageError(
                    f"sev-snp-measure and Cloister compute different launch digests for {path}, model {model}.",
                    hint="Trust neither. Report the firmware's version to the developers of both.",
                )
            plural = "" if launch.processors == 1 else "s"
            of = f"SEV-SNP, {model}, {launch.processors} virtual processor{plural}, {loaded}"
            yield MachineValue("launch digest", of, ValueKind.PREDICTED, digest.hex(), name, _steps((*first, *states)))


def _by_the_library(path: Path, kernel: Path | None, model: int, processors: int) -> bytes:
    """The launch digest as virtee's sev-snp-measure computes it. Raises InputError for a firmware that it refuses."""
    from sevsnpmeasure import guest
    from sevsnpmeasure.sev_mode import SevMode

    loaded = "" if kernel is None else str(kernel)
    try:
        return guest.calc_launch_digest(SevMode.SEV_SNP, processors, model, str(path), loaded, "", "", _GUEST_FEATURES)
    except (AssertionError, AttributeError, RuntimeError, ValueError) as error:  # all of them for odd metadata
        raise InputError(
            f"sev-snp-measure computes no launch digest for {path}: {error or type(error).__name__}.",
            hint="Check that the file is what the host launches machines with.",
        ) from error


def _mrtd(firmware: TdFirmware, order: Order, name: str) -> MachineValue:
    steps = tuple(
        MeasuredStep(
            f"{region.pages} pages at {region.address:#x}, {_td_words(region)}: {region.kind.words}",
            hashlib.sha384(region.contents).hexdigest() if region.measured else "",
        )
        for region in firmware.regions
    )
    return MachineValue("MRTD", f"TDX, {order}", ValueKind.PREDICTED, firmware.mrtd(order).hex(), name, steps)


def _td_words(region: TdRegion) -> str:
    return (
        " and ".join(words for words, applies in (("added", region.added), ("measured", region.measured)) if applies)
        or "not added"
    )


def _igvm(file: IgvmFile, name: str) -> Iterator[MachineValue]:
    """The measurements of each confidential platform that the file is for."""
    if SEV_SNP in file.pages:
        found: dict[str, MachineValue] = {}
        for host, zero_pages in HOSTS.items():
            pages = tuple(file.measured(zero_pages=zero_pages))
            digest = replay(pages).hex()
            of = f"SEV-SNP, IGVM on {host}"
            found.setdefault(
                digest, MachineValue("launch digest", of, ValueKind.PREDICTED, digest, name, _steps(pages))
            )
        yield from found.values()
    if TDX in file.pages:
        steps = tuple(
            MeasuredStep(
                f"page at {one.address:#x}: {one.what}",
                hashlib.sha384(one.contents.ljust(PAGE, b"\0")).hexdigest() if one.measured else "",
                one.what,
            )
            for one in file.td_pages()
        )
        yield MachineValue("MRTD", "TDX, IGVM", ValueKind.PREDICTED, file.mrtd().hex(), name, steps)


def _steps(pages: Sequence[MeasuredPage]) -> tuple[MeasuredStep, ...]:
    return tuple(
        MeasuredStep(
            f"{one.kind.name} page at {one.address:#x}: {one.what}",
            "" if one.contents == NOT_MEASURED else one.contents.hex(),
            one.what if one.kind is not PageType.VMSA else "",
        )
        for one in pages
    )
