"""The runtime log follows the formula in docs/protocol.md: literal values."""

import hashlib

from cloister.attestation.tpm.runtimelog import Measurement, MeasurementKind, replay


def test_runtime_log_entry_is_hashed_with_label_and_kind() -> None:
    entry = Measurement(MeasurementKind.BOOT_CONFIGURATION, bytes(range(32)))
    preimage = b"cloister/v1/runtime\0boot-configuration\0" + bytes(range(32))
    assert entry.extended() == hashlib.sha256(preimage).digest()
    assert entry.extended().hex() == "8798ccfe400d641885847b0706e75851922203499f29811ced65b50ec9ea9891"


def test_empty_log_leaves_the_register_at_zero() -> None:
    assert replay(()) == bytes(32)


def test_runtime_log_order_changes_the_register() -> None:
    first, second = Measurement(MeasurementKind.AGENT, bytes(32)), Measurement(MeasurementKind.MANIFEST, bytes(32))
    expected = hashlib.sha256(hashlib.sha256(bytes(32) + first.extended()).digest() + second.extended()).digest()
    assert replay((first, second)) == expected
    assert replay((second, first)) != expected
