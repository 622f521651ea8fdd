"""The hashes that both ends compute, recomputed here from the formulas of docs/protocol.md."""

import hashlib

import pytest

from cloister.protocol import transcript
from cloister.protocol.canonical import FormatError


def _length(data: bytes) -> bytes:
    return len(data).to_bytes(8, "big") + data


_SESSION = {
    "nonce": b"n" * 32,
    "tls_key_digest": b"t" * 32,
    "hpke_key_digest": b"h" * 32,
    "event_log_key": b"an event-log key",
    "manifest_digest": b"m" * 32,
    "boot_configuration_digest": b"b" * 32,
}


def test_session_report_data_is_the_hash_of_its_fields():
    expected = hashlib.sha512(
        b"cloister/v1/session\x00" + b"n" * 32 + b"t" * 32 + b"h" * 32
        + hashlib.sha256(b"an event-log key").digest() + b"m" * 32 + b"b" * 32
    ).digest()  # fmt: skip
    assert transcript.session_report_data(**_SESSION) == expected
    assert transcript.tpm_qualifying_data(expected) == hashlib.sha256(expected).digest()


@pytest.mark.parametrize("field", sorted(_SESSION))
def test_every_field_of_a_session_changes_its_report_data(field):
    changed = {**_SESSION, field: bytes([_SESSION[field][0] ^ 1]) + _SESSION[field][1:]}
    assert transcript.session_report_data(**changed) != transcript.session_report_data(**_SESSION)


def test_field_of_another_size_is_rejected():
    with pytest.raises(FormatError):
        transcript.session_report_data(**{**_SESSION, "nonce": b"n" * 31})


def test_receipt_report_data_is_the_hash_of_its_fields():
    found = transcript.receipt_report_data(
        payload_digest=b"p" * 32,
        event_log_key=b"key",
        manifest_digest=b"m" * 32,
        boot_configuration_digest=b"b" * 32,
        log_head=b"l" * 32,
    )
    assert (
        found
        == hashlib.sha512(
            b"cloister/v1/receipt\x00" + b"p" * 32 + hashlib.sha256(b"key").digest() + b"m" * 32 + b"b" * 32 + b"l" * 32
        ).digest()
    )


def test_the_transcript_separates_its_fields():
    fields = {
        "nonce": b"n" * 32,
        "session_id": "ab",
        "tls_key": b"tls",
        "hpke_public_key": b"hpke",
        "event_log_key": b"log",
        "evidence": b"evidence",
        "manifest_digest": b"m" * 32,
        "boot_configuration_digest": b"b" * 32,
    }
    expected = hashlib.sha512(b"cloister/v1/transcript\x00")
    for field in (
        b"cloister/v1 ML-KEM-768-X25519 HKDF-SHA256 AES-256-GCM", b"n" * 32, b"ab", b"tls", b"hpke", b"log",
        hashlib.sha512(b"evidence").digest(), b"m" * 32, b"b" * 32,
    ):  # fmt: skip
        expected.update(_length(field))
    assert transcript.transcript(**fields) == expected.digest()
    moved = {**fields, "session_id": "a", "tls_key": b"btls"}
    assert transcript.transcript(**moved) != transcript.transcript(**fields)


def test_consent_covers_manifest_asset_digest_and_session():
    message = transcript.consent_message(
        manifest_digest=b"m" * 32, asset="h1", asset_digest=b"d" * 32, transcript=b"t" * 64
    )
    assert message == b"cloister/v1/consent\x00" + b"m" * 32 + _length(b"h1") + b"d" * 32 + b"t" * 64


@pytest.mark.parametrize("what", ["approval", "rejection"])
def test_decision_covers_manifest_receipt_and_session(what):
    message = getattr(transcript, f"{what}_message")(
        manifest_digest=b"m" * 32, payload_digest=b"p" * 32, transcript=b"t" * 64
    )
    assert message == f"cloister/v1/{what}".encode() + b"\x00" + b"m" * 32 + b"p" * 32 + b"t" * 64


def test_withdrawal_covers_manifest_party_and_session():
    message = transcript.withdrawal_message(manifest_digest=b"m" * 32, party="lab", transcript=b"t" * 64)
    assert message == b"cloister/v1/withdrawal\x00" + b"m" * 32 + _length(b"lab") + b"t" * 64
