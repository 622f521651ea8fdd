"""Sizes and durations as people write them."""

import datetime
import time

import pytest

from cloister.errors import InputError
from cloister.units import (
    format_duration,
    format_size,
    local_time,
    parse_duration,
    parse_size,
    parse_time,
    round_up,
)


@pytest.mark.parametrize(("text", "count"), [("16MiB", 16 * 1024**2), ("64 KiB", 65536), ("5B", 5), (7, 7)])
def test_sizes_are_parsed(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize(("text", "seconds"), [("24h", 86400), ("90m", 5400), ("2d", 172800), (30, 30)])
def test_durations_are_parsed(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["16MB", "MiB", "-1MiB", "1.5GiB", "", True, -1, "1h"])
def test_invalid_size_is_rejected(text):
    with pytest.raises(InputError, match="is not a size"):
        parse_size(text)


def test_sizes_and_durations_are_formatted():
    assert [format_size(count) for count in (0, 1, 1023, 1536, 16 * 1024**2)] == [
        "0 bytes", "1 byte", "1023 bytes", "1.5 KiB", "16 MiB",
    ]  # fmt: skip
    assert [format_duration(seconds) for seconds in (1, 90, 5400, 7200, 86400)] == [
        "1 second", "90 seconds", "90 minutes", "2 hours", "1 day",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "step", "written"),
    [
        (0, 4096, "4KiB"),
        (1, 1 << 20, "1MiB"),
        (1 << 30, 1 << 20, "1GiB"),
        ((1 << 30) + 1, 64 << 20, "1088MiB"),
        (5, 3, "6"),
    ],
)
def test_rounded_size_can_be_written_into_a_manifest(count, step, written):
    assert round_up(count, step) == written
    assert parse_size(int(written) if written.isdigit() else written) >= count


@pytest.mark.parametrize(
    ("zone", "moment", "shown"),
    [
        ("Asia/Kolkata", "2026-03-01T12:00:00Z", "2026-03-01 17:30:00+05:30"),
        ("Asia/Kolkata", "9999-12-31T23:59:59Z", "9999-12-31 23:59:59+00:00"),
        ("America/New_York", "0001-01-01T00:00:00Z", "0001-01-01 00:00:00+00:00"),
    ],
)
def test_time_of_a_peer_is_shown_whatever_it_is(monkeypatch, zone, moment, shown):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert local_time(datetime.datetime.fromisoformat(moment)) == shown
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", "2026-01-31T23:59:59+00:00"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31t12:00:00z", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31 12:00+02:00", "2026-01-31T10:00:00+00:00"),
        ("2026-01-31T12:00:00.5-0530", "2026-01-31T17:30:00.500000+00:00"),
        (" 2026-01-31 12:00:00 +02:00 ", "2026-01-31T10:00:00+00:00"),
        ("2026-03-01 17:30:00+05:30", "2026-03-01T12:00:00+00:00"),
    ],
)
def test_days_and_times_with_their_zone_are_parsed(text, moment):
    assert parse_time(text, "--at").astimezone(datetime.UTC).isoformat() == moment


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-01-31T12:00:00", "--at has no time zone"),
        ("2026-01-31 12:00", "--at has no time zone"),
        ("2026-02-30", "--at is not a day or a time"),
        ("2026-01-31T25:00Z", "--at is not a day or a time"),
        ("2026-01-31T12:00:00+99:00", "--at is not a day or a time"),
        ("31.01.2026", "--at is not a day or a time"),
        ("20260131", "--at is not a day or a time"),
        ("yesterday", "--at is not a day or a time"),
        ("", "--at is not a day or a time"),
    ],
)
def test_day_or_time_that_could_be_another_is_refused(text, says):
    with pytest.raises(InputError, match=says):
        parse_time(text, "--at")
