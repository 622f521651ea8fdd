"""The parsers of hostile bytes, by name: what `invoke fuzz` hands anything to.

A target returns when its parser read the bytes or refused them as it promises; whatever else it raises is a finding.
"""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

CORPUS = Path(__file__).resolve().parents[2] / "tests" / "fuzz" / "corpus"
"""A folder for each target with small seeds, made by ``python -m tools.fuzz.seeds``."""

MAX_SIZE = 64 * 1024
"""Bytes of one input."""


def boot_event_log(data: bytes) -> None:
    """TCG PC Client event log."""
    from cloister.attestation.eventlog import EventLog

    with _refusals():
        EventLog.parse(data).replay(range(24))


def tpm_attest(data: bytes) -> None:
    """TPMS_ATTEST."""
    from cloister.attestation.tpm import Attest

    with _refusals():
        found = Attest.parse(data)
        if found.quote is not None:  # of other structures only the head is read
            _same(data, found.marshal())


def tpm_signature(data: bytes) -> None:
    """TPMT_SIGNATURE."""
    from cloister.attestation.tpm import EcdsaSignature

    with _refusals():
        _same(data, EcdsaSignature.parse(data).marshal())


def tpm_public(data: bytes) -> None:
    """TPMT_PUBLIC."""
    from cloister.attestation.tpm import EccPublic

    with _refusals():
        found = EccPublic.parse(data)
        _same(data, found.marshal())
        if len(found.point) != 65:
            raise RuntimeError("A point of P-256 has 65 bytes.")


def tpm_nv_public(data: bytes) -> None:
    """TPMS_NV_PUBLIC."""
    from cloister.attestation.tpm import NvPublic

    with _refusals():
        _same(data, NvPublic.parse(data).marshal())


def certificate(data: bytes) -> None:
    """X.509 certificate, as the issuer of itself too."""
    from datetime import UTC, datetime

    from cloister.attestation.x509 import Certificate, find_path

    with _refusals():
        found = Certificate.parse(data)
        found.valid_at(datetime(2026, 1, 1, tzinfo=UTC))
        find_path(found, (found,), found.fingerprint())


def evidence(data: bytes) -> None:
    """The evidence message."""
    from cloister.attestation.evidence import Evidence

    with _refusals():
        found = Evidence.parse(data)
        _same(data, found.encode())
        found.report_data()


def evidence_json(data: bytes) -> None:
    """The evidence file."""
    from cloister.attestation.evidence import Evidence

    with _refusals():
        found = Evidence.parse_json(data)
        if Evidence.parse_json(found.encode_json()) != found:
            raise RuntimeError("The file form changes what it carries.")


def policy(data: bytes) -> None:
    """The policy, JSON or YAML."""
    from cloister.attestation.policy import Policy

    with _refusals():
        found = Policy.parse(data)
        if Policy.parse(found.encode()).digest() != found.digest():
            raise RuntimeError("A policy that is written and read again is another policy.")


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__.replace("_", "-"): target
    for target in (
        boot_event_log,
        tpm_attest,
        tpm_signature,
        tpm_public,
        tpm_nv_public,
        certificate,
        evidence,
        evidence_json,
        policy,
    )
}


def _refusals() -> contextlib.AbstractContextManager[None]:
    """The errors that a parser may answer with."""
    from cloister.attestation.errors import MalformedEvidence, PolicyError
    from cloister.protocol.canonical import FormatError

    return contextlib.suppress(MalformedEvidence, PolicyError, FormatError)


def _same(data: bytes, again: bytes) -> None:
    if data != again:
        raise RuntimeError("What was read has another spelling.")
