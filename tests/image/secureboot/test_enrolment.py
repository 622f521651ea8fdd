"""Keys for a firmware: updates equal to those of efitools, and a variable store that other programs read."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest

from image.errors import ImageError
from image.inputs import host_tools
from image.secureboot import enrolment, varstore
from image.secureboot.keys import NAMES, Certificates, Signer
from image.secureboot.varstore import StoredVariable

EFITOOLS = Path(__file__).with_name("efitools")
"""Keys of a test, and what efitools 1.9.2 (`cert-to-efi-sig-list`, `sign-efi-sig-list -t "2026-01-02 03:04:05"`) made
of them. The time is the start of the certificates' period.
"""

_GLOBAL, _SECURITY = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c"), UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")


@pytest.mark.parametrize(("name", "signed_by"), [("PK", "PK"), ("KEK", "PK"), ("db", "KEK")])
def test_update_is_that_of_efitools_byte_for_byte(name: str, signed_by: str) -> None:
    """sbvarsign 0.9.4 counts months from 0, so that its updates bear the month before."""
    variables = {one.name: one for one in enrolment.variables(Certificates.load(EFITOOLS))}

    made = enrolment.update(variables[name], Signer.load(EFITOOLS, signed_by))
    assert made == (EFITOOLS / f"{name}.auth").read_bytes()


@pytest.mark.parametrize(
    ("moment", "encoded"),
    [
        (datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC), "ea07011f173b3a000000000000000000"),
        (datetime(2026, 12, 1, 0, 0, 0, tzinfo=UTC), "ea070c01000000000000000000000000"),
        (datetime(2027, 1, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=2))), "ea070c1f170000000000000000000000"),
    ],
)
def test_time_counts_months_from_one_and_is_utc(moment: datetime, encoded: str) -> None:
    assert enrolment.efi_time(moment).hex() == encoded


def _empty_store() -> bytes:
    """A firmware volume with an empty store, as OVMF has it: header, 4 KiB of store, erased."""
    volume = bytearray(b"\xff" * 8192)
    volume[16:32] = bytes.fromhex("8d2bf1ff96768b4ca9852747075b4f50")  # EFI_SYSTEM_NV_DATA_FV_GUID
    volume[40:44], volume[48:50] = b"_FVH", (72).to_bytes(2, "little")
    store = bytes.fromhex("782cf3aa7b949a43a1802e144ec37792") + (4096).to_bytes(4, "little") + b"\x5a\xfe" + bytes(6)
    volume[72 : 72 + len(store)] = store
    return bytes(volume)


def test_enrolled_keys_are_read_back() -> None:
    certificates = Certificates.load(EFITOOLS)
    found = list(varstore.variables(enrolment.enrolled(_empty_store(), certificates)))

    assert [(one.name, one.vendor, one.attributes) for one in found] == [
        ("PK", _GLOBAL, 0x27),
        ("KEK", _GLOBAL, 0x27),
        ("db", _SECURITY, 0x27),
    ]
    assert {one.time.hex() for one in found} == {"ea070102030405000000000000000000"}
    for one, der in zip(found, certificates.by_name().values(), strict=True):
        assert one.contents.endswith(der)


def test_variables_are_appended_and_the_rest_of_the_store_stays() -> None:
    first = StoredVariable("One", _GLOBAL, b"abc")
    store = varstore.add(_empty_store(), [first])
    both = varstore.add(store, [second := StoredVariable("Two", _SECURITY, b"d", 3, bytes(range(16)))])

    assert list(varstore.variables(both)) == [first, second]
    changed = [place for place, (old, new) in enumerate(zip(store, both, strict=True)) if old != new]
    assert min(changed) >= 72 + 28 + 60 + len("One\0") * 2 + 3
    assert max(changed) < 72 + 4096


@pytest.mark.parametrize(
    ("store", "says"),
    [
        (b"", "too short"),
        (bytes(8192), "not a firmware volume"),
        (_empty_store().replace(bytes.fromhex("782cf3aa"), bytes(4)), "store of authenticated variables"),
    ],
    ids=["nothing", "zeros", "another store"],
)
def test_what_is_not_a_store_is_refused(store: bytes, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        varstore.add(store, [StoredVariable("One", _GLOBAL, b"")])


def test_variable_that_is_there_or_too_large_is_refused() -> None:
    store = varstore.add(_empty_store(), [StoredVariable("One", _GLOBAL, b"")])

    with pytest.raises(ImageError, match="has a variable One already"):
        varstore.add(store, [StoredVariable("One", _GLOBAL, b"")])
    with pytest.raises(ImageError, match=r"has 4000 bytes left, and 4168 are needed"):
        varstore.add(store, [StoredVariable("Two", _GLOBAL, bytes(4100))])


def test_store_of_the_firmware_that_starts_machines_takes_the_keys() -> None:
    tools = host_tools.find()
    if tools is None:
        pytest.skip("the host tools are not unpacked: `make setup`")
    store = tools.path("usr/share/OVMF/OVMF_VARS_4M.fd").read_bytes()
    names = [one.name for one in varstore.variables(enrolment.enrolled(store, Certificates.load(EFITOOLS)))]

    assert names[-3:] == list(NAMES)


def test_virt_firmware_reads_the_same_keys(tmp_path: Path) -> None:
    """Its variable stores are what libvirt's users have (`pip install virt-firmware`)."""
    edk2 = pytest.importorskip("virt.firmware.varstore.edk2")
    (tmp_path / "variables.fd").write_bytes(enrolment.enrolled(_empty_store(), Certificates.load(EFITOOLS)))
    found = edk2.Edk2VarStore(str(tmp_path / "variables.fd")).get_varlist()

    assert sorted(str(name) for name in found) == sorted(NAMES)
    for name, der in Certificates.load(EFITOOLS).by_name().items():
        assert found[name].data == enrolment.signature_list(der)
