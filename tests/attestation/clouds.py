"""What the tests of the clouds' machines share: one session, and what is judged against what."""

import dataclasses
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cloister.attestation.collateral import Collateral
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence, SessionBinding
from cloister.attestation.policy import Policy
from cloister.attestation.roots import Anchor
from cloister.attestation.verdict import Verdict
from cloister.attestation.verify import SessionPurpose, verify

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MANIFEST = hashlib.sha256(b"manifest").digest()
OTHER = hashlib.sha256(b"something else").digest()
OTHER_384 = hashlib.sha384(b"something else").digest()
SESSION = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
BINDING = SessionBinding(SESSION.nonce, SESSION.tls_key_digest, SESSION.hpke_key_digest, MANIFEST)

# What real machines wrote, where the checkout has it beside it.
VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors"


def recorded(name: str) -> bytes:
    """A file of VECTORS; the test is skipped without it."""
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this checkout")
    return path.read_bytes()


@dataclass(frozen=True)
class Case:
    """What is judged, and against what."""

    evidence: Evidence
    policy: Policy
    roots: tuple[Anchor, ...]
    collateral: Collateral | None = None
    at: datetime = AT

    def verdict(self) -> Verdict:
        return verify(
            self.evidence,
            self.policy,
            purpose=SESSION,
            at=self.at,
            manifest_digest=MANIFEST,
            collateral=self.collateral,
            roots=self.roots,
        )

    def but(self, **changes: Any) -> "Case":
        return dataclasses.replace(self, **changes)

    def with_evidence(self, **changes: Any) -> "Case":
        return self.but(evidence=dataclasses.replace(self.evidence, **changes))

    def refused(self) -> bool:
        try:
            return not self.verdict().accepted
        except MalformedEvidence:
            return True


def names(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.failures]


def flipped(data: bytes, place: int) -> bytes:
    """``data`` with one bit of the byte at ``place`` flipped, which one depends on the place."""
    changed = bytearray(data)
    changed[place] ^= 1 << place % 8
    return bytes(changed)
