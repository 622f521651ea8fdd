"""The bytes that the two ends of a session hash and sign.

Fields of variable size are preceded by their length (8 bytes, big endian), fields of fixed size are not; every label
ends in a zero byte. docs/protocol.md ("Session") has each formula.
"""

import hashlib
import struct

from cloister.protocol.canonical import FormatError

NO_MANIFEST = bytes(32)
"""Used instead of the manifest's digest before a manifest is submitted."""

SUITE = b"cloister/v1 ML-KEM-768-X25519 HKDF-SHA256 AES-256-GCM"
"""HPKE suite of the session (RFC 9180 with the hybrid KEM of draft-ietf-hpke-pq), named so that it can change."""


def sized(data: bytes) -> bytes:
    """``data`` preceded by its length."""
    return struct.pack(">Q", len(data)) + data


def fixed(data: bytes, size: int) -> bytes:
    """``data``, which must have ``size`` bytes."""
    if len(data) != size:
        raise FormatError(f"A field has {len(data)} bytes; it must have {size}.")
    return data


def session_report_data(
    *,
    nonce: bytes,
    tls_key_digest: bytes,
    hpke_key_digest: bytes,
    event_log_key: bytes,
    manifest_digest: bytes,
    boot_configuration_digest: bytes,
) -> bytes:
    """The 64 bytes of report data of a session's evidence. All digests are SHA-256; ``event_log_key`` is the SPKI."""
    return hashlib.sha512(
        b"cloister/v1/session\0"
        + fixed(nonce, 32)
        + fixed(tls_key_digest, 32)
        + fixed(hpke_key_digest, 32)
        + hashlib.sha256(event_log_key).digest()
        + fixed(manifest_digest, 32)
        + fixed(boot_configuration_digest, 32)
    ).digest()


def receipt_report_data(
    *,
    payload_digest: bytes,
    event_log_key: bytes,
    manifest_digest: bytes,
    boot_configuration_digest: bytes,
    log_head: bytes,
) -> bytes:
    """The 64 bytes of report data of a receipt's evidence."""
    return hashlib.sha512(
        b"cloister/v1/receipt\0"
        + fixed(payload_digest, 32)
        + hashlib.sha256(event_log_key).digest()
        + fixed(manifest_digest, 32)
        + fixed(boot_configuration_digest, 32)
        + fixed(log_head, 32)
    ).digest()


def tpm_qualifying_data(report_data: bytes) -> bytes:
    """Return the qualifying data of a vTPM quote for 64 bytes of report data: SHA-256 of them, 32 bytes."""
    return hashlib.sha256(fixed(report_data, 64)).digest()


def transcript(
    *,
    nonce: bytes,
    session_id: str,
    tls_key: bytes,
    hpke_public_key: bytes,
    event_log_key: bytes,
    evidence: bytes,
    manifest_digest: bytes,
    boot_configuration_digest: bytes,
) -> bytes:
    """The transcript hash T (64 bytes) over everything exchanged at a session's opening. Keys are SPKI."""
    state = hashlib.sha512(b"cloister/v1/transcript\0")
    for field in (
        SUITE,
        nonce,
        session_id.encode(),
        tls_key,
        hpke_public_key,
        event_log_key,
        hashlib.sha512(evidence).digest(),
        manifest_digest,
        boot_configuration_digest,
    ):
        state.update(sized(field))
    return state.digest()


def bind_digest(transcript: bytes, secret: bytes, party_key: bytes) -> bytes:
    """Return the digest that a party signs to bind itself to a session; ``party_key`` is its SPKI."""
    return hashlib.sha512(
        b"cloister/v1/bind\0"
        + fixed(transcript, 64)
        + hashlib.sha256(fixed(secret, 32)).digest()
        + hashlib.sha256(party_key).digest()
    ).digest()


def consent_message(*, manifest_digest: bytes, asset: str, asset_digest: bytes, transcript: bytes) -> bytes:
    """Return the bytes that a provider signs to consent to the use of one asset in one computation and session."""
    return (
        b"cloister/v1/consent\0"
        + fixed(manifest_digest, 32)
        + sized(asset.encode())
        + fixed(asset_digest, 32)
        + fixed(transcript, 64)
    )


def withdrawal_message(*, manifest_digest: bytes, party: str, transcript: bytes) -> bytes:
    """Return the bytes that a provider signs to take its consents to one computation back, in one session."""
    return b"cloister/v1/withdrawal\0" + fixed(manifest_digest, 32) + sized(party.encode()) + fixed(transcript, 64)


def approval_message(*, manifest_digest: bytes, payload_digest: bytes, transcript: bytes) -> bytes:
    """Return the bytes that a party signs to approve a result, by the digest of its receipt, in one session."""
    return _decision(b"cloister/v1/approval\0", manifest_digest, payload_digest, transcript)


def rejection_message(*, manifest_digest: bytes, payload_digest: bytes, transcript: bytes) -> bytes:
    """Return the bytes that a party signs to reject a result."""
    return _decision(b"cloister/v1/rejection\0", manifest_digest, payload_digest, transcript)


def _decision(label: bytes, manifest_digest: bytes, payload_digest: bytes, transcript: bytes) -> bytes:
    return label + fixed(manifest_digest, 32) + fixed(payload_digest, 32) + fixed(transcript, 64)
