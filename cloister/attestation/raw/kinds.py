"""The kinds of raw evidence: reports, quotes and logs as a machine returned them, and what came with them."""

import hashlib
from dataclasses import dataclass
from typing import Any, Self

from cloister.attestation.diagnosis.explain import EventLogs
from cloister.attestation.raw.log import RawLog
from cloister.attestation.raw.tpm import RawTpm, SignedRegisters
from cloister.attestation.tdx.quote import size_of


@dataclass(frozen=True)
class RawSnp:
    """A SEV-SNP report, and what came with it; None where nothing did.

    report: 1184 bytes.
    certificates: the host's certificate table.
    preimage: what the report data may be the hash of; it counts only if it is.
    tpm: a quote of a TPM of the same machine.
    unsigned: how many bytes followed the report; they are not judged.
    """

    report: bytes
    certificates: bytes | None = None
    preimage: bytes | None = None
    tpm: RawTpm | None = None
    unsigned: int = 0


@dataclass(frozen=True)
class RawTdx:
    """A TDX quote of version 4 or 5, and what came with it; None where nothing did.

    quote: the quote.
    ccel: the TD's event log.
    preimage, tpm, unsigned: as in :class:`RawSnp`.
    """

    quote: bytes
    ccel: bytes | None = None
    preimage: bytes | None = None
    tpm: RawTpm | None = None
    unsigned: int = 0


@dataclass(frozen=True)
class RawHcl:
    """A report of Azure's paravisor, and what came with it; None where nothing did.

    tdx_quote: None on SEV-SNP.
    quote: of its vTPM.
    event_log: the vTPM's, with the quote.
    unsigned: how many bytes followed the report or the TDX quote; they are not judged.
    """

    report: bytes
    tdx_quote: bytes | None = None
    quote: SignedRegisters | None = None
    event_log: bytes | None = None
    unsigned: int = 0


Raw = RawSnp | RawTdx | RawHcl | RawTpm | RawLog


@dataclass(frozen=True)
class Judged:
    """What was judged: ``what`` names it, ``digest`` is its SHA-256, ``size`` its bytes."""

    what: str
    digest: bytes
    size: int

    @classmethod
    def of(cls, what: str, data: bytes) -> Self:
        """From the bytes."""
        return cls(what, hashlib.sha256(data).digest(), len(data))

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {"what": self.what, "sha256": self.digest.hex(), "size": self.size}


def judged_of(raw: Raw) -> tuple[Judged, ...]:
    """What is judged of ``raw``: the bytes that someone signed, and logs. Raises MalformedEvidence."""
    if isinstance(raw, RawSnp):
        return Judged.of("sev-snp-report", raw.report), *_of_tpm(raw.tpm)
    if isinstance(raw, RawTdx):
        quote = Judged.of("tdx-quote", raw.quote[: size_of(raw.quote)])
        return quote, *_of_log("ccel", raw.ccel), *_of_tpm(raw.tpm)
    if isinstance(raw, RawTpm):
        return _of_tpm(raw)
    if isinstance(raw, RawLog):
        return _of_log("ccel" if raw.is_ccel else "boot-event-log", raw.data)
    quote = (Judged.of("tdx-quote", raw.tdx_quote[: size_of(raw.tdx_quote)]),) if raw.tdx_quote is not None else ()
    signed = (Judged.of("tpm-quote", raw.quote.attest),) if raw.quote is not None else ()
    return Judged.of("hcl-report", raw.report), *quote, *signed, *_of_log("boot-event-log", raw.event_log)


def logs_of(raw: Raw) -> EventLogs:
    """The event logs among ``raw``."""
    if isinstance(raw, RawSnp):
        return EventLogs(raw.tpm.event_log if raw.tpm else None)
    if isinstance(raw, RawTdx):
        return EventLogs(raw.tpm.event_log if raw.tpm else None, raw.ccel)
    if isinstance(raw, RawLog):
        return EventLogs(None, raw.data) if raw.is_ccel else EventLogs(raw.data)
    return EventLogs(raw.event_log)


def _of_tpm(raw: RawTpm | None) -> tuple[Judged, ...]:
    if raw is None:
        return ()
    return Judged.of("tpm-quote", raw.quote.attest), *_of_log("boot-event-log", raw.event_log)


def _of_log(what: str, data: bytes | None) -> tuple[Judged, ...]:
    return () if data is None else (Judged.of(what, data),)
