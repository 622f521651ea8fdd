"""Registers that follow from an image: values of a small one as literals, and the order in which real TDs measure."""

import hashlib
from pathlib import Path

import pytest

from cloister.attestation.tpm.ccel import Ccel
from cloister.errors import InputError
from image.formats import disk
from image.platforms import registers
from image.platforms.machine_value import ValueKind
from tests.image.build.test_measure import small_uki
from tests.shared_files import VECTORS

ACTION, APPLICATION, TABLE, SEPARATOR = 0x80000007, 0x80000003, 0x80000006, 0x4


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "uki.efi").write_bytes(small_uki())
    (tmp_path / "disk.raw").write_bytes(disk.build(small_uki(), b"root", b"tree", bytes(range(32))))
    return tmp_path


def test_registers_of_a_small_image_follow_from_their_events(image: Path) -> None:
    values = registers.predict(image)
    assert [one.register for one in values] == [
        *(f"PCR {index}" for index in (2, 3, 4, 5, 6, 9, 11, 12, 13)),
        "RTMR 1",
        "RTMR 1",
        "RTMR 2",
    ]
    for one in values:
        name = "sha256" if one.register.startswith("PCR") else "sha384"
        found = bytes(hashlib.new(name).digest_size)
        for step in one.steps:
            found = hashlib.new(name, found + bytes.fromhex(step.digest)).digest()
        assert (one.value, one.kind) == (found.hex(), ValueKind.PREDICTED)


def test_partition_table_is_measured_with_its_header_and_used_entries(image: Path) -> None:
    """UEFI_GPT_DATA: 92 bytes, a number of 8 bytes, and 128 bytes for each of three partitions."""
    raw = (image / "disk.raw").read_bytes()
    measured = raw[512:604] + (3).to_bytes(8, "little") + raw[1024 : 1024 + 3 * 128]
    (found,) = [one for one in registers.predict(image) if one.register == "PCR 5"]
    assert found.steps[1].digest == hashlib.sha256(measured).hexdigest()
    before = {one.register: one.value for one in registers.predict(image)}
    (image / "disk.raw").write_bytes(disk.build(small_uki(), b"root", b"tree", bytes(32)))
    after = {one.register: one.value for one in registers.predict(image)}
    assert {name for name in before if before[name] != after[name]} == {"PCR 5", "RTMR 1"}


def test_missing_or_strange_disk_is_one_sentence(image: Path) -> None:
    (image / "disk.raw").write_bytes(bytes(4096))
    with pytest.raises(InputError, match="is not a disk"):
        registers.predict(image)
    (image / "disk.raw").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        registers.predict(image)


@pytest.mark.skipif(not VECTORS.is_dir(), reason="recorded evidence (../shared/vectors) is not here")
@pytest.mark.parametrize("name", ["CCEL_data_gcp", "ccel_data.dat"])
def test_order_of_rtmr_1_is_that_of_real_machines(name: str) -> None:
    events = [one for one in Ccel.parse((VECTORS / "eventlog" / name).read_bytes()).events if one.register == 2]
    of_programs = [
        one
        for one in events
        if one.kind in (SEPARATOR, APPLICATION) or (one.kind == ACTION and one.data.startswith(b"Calling"))
    ]
    exits = [one for one in events if one.kind == ACTION and one not in of_programs]
    (table,) = [one for one in events if one.kind == TABLE]
    boundary = next(one for one in events if one.kind == SEPARATOR)
    assert registers.td_programs(of_programs, [boundary, table, *exits], separator=True) == events


@pytest.mark.skipif(not VECTORS.is_dir(), reason="recorded evidence (../shared/vectors) is not here")
def test_older_firmware_measures_the_separator_into_rtmr_0(image: Path) -> None:
    log = Ccel.parse((VECTORS / "eventlog" / "CCEL_data_ovmf").read_bytes())
    separators = [one.register - 1 for one in log.events if one.kind == SEPARATOR]
    assert separators == [0, 0]
    (older,) = (one for one in registers.predict(image) if one.of == "older firmware")
    assert not any("EV_SEPARATOR" in step.event for step in older.steps)
