"""Collateral before it is parsed: its kinds, and where it comes from.

Collateral is certificates, revocation lists and endorsements that are neither in a quote nor pinned. It is never
trusted for where it came from; each item must chain to a pinned key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cloister.attestation.errors import CollateralError

_PEM = b"-----BEGIN "

CERTIFICATE = "certificate"
"""One X.509 certificate in DER; an issuer chain is several items of this kind."""

CRL = "crl"
"""One certificate revocation list (RFC 5280) in DER."""

TCB_INFO = "tcb-info"
"""Intel's TCB info as its service returns it: JSON with the members tcbInfo and signature, byte for byte."""

QE_IDENTITY = "qe-identity"
"""Intel's enclave identity of the quoting enclave: JSON with the members enclaveIdentity and signature."""

LAUNCH_ENDORSEMENT = "launch-endorsement"
"""Google's signed endorsement of its firmware: a protobuf VMLaunchEndorsement."""

COLLATERAL_KINDS = (CERTIFICATE, CRL, TCB_INFO, QE_IDENTITY, LAUNCH_ENDORSEMENT)
"""All kinds that evidence carries. Evidence with an item of another kind is malformed: no check would read that item.
"""

STATEMENT = "image-statement"
"""A signed statement about images (``statements/``), which only a party brings: evidence never carries one."""

SEEN_STATEMENT = "seen-image-statement"
"""A statement that the party's client remembers from an earlier session: no older one of its publisher counts."""

BROUGHT_KINDS = (*COLLATERAL_KINDS, STATEMENT)
"""All kinds that a party has in files."""


@dataclass(frozen=True)
class CollateralItem:
    """One piece of collateral: its kind (one of BROUGHT_KINDS) and its bytes."""

    kind: str
    content: bytes


@dataclass(frozen=True)
class Origin:
    """Which copy of a piece of collateral was used. It says nothing about trust.

    source: one of ORIGINS.
    place: the file or address, and when it was fetched; may be empty.
    """

    source: str
    place: str = ""


EVIDENCE, PACKAGE, FILE, CACHE, NETWORK, CALLER = "evidence", "package", "file", "cache", "network", "caller"
ORIGINS = (EVIDENCE, PACKAGE, FILE, CACHE, NETWORK, CALLER)
"""The machine's own evidence, Cloister's package, a file of the party's, its cache, a vendor's service, or the program
that calls the verifier."""


class Collateral(Protocol):
    """A source of collateral. A source that has nothing of a kind returns nothing; it never raises."""

    def items(self, kind: str) -> Iterable[bytes]:
        """Everything of ``kind`` (one of BROUGHT_KINDS, or SEEN_STATEMENT) that this source has."""
        ...

    def origin(self, kind: str, content: bytes) -> Origin | None:
        """Where this source has an item from; None if it does not have it."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Collateral that the caller holds: contents by kind, and where they come from if not from the caller itself.

    Raises CollateralError for an unknown kind, and for PEM: both would be passed over, and the verdict would say that
    something is missing.
    """

    contents: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    origins: Mapping[bytes, Origin] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for kind, contents in self.contents.items():
            if kind not in (*BROUGHT_KINDS, SEEN_STATEMENT):
                raise CollateralError(f"{kind!r} is not a kind of collateral.", hint=f"Use {', '.join(BROUGHT_KINDS)}.")
            if any(content.startswith(_PEM) for content in contents):
                raise CollateralError(
                    f"Collateral of the kind {kind} is given in PEM.",
                    hint="Convert each to DER: ssl.PEM_cert_to_DER_cert for a certificate.",
                )

    def items(self, kind: str) -> Iterable[bytes]:
        """The contents of ``kind``."""
        return self.contents.get(kind, ())

    def origin(self, kind: str, content: bytes) -> Origin | None:
        """Where an item comes from; None if it is not here."""
        return self.origins.get(content, Origin(CALLER)) if content in self.items(kind) else None
