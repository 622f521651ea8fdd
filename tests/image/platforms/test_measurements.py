"""All that the verb shows: the image's registers, a firmware's measurements, one platform's registers."""

from pathlib import Path

import pytest

from cloister.attestation.testkit.firmware import TD_SECTIONS, encode_firmware
from cloister.errors import InputError
from image.platforms.machine_value import MachineValue, MeasuredStep, ValueKind
from image.platforms.measurements import measure
from tests.image.platforms.test_registers import image

__all__ = ["image"]


@pytest.fixture
def firmware(tmp_path: Path) -> str:
    path = tmp_path / "OVMF.fd"
    path.write_bytes(encode_firmware(td=TD_SECTIONS))
    return str(path)


def shown(values: tuple[MachineValue, ...]) -> list[tuple[str, ValueKind, bool]]:
    return [(one.register, one.kind, bool(one.value)) for one in values]


def test_platform_shows_what_the_named_firmware_measures(image: Path, firmware: str) -> None:
    own = shown(measure(image, firmware, 2, "EPYC-Milan", "sev-snp"))
    assert own == [("launch digest", ValueKind.PREDICTED, True)] * 2
    td = shown(measure(image, firmware, 2, "", "tdx"))
    assert td[:3] == [("MRTD", ValueKind.PREDICTED, True)] * 2 + [("RTMR 0", ValueKind.HOST, False)]
    without = shown(measure(image, "", 2, "", "sev-snp"))
    assert without == [("launch digest", ValueKind.MISSING, False)]


def test_firmware_file_says_nothing_of_a_clouds_firmware(image: Path, firmware: str) -> None:
    for platform in ("azure-snp", "azure-tdx", "gcp-snp", "gcp-tdx"):
        (first, *_) = measure(image, firmware, 2, "", platform)
        assert (first.kind, first.value) == (ValueKind.VENDOR_ENDORSED, "")


def test_launch_without_a_firmware_is_refused(image: Path) -> None:
    for processors, model in ((4, ""), (2, "EPYC-Milan")):
        with pytest.raises(InputError, match="--vcpus and --model") as raised:
            measure(image, "", processors, model, "")
        assert raised.value.exit_code == 2


def test_text_has_pages_of_one_part_in_one_line_and_json_each() -> None:
    pages = tuple(MeasuredStep(f"page {number}", f"{number:02x}" * 48, "the firmware") for number in range(3))
    value = MachineValue("launch digest", "SEV-SNP", ValueKind.PREDICTED, "ab" * 48, "OVMF.fd", pages)
    assert [one for one in value.lines(explain=True) if "page" in one] == ["    page 0 to page 2 (3 pages)"]
    assert len(value.lines(explain=False)) == 2
    assert value.to_dict(explain=True)["steps"] == [{"event": one.event, "digest": one.digest} for one in pages]
    assert "steps" not in value.to_dict(explain=False)


def test_recorded_value_is_shown_with_its_source() -> None:
    value = MachineValue("PCR 2", "", ValueKind.RECORDED, "ab" * 32, "a log")
    assert any("source: a log" in line for line in value.lines(explain=False))
