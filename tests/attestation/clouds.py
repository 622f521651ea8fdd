"""Shared by the tests of SEV-SNP and cloud machines: one session, cases, and the cases of the shared checks."""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.collateral.cache import VerificationCache
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.testkit import BootEvent
from cloister.attestation.testkit.machine import TpmMachine
from cloister.attestation.tpm import runtimelog, structures
from cloister.attestation.tpm.runtimelog import Measurement, MeasurementKind
from cloister.attestation.verifier import ReceiptPurpose, SessionPurpose, verify
from cloister.attestation.x509.roots import Anchor
from tests.attestation.statements import samples
from tests.shared_files import VECTORS

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MANIFEST = hashlib.sha256(b"manifest").digest()
OTHER = hashlib.sha256(b"something else").digest()
OTHER_384 = hashlib.sha384(b"something else").digest()
SESSION = SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32)
RECEIPT = ReceiptPurpose(b"p" * 32, b"l" * 32)
BINDING = SessionBinding(SESSION.nonce, SESSION.tls_key_digest, SESSION.hpke_key_digest, MANIFEST)

RECEIPT_BINDING = ReceiptBinding(RECEIPT.payload_digest, MANIFEST, RECEIPT.log_head)
PINNABLE = (0, 1, 2, 3, 5, 6, 7, 8, 10, 14)

# Recordings of real machines, if they are next to the checkout.


def recorded(name: str) -> bytes:
    """A file of VECTORS; the test is skipped without it."""
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"{name} is not next to this checkout")
    return path.read_bytes()


@dataclass(frozen=True)
class Case:
    """The arguments of one appraisal."""

    evidence: Evidence
    policy: Policy
    roots: tuple[Anchor, ...]
    collateral: Collateral | None = None
    at: datetime = AT
    purpose: SessionPurpose | ReceiptPurpose = SESSION
    manifest_digest: bytes | None = MANIFEST

    def verdict(self, cache: VerificationCache | None = None) -> Verdict:
        return verify(
            self.evidence,
            self.policy,
            purpose=self.purpose,
            at=self.at,
            manifest_digest=self.manifest_digest,
            collateral=self.collateral,
            roots=self.roots,
            cache=cache,
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


def shared_cases(machine: Any, good: Case) -> dict[str, Callable[[], Case]]:
    """For each shared check, a case in which only that check fails; ``good`` is the valid case of ``machine``."""
    receipt = good.but(evidence=machine.evidence(RECEIPT_BINDING), purpose=RECEIPT)
    entries = machine.runtime_log()

    def expecting(**changes: Any) -> Case:
        expected = dataclasses.replace(good.policy.boot_configuration, **changes)
        return good.but(policy=dataclasses.replace(good.policy, boot_configuration=expected))

    def measured(*log: Measurement) -> Case:
        """The agent measured ``log``, and PCR 15, if any, agrees."""
        changed = machine
        if isinstance(machine, TpmMachine):
            changed = dataclasses.replace(machine, registers={runtimelog.PCR: runtimelog.replay(log)})
        return good.but(evidence=dataclasses.replace(changed.evidence(BINDING), runtime_log=log))

    return {
        **samples.shared(good),
        "platform": lambda: good.with_evidence(platform=Platform.LOCAL),
        "purpose": lambda: receipt.but(purpose=SESSION),
        "session-nonce": lambda: good.but(purpose=dataclasses.replace(SESSION, nonce=OTHER)),
        "session-tls-key": lambda: good.but(purpose=dataclasses.replace(SESSION, tls_key_digest=OTHER)),
        "session-hpke-key": lambda: good.but(purpose=dataclasses.replace(SESSION, hpke_key_digest=OTHER)),
        "receipt-payload": lambda: receipt.but(purpose=dataclasses.replace(RECEIPT, payload_digest=OTHER)),
        "receipt-log-head": lambda: receipt.but(purpose=dataclasses.replace(RECEIPT, log_head=OTHER)),
        "manifest": lambda: good.but(manifest_digest=OTHER),
        "workspace": lambda: expecting(workspace="another"),
        "cvm": lambda: expecting(cvms=("second", "third")),
        "owners": lambda: expecting(owners=(OTHER.hex(),)),
        "runtime-log": lambda: measured(*reversed(entries)),
        "runtime-boot-configuration": lambda: measured(
            Measurement(MeasurementKind.BOOT_CONFIGURATION, OTHER), *entries[1:]
        ),
        "runtime-agent": lambda: measured(entries[0], Measurement(MeasurementKind.AGENT, OTHER), entries[2]),
        "runtime-manifest": lambda: measured(*entries[:2], Measurement(MeasurementKind.MANIFEST, OTHER)),
    }


def quote_cases(machine: TpmMachine, good: Case) -> dict[str, Callable[[], Case]]:
    """For each check of a quote, a case in which only that check fails."""
    quote = good.evidence.tpm_quote
    assert quote is not None
    all_registers = structures.PcrSelection(structures.ALG_SHA256, structures.QUOTED_PCRS)
    fewer = structures.PcrSelection(structures.ALG_SHA256, structures.QUOTED_PCRS[:-1])
    digest = hashlib.sha256(b"".join(machine.pcrs())).digest()

    def attested(**changes: Any) -> Case:
        """The TPM signs a structure with changed fields."""
        return good.but(evidence=machine.evidence(BINDING, changes))

    def other_signature() -> Case:
        signature = type(machine.tpm).create().sign(quote.attest)
        return good.with_evidence(tpm_quote=dataclasses.replace(quote, signature=signature))

    return {
        "quote-magic": lambda: attested(magic=0xFF544348),
        "quote-type": lambda: attested(kind=0x8017),
        "quote-signer": lambda: attested(qualified_signer=b"\x00\x0b" + OTHER),
        "quote-signature": other_signature,
        "quote-binding": lambda: attested(extra_data=OTHER),
        "quote-selection": lambda: attested(quote=structures.QuoteInfo((fewer,), digest)),
        "quote-pcr-digest": lambda: attested(quote=structures.QuoteInfo((all_registers,), OTHER)),
    }


def register_cases(machine: Any, good: Case) -> dict[str, Callable[[], Case]]:
    """For each register of a vTPM, a case in which only its check fails."""

    def image(index: int) -> Case:
        reference = machine.image()
        other = dataclasses.replace(reference, pcrs={**reference.pcrs, index: OTHER})
        return good.but(policy=dataclasses.replace(good.policy, images=(other,)))

    def pinned(index: int) -> Case:
        return good.but(policy=dataclasses.replace(good.policy, platform_pcrs={index: OTHER}))

    def host_input(index: int) -> Case:
        events = (*machine.boot_events, BootEvent(index, 0xD, b"init=/bin/sh"))
        return good.but(evidence=dataclasses.replace(machine, boot_events=events).evidence(BINDING))

    def debug() -> Case:
        return good.but(policy=dataclasses.replace(good.policy, images=(machine.image("debug", debug=True),)))

    return {
        "image-debug": debug,
        **{f"pcr-{index}": (lambda i=index: pinned(i)) for index in PINNABLE},
        **{f"pcr-{index}": (lambda i=index: image(i)) for index in (4, 9, 11)},
        **{f"pcr-{index}": (lambda i=index: host_input(i)) for index in (12, 13)},
    }
