"""Measurements of a firmware file: values, the pages that lead to them, and files of other kinds."""

import hashlib
import struct
from pathlib import Path

import pytest

from cloister.attestation.launch.snp import MODELS
from cloister.attestation.testkit.firmware import SECTIONS, TD_SECTIONS, encode_firmware
from cloister.attestation.testkit.igvm import context, data_offset, encode_igvm, page, platform
from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.eventlog import EVENT_NAMES
from cloister.errors import InputError
from image.errors import ImageError
from image.inputs import host_tools
from image.platforms import firmware
from image.platforms.firmware import HostLaunch, measure
from image.platforms.machine_value import MeasuredStep, ValueKind
from tests.shared_files import VECTORS

BOTH = encode_firmware(td=TD_SECTIONS)
LAUNCH = HostLaunch(2, ("EPYC-Milan",))

OF_DEBIAN = {
    # usr/share/ovmf/OVMF.fd of ovmf 2025.02-8+deb13u1. launch digest: sev-snp-measure 0.0.13; MRTD: Google's
    # gce-tcb-verifier at 74582c07, and in both orders dstack-mr at 312dc605 (docs/measurements.md).
    "14954040cc754ade": (
        "b55b618cb48696814dc1d65d8be960d7c8916bf06dd0139fbc0e5a3d1ebd678c647af7abfb7da5ab1815054bf00ab69e",
        "bdc6fb145880f06f30c8b346b8dce2a99d9351b56892df22f80fcf6574caa9f9c31df8e8576d53b4d0cd1c3f28910e11",
        "456f07902150d008bb913c3e1e84e9297f735a6c83cd2a957a1f0a8bbedb06df188e3837ae48d32c73d473d097dc0db2",
    )
}


def written(tmp_path: Path, data: bytes, name: str = "OVMF.fd") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_firmware_of_the_host_tools_has_the_values_that_others_compute() -> None:
    path = host_tools.ensure(relock=True).path("usr/share/ovmf/OVMF.fd")
    known = OF_DEBIAN.get(hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    if known is None:
        pytest.skip("the lock of the host tools has another firmware")
    values = measure(path, LAUNCH)
    assert [(one.register, one.kind) for one in values] == [
        ("launch digest", ValueKind.PREDICTED),
        ("MRTD", ValueKind.PREDICTED),
        ("MRTD", ValueKind.PREDICTED),
        ("RTMR 0", ValueKind.HOST),
    ]
    assert tuple(one.value for one in values[:3]) == known


@pytest.mark.skipif(not VECTORS.is_dir(), reason="recorded evidence (../shared/vectors) is not here")
def test_events_of_rtmr_0_are_those_of_a_real_td() -> None:
    """An OVMF of 4 MiB, without keys for Secure Boot; what the host decides has no digest here."""
    path = host_tools.ensure(relock=True).path("usr/share/ovmf/OVMF.fd")
    said = measure(path, LAUNCH)[-1].steps
    log = Ccel.parse((VECTORS / "eventlog" / "CCEL_data_ovmf").read_bytes())
    events = [one for one in log.events if one.register == 1]
    for step, event in zip(said, events, strict=False):
        assert step.event.startswith(EVENT_NAMES[event.kind])
        assert step.digest in ("", event.digest.hex())
    assert sum(bool(step.digest) for step in said) == 6


def test_launch_digest_follows_from_its_pages_with_sha384_alone(tmp_path: Path) -> None:
    launch = HostLaunch(3, ("EPYC-Genoa",), written(tmp_path, b"the UKI", "uki.efi"))
    for value in measure(written(tmp_path, BOTH), launch)[:2]:
        found = bytes(48)
        for step in value.steps:
            kind, _, rest = step.event.partition(" page at ")
            number = {"NORMAL": 1, "VMSA": 2, "ZERO": 3, "SECRETS": 5, "CPUID": 6}[kind]
            contents = bytes.fromhex(step.digest) or bytes(48)
            info = struct.pack("<HBBIQ", 0x70, number, 0, 0, int(rest.split(":")[0], 16))
            found = hashlib.sha384(found + contents + info).digest()
        assert found.hex() == value.value


def test_every_model_and_a_launch_with_and_without_kernel_is_shown(tmp_path: Path) -> None:
    launch = HostLaunch(1, tuple(MODELS), written(tmp_path, b"the UKI", "uki.efi"))
    values = measure(written(tmp_path, BOTH), launch)
    assert len({one.value for one in values if one.value}) == 2 * len(MODELS) + 2
    assert values[0].of == "SEV-SNP, EPYC, 1 virtual processor, no kernel from the host"
    assert values[5].of == "SEV-SNP, EPYC, 1 virtual processor, the kernel image uki.efi from the host"
    without = measure(written(tmp_path, encode_firmware(SECTIONS[:-1])), launch)
    assert [one.register for one in without] == ["launch digest"] * len(MODELS) + ["MRTD"]


def test_only_the_first_processor_of_one_is_measured(tmp_path: Path) -> None:
    value = measure(written(tmp_path, BOTH), HostLaunch(1, ("EPYC",)))[0]
    assert [one.event for one in value.steps if one.event.startswith("VMSA")] == [
        "VMSA page at 0xfffffffff000: the first processor"
    ]


@pytest.mark.parametrize(
    ("data", "register"),
    [(encode_firmware(), "MRTD"), (encode_firmware(None, td=TD_SECTIONS), "launch digest")],
    ids=["SEV-SNP only", "TDX only"],
)
def test_technology_that_a_firmware_is_not_for_has_a_reason(tmp_path: Path, data: bytes, register: str) -> None:
    (missing,) = [one for one in measure(written(tmp_path, data), LAUNCH) if one.kind is ValueKind.MISSING]
    assert (missing.register, missing.value) == (register, "")
    assert "it is not a firmware for" in missing.source


def test_values_that_two_implementations_compute_differently_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firmware, "_by_the_library", lambda *words: bytes(48))
    with pytest.raises(ImageError, match="compute different launch digests"):
        measure(written(tmp_path, BOTH), LAUNCH)


def test_metadata_that_the_library_refuses_is_one_sentence(tmp_path: Path) -> None:
    """Here: the processors after the first one start nowhere."""
    data = BOTH.replace((0x80B004).to_bytes(4, "little"), bytes(4))
    with pytest.raises(InputError, match="sev-snp-measure computes no launch digest") as raised:
        measure(written(tmp_path, data), LAUNCH)
    assert raised.value.exit_code == 2


def igvm_file(*platforms: tuple[int, bytes]) -> bytes:
    def rows(at: int) -> list[tuple[int, bytes]]:
        return [*platforms, page(0x1000, at), page(0x2000), context(0xFFFFFFFFF000, at)]

    return encode_igvm(rows(data_offset(rows(0))), b"\x90" * 4096)


def test_igvm_file_has_a_value_for_each_host_and_technology(tmp_path: Path) -> None:
    values = measure(written(tmp_path, igvm_file(platform(1, 2), platform(2, 3))), LAUNCH)
    assert [one.of for one in values] == ["SEV-SNP, IGVM on Hyper-V", "SEV-SNP, IGVM on QEMU", "TDX, IGVM"]
    assert values[2].steps == (
        MeasuredStep(
            "page at 0x1000: contents of the file", hashlib.sha384(b"\x90" * 4096).hexdigest(), "contents of the file"
        ),
        MeasuredStep("page at 0x2000: zeros", hashlib.sha384(bytes(4096)).hexdigest(), "zeros"),
    )


OTHER_FILES = {
    "empty": (b"", "is empty"),
    "text": (b"firmware\n", "must be whole pages"),
    "cut at a page": (b"\0" * 4096, "does not end like OVMF"),
    "cut firmware": (bytes(40) + b"_FVH" + bytes(4096 - 44), "cut off, or part of a firmware"),
    "cut in a page": (BOTH[:-100], "must be whole pages"),
    "variables": (
        bytes(16)
        + bytes.fromhex("8d2bf1ff96768b4ca9852747075b4f50")
        + struct.pack("<Q", 8192)
        + b"_FVH"
        + bytes(8192 - 44),
        "a store of variables",
    ),
    "qcow2": (b"QFI\xfb" + bytes(4092), "convert it: qemu-img convert"),
    "gzip": (b"\x1f\x8b" + bytes(100), "unpack it"),
    "xz": (b"\xfd7zXZ\0" + bytes(100), "unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "unpack it"),
    "Debian package": (b"!<arch>\n" + bytes(100), "dpkg-deb"),
    "RPM": (b"\xed\xab\xee\xdb" + bytes(100), "an RPM package"),
    "kernel image": (b"MZ" + bytes(4094), "a program for UEFI"),
    "ELF": (b"\x7fELF" + bytes(4092), "an ELF program"),
    "no tables": (encode_firmware(None), "no SEV metadata"),
    "too large": (bytes(16 * 1024 * 1024 + 4096), "is more than 16777216 bytes"),
    "cut IGVM": (igvm_file(platform(1, 2))[:-1], "total_file_size"),
    "IGVM of another platform": (encode_igvm([platform(1, 0)]), "include neither SEV-SNP nor TDX"),
}


@pytest.mark.parametrize("name", OTHER_FILES)
def test_file_of_another_kind_is_one_sentence(tmp_path: Path, name: str) -> None:
    data, words = OTHER_FILES[name]
    with pytest.raises(InputError) as raised:
        measure(written(tmp_path, data), LAUNCH)
    assert words in raised.value.message
    assert raised.value.hint
    assert raised.value.exit_code == 2


def test_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, Path("/dev/null")):
        with pytest.raises(InputError, match="cannot be read"):
            measure(path, LAUNCH)


@pytest.mark.parametrize(("processors", "model"), [(0, "EPYC"), (-1, "EPYC"), (4097, "EPYC"), (2, "EPYC-Naples")])
def test_impossible_launch_is_refused(processors: int, model: str) -> None:
    with pytest.raises(InputError, match=r"--vcpus|--model"):
        HostLaunch(processors, (model,))
