"""For each cause of another launch digest: what was launched, found by trying the caller's own firmware and images."""

import dataclasses
import hashlib
import struct
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from cloister.attestation.cause import Likely
from cloister.attestation.diagnosis.explain import explained
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.raw_log import EventLogs
from cloister.attestation.snp.launch import MODELS, KernelHashes, OvmfFirmware
from cloister.attestation.testkit import Processor, SnpMachine
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from tests.attestation.clouds import AT, BINDING, MANIFEST, Case

_GUIDS = {
    "footer": UUID("96b582de-1fb2-45f7-baea-a366c55a082d"),
    "hashes": UUID("7255371f-3a3b-4b04-927b-1da6efa8d454"),
    "reset": UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e"),
    "metadata": UUID("dc886566-984a-4798-a75e-5585a7bf67cc"),
}
SECTIONS = (
    (0x800000, 0x9000, 1),
    (0x80A000, 0x3000, 1),
    (0x80D000, 0x1000, 2),
    (0x80E000, 0x1000, 3),
    (0x810000, 0x1000, 0x10),
)


def ovmf(sections: tuple[tuple[int, int, int], ...] = SECTIONS, *, fill: bytes = b"code", pages: int = 4) -> bytes:
    """A firmware with the tables of OVMF and nothing else."""
    size = pages * 4096
    metadata = b"ASEV" + struct.pack("<III", 16 + 12 * len(sections), 1, len(sections))
    metadata += b"".join(struct.pack("<III", *one) for one in sections)

    def entry(name: str, data: bytes) -> bytes:
        return data + struct.pack("<H", len(data) + 18) + _GUIDS[name].bytes_le

    entries = entry("metadata", struct.pack("<I", size - 64)) + entry("reset", struct.pack("<I", 0x80B004))
    entries += entry("hashes", struct.pack("<II", 0x810C00, 0x400))
    table = entries + struct.pack("<H", len(entries) + 18) + _GUIDS["footer"].bytes_le
    body = (fill * size)[:64] + metadata
    return body + (fill * size)[: size - len(body) - len(table) - 32] + table + bytes(32)


FIRMWARE = OvmfFirmware.parse(ovmf())
KERNEL = hashlib.sha256(b"the UKI").digest()


def image(kernel: bytes = KERNEL, flavor: str = "base") -> ImageManifest:
    return ImageManifest(flavor, False, {}, {"uki.efi": ImageOutput(kernel.hex(), 7)}, {})


def digest(
    processors: int, model: str = "EPYC-Milan", kernel: bytes | None = KERNEL, firmware: OvmfFirmware = FIRMWARE
) -> bytes:
    start = firmware.digest(None if kernel is None else KernelHashes(kernel))
    return list(firmware.launch_digests(start, MODELS[model], processors))[-1]


OTHER_FIRMWARE = OvmfFirmware.parse(ovmf(fill=b"edoc"))
CASES = {
    "processors": (digest(8), Likely.PROCESSORS, "8 virtual processors of the model EPYC-Milan"),
    "model": (digest(2, "EPYC-Genoa"), Likely.PROCESSORS, "2 virtual processors of the model EPYC-Genoa"),
    "image": (digest(2, kernel=hashlib.sha256(b"other").digest()), Likely.IMAGE, "the kernel of the image other"),
    "no kernel": (digest(2, kernel=None), Likely.IMAGE, "no kernel from the host"),
    "firmware": (digest(2, firmware=OTHER_FIRMWARE), Likely.FIRMWARE, "firmware 2,"),
    "unknown": (hashlib.sha384(b"?").digest(), Likely.IMAGE, "none of "),
}


@pytest.fixture(scope="module")
def machine() -> SnpMachine:
    return SnpMachine.create(Processor.create(AT), manifest_digest=MANIFEST)


def case_of(machine: SnpMachine, measurement: bytes, accepted: bytes) -> Case:
    reference = dataclasses.replace(machine.image(), launch_digests=(accepted,))
    changed = dataclasses.replace(machine, fields={"measurement": measurement})
    return Case(changed.evidence(BINDING), machine.policy(images=(reference,)), (machine.processor.amd.anchor(),))


@pytest.mark.parametrize("name", CASES)
def test_each_cause_of_another_launch_digest_is_named(machine: SnpMachine, name: str) -> None:
    measurement, likely, words = CASES[name]
    case = case_of(machine, measurement, digest(2))
    verdict = case.verdict()
    images = [image(), image(hashlib.sha256(b"other").digest(), "other")]
    found = explained(verdict, case.evidence, images, [FIRMWARE, OTHER_FIRMWARE])
    (cause,) = found.causes
    assert (cause.check, cause.likely, cause.place) == ("snp-launch-digest", likely, "launch digest")
    assert words in cause.found
    assert "2 virtual processors of the model EPYC-Milan" in cause.expected
    assert not found.accepted
    assert dataclasses.replace(found, causes=()) == verdict


def test_policy_for_another_firmware_is_told(machine: SnpMachine) -> None:
    case = case_of(machine, digest(4), hashlib.sha384(b"of a firmware that I do not have").digest())
    (cause,) = explained(case.verdict(), case.evidence, [image()], [FIRMWARE]).causes
    assert (cause.likely, cause.expected) == (Likely.FIRMWARE, "")
    assert "4 virtual processors" in cause.found


def test_without_a_firmware_nothing_is_guessed(machine: SnpMachine) -> None:
    case = case_of(machine, digest(8), digest(2))
    assert explained(case.verdict(), case.evidence, [image()]).causes == ()


def test_launch_digests_equal_those_of_an_independent_implementation(tmp_path: Path) -> None:
    guest = pytest.importorskip("sevsnpmeasure.guest")
    types = pytest.importorskip("sevsnpmeasure.vcpu_types")
    modes = pytest.importorskip("sevsnpmeasure.sev_mode")
    for name, data in (("ovmf", ovmf()), ("kernel", b"the UKI")):
        (tmp_path / name).write_bytes(data)
    for model, signature in MODELS.items():
        assert signature == types.CPU_SIGS[model]
        for kernel in (None, KERNEL):
            for processors in (1, 2, 5):
                loaded = str(tmp_path / "kernel") if kernel else None
                theirs = guest.calc_launch_digest(
                    modes.SevMode.SEV_SNP, processors, signature, str(tmp_path / "ovmf"), loaded, None, None, 1
                )
                assert digest(processors, model, kernel) == theirs


GOOD = ovmf()
MALFORMED = {
    "no pages": b"",
    "part of a page": GOOD[:-1],
    "no table": bytes(8192),
    "no metadata": GOOD.replace(_GUIDS["metadata"].bytes_le, bytes(16)),
    "no signature": GOOD.replace(b"ASEV", b"ASEW"),
    "table larger than the firmware": GOOD[:-50] + b"\xff\xff" + GOOD[-48:],
    "entry of no size": GOOD[:-68] + b"\0\0" + GOOD[-66:],
    "unknown section": ovmf(((0x800000, 0x1000, 9),)),
    "huge section": ovmf(((0x800000, 0xFFFFF000, 1),)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_firmware_is_refused(name: str) -> None:
    with pytest.raises(MalformedEvidence, match="firmware"):
        OvmfFirmware.parse(MALFORMED[name])


def test_firmware_without_a_page_for_hashes_takes_no_kernel() -> None:
    plain = OvmfFirmware.parse(ovmf(SECTIONS[:-1]))
    assert not plain.takes_hashes
    with pytest.raises(MalformedEvidence, match="no page for the hashes"):
        plain.digest(KernelHashes(KERNEL))
    assert explained(SimpleNamespace(failures=()), EventLogs(), [image()], [plain]) is not None
