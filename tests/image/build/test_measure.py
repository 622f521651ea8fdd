"""Predicted measurements of a small kernel image, as literal values.

The tests that boot a VM (tests/e2e) compare the formulas with firmware, stub and kernel.
"""

import hashlib

from cloister.protocol.imagemanifest import replayed, replayed_rtmr
from image.build import measure
from image.formats import uki
from tests.image.small_programs import efi_program

KERNEL = efi_program([(".text", b"\x90" * 700)])


def small_uki(command_line: str = "quiet panic=-1", initrd: bytes = b"initrd") -> bytes:
    return uki.build(
        uki.UkiParts(
            stub=efi_program(), linux=KERNEL, initrd=initrd, command_line=command_line, os_release=b"ID=small\n"
        )
    )


def test_the_values_of_a_small_image_are_known() -> None:
    values = {index: replayed(events) for index, events in measure.predict(small_uki()).items()}

    assert values == {
        4: "7a8257cddd90ee40d262b778d208156080476cb457eff169a59c8208f6e0e3ea",
        9: "db2efdf5ed36f3ed0c89731bf76fada6d4d8481093c361c44af2e1a21cf7cebb",
        11: "0ac8ac3ac880cedb878b5263eb96001b392c1b65a22dd9a292cc6504d7f574c5",
        12: "00" * 32,
        13: "00" * 32,
    }


def test_the_events_of_each_register_lead_to_its_value() -> None:
    events = measure.predict(small_uki())[4]
    assert len(events) == 4
    value, rtmr = bytes(32), bytes(48)
    for event in events:
        value = hashlib.sha256(value + bytes.fromhex(event.sha256)).digest()
        rtmr = hashlib.sha384(rtmr + bytes.fromhex(event.sha384)).digest()
    assert (replayed(events), replayed_rtmr(events)) == (value.hex(), rtmr.hex())


def test_sections_are_measured_by_name_and_contents_in_the_stubs_order() -> None:
    events = [event.event for event in measure.predict(small_uki())[11]]

    assert events == [
        f"EV_IPL: {text}"
        for name in (".linux", ".osrel", ".cmdline", ".initrd", ".sbat")
        for text in (f"the name {name} with its end", f"the contents of {name}")
    ]


def test_command_line_changes_registers_4_9_and_11() -> None:
    one, other = measure.predict(small_uki()), measure.predict(small_uki("quiet panic=-1 evil"))

    assert [index for index in one if replayed(one[index]) != replayed(other[index])] == [4, 9, 11]


def test_kernel_gets_the_padded_initrd_followed_by_os_release() -> None:
    handed = measure.handed_over_initrd({".initrd": b"12345", ".osrel": b"ID=small\n"})

    assert handed[:8] == b"12345\0\0\0"
    assert b".extra/os-release\0" in handed
    assert handed.endswith(b"TRAILER!!!\0\0\0\0")


def test_flipped_bit_of_the_initrd_changes_registers_4_9_and_11() -> None:
    one, other = measure.predict(small_uki(initrd=b"initrd")), measure.predict(small_uki(initrd=b"inhtrd"))

    assert all(replayed(one[index]) != replayed(other[index]) for index in (4, 9, 11))
