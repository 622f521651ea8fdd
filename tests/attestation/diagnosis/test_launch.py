"""For each cause of another launch digest: what was launched, found by trying the caller's own firmware and images."""

import dataclasses
import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from cloister.attestation.diagnosis.explain import EventLogs, explained
from cloister.attestation.diagnosis.launch import explain_mrtd
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.launch.firmware import Firmware
from cloister.attestation.launch.snp import MODELS, KernelHashes, OvmfFirmware, replay
from cloister.attestation.result.cause import Likely
from cloister.attestation.testkit import Processor, SnpMachine
from cloister.attestation.testkit.firmware import GUIDS, SECTIONS, TD_SECTIONS, encode_firmware
from cloister.attestation.testkit.igvm import encode_igvm, page, platform
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from tests.attestation.clouds import AT, BINDING, MANIFEST, Case

FIRMWARE = Firmware.parse(encode_firmware())
KERNEL = hashlib.sha256(b"the UKI").digest()


def image(kernel: bytes = KERNEL, flavor: str = "base") -> ImageManifest:
    return ImageManifest(flavor, False, {}, {"uki.efi": ImageOutput(kernel.hex(), 7)}, {})


def digest(
    processors: int, model: str = "EPYC-Milan", kernel: bytes | None = KERNEL, firmware: Firmware = FIRMWARE
) -> bytes:
    ovmf = firmware.snp
    assert ovmf is not None
    start = ovmf.digest(None if kernel is None else KernelHashes(kernel))
    return list(ovmf.launch_digests(start, MODELS[model], processors))[-1]


OTHER_FIRMWARE = Firmware.parse(encode_firmware(fill=b"edoc"))
IGVM = Firmware.parse(encode_igvm([platform(1, 2), page(0x1000)]))
TD_FIRMWARE = Firmware.parse(encode_firmware(td=TD_SECTIONS))
CASES = {
    "processors": (digest(8), Likely.PROCESSORS, "8 virtual processors of the model EPYC-Milan"),
    "model": (digest(2, "EPYC-Genoa"), Likely.PROCESSORS, "2 virtual processors of the model EPYC-Genoa"),
    "image": (digest(2, kernel=hashlib.sha256(b"other").digest()), Likely.IMAGE, "the kernel of the image other"),
    "no kernel": (digest(2, kernel=None), Likely.IMAGE, "no kernel from the host"),
    "firmware": (digest(2, firmware=OTHER_FIRMWARE), Likely.FIRMWARE, "firmware 2,"),
    "IGVM": (dict(IGVM.igvm_digests())["QEMU"], Likely.FIRMWARE, "firmware 3, an IGVM file on QEMU"),
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
    found = explained(verdict, case.evidence, images, [FIRMWARE, OTHER_FIRMWARE, IGVM, TD_FIRMWARE])
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
    for name, data in (("ovmf", encode_firmware()), ("kernel", b"the UKI")):
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


GOOD = encode_firmware()
MALFORMED = {
    "no pages": b"",
    "part of a page": GOOD[:-1],
    "no table": bytes(8192),
    "no metadata": GOOD.replace(GUIDS["metadata"].bytes_le, bytes(16)),
    "no signature": GOOD.replace(b"ASEV", b"ASEW"),
    "table larger than the firmware": GOOD[:-50] + b"\xff\xff" + GOOD[-48:],
    "entry of no size": GOOD[:-68] + b"\0\0" + GOOD[-66:],
    "unknown section": encode_firmware(((0x800000, 0x1000, 9),)),
    "section inside a page": encode_firmware(((0x800010, 0x1000, 1),)),
    "section of half a page": encode_firmware(((0x800000, 0x800, 1),)),
    "two pages of secrets": encode_firmware(((0x800000, 0x2000, 2),)),
    "no page for CPUID": encode_firmware(((0x800000, 0, 3),)),
    "huge section": encode_firmware(((0x800000, 0xFFFFF000, 1),)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_firmware_is_refused(name: str) -> None:
    with pytest.raises(MalformedEvidence, match="firmware"):
        OvmfFirmware.parse(MALFORMED[name])


def test_firmware_without_a_page_for_hashes_takes_no_kernel() -> None:
    plain = OvmfFirmware.parse(encode_firmware(SECTIONS[:-1]))
    assert not plain.takes_hashes
    with pytest.raises(MalformedEvidence, match="no page for the hashes"):
        plain.digest(KernelHashes(KERNEL))
    assert explained(SimpleNamespace(failures=()), EventLogs(), [image()], [Firmware(plain)]) is not None


def test_pages_of_a_launch_lead_to_its_digest() -> None:
    ovmf = OvmfFirmware.parse(encode_firmware())
    pages = [*ovmf.pages(KernelHashes(KERNEL)), *ovmf.processors(MODELS["EPYC-Rome"], 3)]
    assert replay(pages) == digest(3, "EPYC-Rome")


MRTDS = [value.hex() for _, value in TD_FIRMWARE.mrtds()]


@pytest.mark.parametrize(
    ("expected", "found", "words"),
    [
        (MRTDS[0], MRTDS[1], ("firmware 2, page by page", "firmware 2, all pages of a region added")),
        ("ab" * 48, MRTDS[0], ("ab" * 48, "firmware 2, page by page")),
        (f"{'ab' * 48} or {MRTDS[0]}", "cd" * 48, ("firmware 2, page by page", "cd" * 48)),
    ],
)
def test_mrtd_that_differs_is_found_in_the_callers_firmware(expected: str, found: str, words: tuple[str, str]) -> None:
    check = SimpleNamespace(name="tdx-mrtd", expected=expected, found=found)
    cause = explain_mrtd(check, "MRTD", [FIRMWARE, TD_FIRMWARE])
    assert cause.likely is Likely.FIRMWARE
    assert cause.expected.startswith(words[0])
    assert cause.found.startswith(words[1])
