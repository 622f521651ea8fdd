"""All collateral of one appraisal, parsed once: what the evidence carries, then what the caller brings.

An item that cannot be parsed never helps a machine. In evidence it is therefore ignored: the guest could have omitted
it. The same holds for a certificate or an endorsement that the caller brings, which can only help a machine to be
accepted. Ignored items are listed in the verdict. A revocation list, TCB info or QE identity that the caller brings is
different: it may be the reason to reject a machine. If it cannot be parsed, that is an error, unless it is about SGX
enclaves.

Signatures are verified where an item is used: an item that its vendor did not sign has no effect. If the caller brought
it, the verdict lists it as well (``unsigned.py``).
"""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from cloister.attestation.collateral.cache import VerificationCache
from cloister.attestation.collateral.description import Parsed, describe, encoded, kind_of
from cloister.attestation.collateral_source import (
    CALLER,
    CERTIFICATE,
    CRL,
    EVIDENCE,
    LAUNCH_ENDORSEMENT,
    QE_IDENTITY,
    SEEN_STATEMENT,
    STATEMENT,
    TCB_INFO,
    Collateral,
    CollateralItem,
    Origin,
)
from cloister.attestation.errors import CollateralError, MalformedEvidence
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.result.verdict import Recorded, Skipped, Used
from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.statements.statement import ImageStatement
from cloister.attestation.tdx.tcb_info import QeIdentity, TcbInfo
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList

_ONLY_HELPFUL = (CERTIFICATE, LAUNCH_ENDORSEMENT)
OTHER_MACHINES = ("TCB info.id", "QE identity.id")
"""Fields that show Intel's endorsements of SGX, which have the same form and are often kept in the same folder."""

_X509 = "x509"
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class ParsedItem(Generic[_Value]):
    """A parsed item, its bytes, and whether the caller brought it."""

    content: bytes
    value: _Value
    brought: bool


class UsableCollateral:
    """The parsed collateral by kind. Each kind is parsed when it is first asked for, and only then.

    Every method that returns collateral raises CollateralError when the caller brought an item of that kind that might
    reject a machine and cannot be parsed.
    """

    def __init__(
        self, carried: Sequence[CollateralItem], brought: Collateral | None, cache: VerificationCache | None = None
    ) -> None:
        """``carried`` comes from the evidence, ``brought`` from the caller. ``cache`` has what was parsed before."""
        self._cache = cache or VerificationCache()
        self._carried = carried
        self._brought = brought
        self._parsed: dict[str, tuple[ParsedItem[Any], ...]] = {}
        self._certificates: list[Certificate] = []
        self._skipped: list[Skipped] = []

    def certificates(self) -> tuple[Certificate, ...]:
        """All certificates except those of AMD's report signing keys, in order."""
        return tuple(one for one in self._all_certificates() if isinstance(one, Certificate))

    def endorsement_certificates(self) -> tuple[EndorsementCertificate, ...]:
        """The certificates of AMD's report signing keys (VCEK, VLEK), in order."""
        return tuple(one for one in self._all_certificates() if isinstance(one, EndorsementCertificate))

    def revocation_lists(self) -> tuple[RevocationList, ...]:
        """All certificate revocation lists, in order."""
        return self._values(CRL, RevocationList.parse)

    def tcb_infos(self) -> tuple[TcbInfo, ...]:
        """All of Intel's TCB infos, in order."""
        return self._values(TCB_INFO, TcbInfo.parse)

    def qe_identities(self) -> tuple[QeIdentity, ...]:
        """All of Intel's identities of the quoting enclave, in order."""
        return self._values(QE_IDENTITY, QeIdentity.parse)

    def launch_endorsements(self) -> tuple[LaunchEndorsement, ...]:
        """All of Google's launch endorsements, in order."""
        return self._values(LAUNCH_ENDORSEMENT, LaunchEndorsement.parse)

    def statements(self) -> tuple[ImageStatement, ...]:
        """All statements about images that the caller brings, in order."""
        return self._values(STATEMENT, ImageStatement.parse)

    def seen_statements(self) -> tuple[ImageStatement, ...]:
        """The statements that the caller has seen earlier, in order."""
        return self._values(SEEN_STATEMENT, ImageStatement.parse)

    def parsed(self, kind: str, content: bytes, parse: Callable[[bytes], _Value]) -> _Value:
        """``parse(content)``, from an earlier appraisal if there was one; ``kind`` stands for ``parse``."""
        return self._cache.parsed(kind, content, parse)

    def part(self, key: Hashable, inputs: object, make: Callable[[], Recorded]) -> tuple[Recorded, bool]:
        """What is recorded for these inputs, and whether ``make`` recorded it in this appraisal."""
        return self._cache.part(key, inputs, make)

    def parse_certificate(self, der: bytes, field: str) -> Certificate:
        """``Certificate.parse``, once for each certificate, in however many parts of the evidence it stands."""
        try:
            return self._cache.parsed(_X509, der, Certificate.parse)
        except MalformedEvidence as error:
            raise MalformedEvidence(field, error.offset, error.reason) from error

    def add_issuers(self, certificates: Sequence[Certificate]) -> None:
        """Certificates that came inside a quote or certificate table: they may have signed what the caller brought."""
        self._certificates += certificates

    def issuers(self) -> tuple[Certificate, ...]:
        """All certificates that may have signed something: collateral, and what ``add_issuers`` was given."""
        return (*self.certificates(), *self._certificates)

    def brought(self, kind: str) -> tuple[ParsedItem[Any], ...]:
        """The caller's own items of ``kind``; none if no check has asked for that kind."""
        return tuple(item for item in self._parsed.get(kind, ()) if item.brought)

    def skip(self, kind: str, item: ParsedItem[Any], reason: str) -> None:
        """Lists an item of the caller's that turned out to have no effect."""
        self._skip(kind, item.content, True, reason)

    def used(self, values: Sequence[Parsed]) -> tuple[Used, ...]:
        """What the verdict says of parsed collateral that its checks relied on; what is not here came in a quote or in
        a host's table of certificates.
        """
        return tuple(self._used(value) for value in values)

    def _used(self, value: Parsed) -> Used:
        kind = kind_of(value)
        item = next((one for one in self._parsed.get(kind, ()) if one.value is value), None)

        def facts() -> tuple[str, datetime | None, bytes]:
            content = item.content if item is not None else encoded(value)
            return (*describe(value), hashlib.sha256(content).digest())

        # What was parsed from some bytes has these bytes: the item's own, or the part that is in another structure.
        (name, until, digest), _ = self._cache.part(("used", id(value), item is None), value, facts)
        origin = self._origin(kind, item.content) if item is not None and item.brought else Origin(EVIDENCE)
        return Used(kind, name, digest, origin.source, origin.place, until)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What was ignored so far."""
        return tuple(self._skipped)

    def _all_certificates(self) -> tuple[Certificate | EndorsementCertificate, ...]:
        return self._values(CERTIFICATE, self._parse_any_certificate)

    def _parse_any_certificate(self, data: bytes) -> Certificate | EndorsementCertificate:
        # AMD's certificates of chips have the serial number 0, which the X.509 parser rejects.
        if is_endorsement(data):
            return EndorsementCertificate.parse(data)
        return self.parse_certificate(data, "certificate")

    def _values(self, kind: str, parse: Callable[[bytes], _Value]) -> tuple[_Value, ...]:
        if kind not in self._parsed:
            contents = [(item.content, False) for item in self._carried if item.kind == kind]
            if self._brought is not None:
                contents += [(content, True) for content in self._brought.items(kind)]
            parsed = (self._parse(kind, content, brought, parse) for content, brought in contents)
            self._parsed[kind] = tuple(item for item in parsed if item is not None)
        return tuple(item.value for item in self._parsed[kind])

    def _parse(
        self, kind: str, content: bytes, brought: bool, parse: Callable[[bytes], _Value]
    ) -> ParsedItem[_Value] | None:
        """None for an item that is skipped."""
        try:
            return ParsedItem(content, self._cache.parsed(kind, content, parse), brought)
        except MalformedEvidence as error:
            if brought and kind not in _ONLY_HELPFUL and error.field not in OTHER_MACHINES:
                place = self._origin(kind, content).place
                where = f"The collateral in {place}" if place else "The collateral that you brought"
                raise CollateralError(
                    f"{where} cannot be read: {kind}, {error.field}: {error.reason}.",
                    hint="It may be the reason to reject this machine. Fetch it again, or remove it on purpose.",
                ) from error
            self._skip(kind, content, brought, f"{error.field}: {error.reason}")
            return None

    def _skip(self, kind: str, content: bytes, brought: bool, reason: str) -> None:
        place = self._origin(kind, content).place if brought else ""
        self._skipped.append(Skipped(kind, hashlib.sha256(content).digest(), brought, reason, place))

    def _origin(self, kind: str, content: bytes) -> Origin:
        """Where the caller has an item from."""
        known = self._brought.origin(kind, content) if self._brought is not None else None
        return known or Origin(CALLER)
