"""cpio archives have the exact expected bytes."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from image.formats import cpio


def test_a_record_is_what_the_kernel_documents() -> None:
    assert cpio.record(7, cpio.regular("etc/a", b"hello", 0o600)) == (
        b"070701" + b"00000007" + b"00008180" + b"00000000" * 2 + b"00000001" + b"00000000" + b"00000005"
        b"00000000" * 1 + b"00000000" * 3 + b"00000006" + b"00000000" + b"etc/a\0" + b"hello\0\0\0"
    )


def test_a_small_archive_has_the_known_digest() -> None:
    archive = cpio.archive(
        [
            cpio.directory("dev"),
            cpio.character_device("dev/console", 5, 1),
            cpio.regular("init", b"#!/bin/sh\n", 0o755),
            cpio.link("bin", "usr/bin"),
        ]
    )

    assert hashlib.sha256(archive).hexdigest() == "0e0d1bad8dbaf47b0d47e1634d80f0b6b09c8cf4587d2e0d06195ac65fa20f29"


@given(st.text("abc/", min_size=1, max_size=9), st.binary(max_size=30))
def test_every_record_fills_up_to_a_multiple_of_four(name: str, contents: bytes) -> None:
    record = cpio.record(1, cpio.regular(name, contents))

    assert len(record) % 4 == 0
    assert record.rstrip(b"\0").endswith(contents.rstrip(b"\0"))
