"""Boot event logs: real ones replay to the registers recorded with them, hostile ones are malformed."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.testkit import BootEvent, encode_event_log
from cloister.attestation.testkit.machine import BOOT_EVENTS
from cloister.attestation.tpm.eventlog import EV_NO_ACTION, MAX_SIZE, EventLog
from tests import shared_files

# Logs of real machines, if they are next to the checkout.
VECTORS = shared_files.VECTORS / "eventlog"
SHA1 = (0x0004, 20)
SHA256 = (0x000B, 32)
SHA384 = (0x000C, 48)
UNKNOWN = (0x7777, 5)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def recorded(name: str) -> bytes:
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this checkout")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cos-101-amd-sev.bin", {0: "0f35c214", 4: "6d9f1a1d"}),
        (
            "ubuntu-2404-amd-sevsnp.bin",
            {0: "50597a27", 4: "abe8b3fa", 8: "6932a3f7", 9: "ce08798b", 14: "306f9d8b"},
        ),
    ],
)
def test_logs_of_real_machines_replay_to_their_registers(name: str, expected: dict[int, str]) -> None:
    values = EventLog.parse(recorded(name)).replay(expected)
    assert {index: value.hex()[:8] for index, value in values.items()} == expected


def test_sha1_only_log_of_a_real_machine_is_malformed() -> None:
    with pytest.raises(MalformedEvidence) as caught:
        EventLog.parse(recorded("debian-10.bin"))
    assert caught.value.field == "boot event log.SpecId.signature"


def test_registers_are_the_hashes_of_their_events() -> None:
    log = encode_event_log((BootEvent(4, 0x4, b"a"), BootEvent(9, 0xD, b"b"), BootEvent(4, 0x4, b"c")))
    values = EventLog.parse(log).replay((4, 9, 11))
    assert values == {
        4: sha256(sha256(bytes(32) + sha256(b"a")) + sha256(b"c")),
        9: sha256(bytes(32) + sha256(b"b")),
        11: bytes(32),
    }


def test_other_banks_and_unknown_algorithms_are_skipped_by_their_size() -> None:
    banks = (SHA1, SHA256, SHA384, UNKNOWN)
    plain = EventLog.parse(encode_event_log(BOOT_EVENTS))
    rich = EventLog.parse(encode_event_log(BOOT_EVENTS, banks))
    assert rich.algorithms == dict(banks)
    assert rich.replay(range(16)) == plain.replay(range(16))


def test_startup_locality_sets_the_start_of_pcr_0() -> None:
    locality = BootEvent(0, EV_NO_ACTION, b"StartupLocality\0\x03")
    log = EventLog.parse(encode_event_log((locality, BootEvent(0, 0x8, b"firmware"))))
    assert log.startup_locality == 3
    assert log.replay((0, 1)) == {0: sha256(bytes(31) + b"\x03" + sha256(b"firmware")), 1: bytes(32)}


def test_no_action_events_are_never_extended() -> None:
    notes = (BootEvent(0xFFFFFFFF, EV_NO_ACTION, b"a"), BootEvent(6, EV_NO_ACTION, b"b"))
    log = EventLog.parse(encode_event_log((*notes, *BOOT_EVENTS, *notes)))
    assert log.replay(range(16)) == EventLog.parse(encode_event_log(BOOT_EVENTS)).replay(range(16))
    assert len(log.events) == len(BOOT_EVENTS) + 4


@pytest.mark.parametrize(
    "events",
    [
        [BootEvent(0, 0x8, b"firmware"), BootEvent(0, EV_NO_ACTION, b"StartupLocality\0\x03")],
        [BootEvent(0, EV_NO_ACTION, b"StartupLocality\0\x03")] * 2,
        [BootEvent(0, EV_NO_ACTION, b"StartupLocality\0\x02")],
        [BootEvent(0, EV_NO_ACTION, b"StartupLocality\0")],
        [BootEvent(1, EV_NO_ACTION, b"StartupLocality\0\x03")],
        [BootEvent(24, 0x4, b"no such register")],
    ],
)
def test_impossible_events_are_malformed(events: list[BootEvent]) -> None:
    with pytest.raises(MalformedEvidence):
        EventLog.parse(encode_event_log(events))


@pytest.mark.parametrize(
    "algorithms", [(), (SHA1,), (SHA256, SHA256), ((0x000B, 20),), (SHA256, (5, 0)), (SHA256,) * 17]
)
def test_log_without_sha256_digests_is_malformed(algorithms: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(MalformedEvidence):
        EventLog.parse(encode_event_log((), algorithms))


def test_too_many_events_or_bytes_are_malformed() -> None:
    with pytest.raises(MalformedEvidence) as caught:
        EventLog.parse(encode_event_log([BootEvent(1, 0x4, b"")] * 8193))
    assert caught.value.field == "boot event log.events"
    with pytest.raises(MalformedEvidence) as caught:
        EventLog.parse(bytes(MAX_SIZE + 1))
    assert caught.value.field == "boot event log.size"


def test_log_truncated_inside_an_event_is_malformed() -> None:
    log = encode_event_log(BOOT_EVENTS)
    # A log truncated between two events is a shorter log, which does not match the registers.
    whole = {len(encode_event_log(BOOT_EVENTS[:count])) for count in range(len(BOOT_EVENTS) + 1)}
    for size in range(len(log)):
        if size in whole:
            EventLog.parse(log[:size])
        else:
            with pytest.raises(MalformedEvidence):
                EventLog.parse(log[:size])


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_log_or_malformed(data: bytes) -> None:
    try:
        EventLog.parse(data)
    except MalformedEvidence:
        pass


@given(st.binary(max_size=400), st.integers(0, 255), st.integers(0, 10_000))
def test_changed_log_parses_or_is_malformed(tail: bytes, byte: int, place: int) -> None:
    log = bytearray(encode_event_log(BOOT_EVENTS, (SHA1, SHA256)))
    log[place % len(log)] = byte
    try:
        EventLog.parse(bytes(log) + tail).replay(range(16))
    except MalformedEvidence:
        pass
