"""What is said of each platform: complete, sourced, and as real machines recorded it."""

import hashlib
import json
from pathlib import Path

import pytest

from cloister.attestation.evidence import Platform
from cloister.attestation.tpm.eventlog import EventLog
from cloister.errors import InputError
from image.platforms import reference
from image.platforms.machine_value import MachineValue, ValueKind
from tests.shared_files import VECTORS

ALL = [(platform, one) for platform in Platform for one in reference.load(platform)]
RECORDED = [(platform, one) for platform, one in ALL if one.kind is ValueKind.RECORDED]
TPM = ("PCR 0", "PCR 1", "PCR 2", "PCR 3", "PCR 4", "PCR 5", "PCR 6", "PCR 7", "PCR 9", "PCR 11", "PCR 12", "PCR 13")
SHOWN = {
    Platform.LOCAL: TPM,
    Platform.SEV_SNP: ("launch digest",),
    Platform.TDX: ("MRTD", "RTMR 0", "RTMR 1", "RTMR 2"),
    Platform.AZURE_SNP: ("launch digest", *TPM),
    Platform.AZURE_TDX: ("MRTD", "RTMR 0 to 3", *TPM),
    Platform.GCP_SNP: ("launch digest", *TPM),
    Platform.GCP_TDX: ("MRTD", "RTMR 0", "RTMR 1", "RTMR 2"),
}


@pytest.mark.parametrize("platform", Platform)
def test_every_register_of_the_evidence_is_listed_once(platform: Platform) -> None:
    assert sorted(one.register for one in reference.load(platform)) == sorted(SHOWN[platform])


def test_platforms_are_those_of_evidence() -> None:
    assert sorted(Platform) == sorted(reference.PLATFORMS)


def test_every_statement_has_a_source_and_only_recorded_ones_a_value() -> None:
    for _, one in ALL:
        assert one.source
        assert bool(one.value) == (one.kind is ValueKind.RECORDED)
        assert one.kind is not ValueKind.MISSING


def test_recorded_pcrs_follow_from_their_events() -> None:
    for _, one in RECORDED:
        if one.register.startswith("PCR"):
            value = bytes(32)
            for step in one.steps:
                value = hashlib.sha256(value + bytes.fromhex(step.digest)).digest()
            assert value.hex() == one.value


def test_what_only_a_vendor_can_say_is_never_predicted() -> None:
    for platform, one in ALL:
        if platform.startswith(("azure", "gcp")) and one.register in ("launch digest", "MRTD"):
            assert one.kind is ValueKind.VENDOR_ENDORSED


def of(platform: Platform, register: str) -> MachineValue:
    (found,) = [one for one in reference.load(platform) if one.register == register]
    return found


@pytest.mark.skipif(not VECTORS.is_dir(), reason="recorded evidence (../shared/vectors) is not here")
def test_recorded_values_are_those_of_the_recordings() -> None:
    log = EventLog.parse((VECTORS / "eventlog" / "ubuntu-2404-amd-sevsnp.bin").read_bytes())
    replayed = log.replay(range(8))
    for index in (0, 2, 3, 6):
        assert of(Platform.GCP_SNP, f"PCR {index}").value == replayed[index].hex()
    for platform, folder in ((Platform.AZURE_SNP, "azure-snp"), (Platform.AZURE_TDX, "azure-tdx")):
        quoted = json.loads((VECTORS / folder / "tpm-quote-v1.json").read_bytes())["pcrs"]
        for index in (2, 3):
            found = quoted[index] if isinstance(quoted[index], str) else bytes(quoted[index]).hex()
            assert of(platform, f"PCR {index}").value == found


def test_registers_get_the_values_that_were_computed() -> None:
    computed = (
        MachineValue("RTMR 1", "firmware from edk2-stable202411 on", ValueKind.PREDICTED, "aa", "the image"),
        MachineValue("RTMR 1", "older firmware", ValueKind.PREDICTED, "bb", "the image"),
        MachineValue("RTMR 2", "", ValueKind.PREDICTED, "cc", "the image"),
        MachineValue("MRTD", "TDX, page by page", ValueKind.PREDICTED, "dd", "OVMF.fd"),
    )
    gcp = reference.of_platform(Platform.GCP_TDX, computed)
    assert [(one.register, one.value) for one in gcp] == [
        ("MRTD", ""),
        ("RTMR 0", ""),
        ("RTMR 1", "aa"),
        ("RTMR 2", "cc"),
    ]
    own = reference.of_platform(Platform.TDX, computed)
    assert [one.value for one in own] == ["dd", "", "aa", "bb", "cc"]
    (missing,) = reference.of_platform(Platform.SEV_SNP, computed)
    assert (missing.kind, "--firmware" in missing.source) == (ValueKind.MISSING, True)


def test_prediction_for_an_images_own_keys_replaces_a_recording_without_them() -> None:
    signed = MachineValue("PCR 7", "firmware with the image's keys alone", ValueKind.PREDICTED, "aa", "the image")
    off = [one.value for one in reference.of_platform("local", ()) if one.register == "PCR 7"]
    on = [one.value for one in reference.of_platform("local", (signed,)) if one.register == "PCR 7"]
    assert (off, on) == ([of(Platform.LOCAL, "PCR 7").value], ["aa"])
    (cloud,) = [one for one in reference.of_platform("gcp-snp", (signed,)) if one.register == "PCR 7"]
    assert (cloud.kind, cloud.value) == (ValueKind.HOST, "")


def test_unknown_platform_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError) as raised:
        reference.load("ec2")
    assert "gcp-tdx" in raised.value.hint


def test_files_are_canonical_for_a_reader() -> None:
    for path in Path(reference.__file__).parent.glob("*.json"):
        text = path.read_text()
        assert json.dumps(json.loads(text), indent=1) + "\n" == text
