"""AMD's collateral for one report: certificates of signing keys, their issuers and revocation lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.snp.table import CertificateTable
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList

_Value = TypeVar("_Value")


class AmdSource(Protocol):
    """Where parsed collateral comes from; any method may raise CollateralError."""

    def certificates(self) -> Sequence[Certificate]:
        """Certificates of any vendor, without those of report signing keys."""
        ...

    def endorsement_certificates(self) -> Sequence[EndorsementCertificate]:
        """Certificates of report signing keys (VCEK, VLEK)."""
        ...

    def revocation_lists(self) -> Sequence[RevocationList]:
        """Revocation lists of any vendor."""
        ...

    def parsed(self, kind: str, content: bytes, parse: Callable[[bytes], _Value]) -> _Value:
        """``parse(content)``, from an earlier appraisal if there was one; ``kind`` stands for ``parse``."""
        ...

    def parse_certificate(self, der: bytes, field: str) -> Certificate:
        """``Certificate.parse``, likewise."""
        ...


@dataclass(frozen=True)
class AmdCollateral:
    """Parsed collateral. Nothing of it is trusted yet.

    ``leaves`` are certificates of keys that sign reports, ``issuers`` all other certificates.
    """

    leaves: tuple[EndorsementCertificate, ...]
    issuers: tuple[Certificate, ...]
    lists: tuple[RevocationList, ...]

    @classmethod
    def parse(
        cls,
        certificates: Sequence[bytes],
        crls: Sequence[bytes] = (),
        parse_certificate: Callable[[bytes, str], Certificate] = Certificate.parse,
    ) -> Self:
        """From DER, in any order. Raises MalformedEvidence."""
        leaves: list[EndorsementCertificate] = []
        issuers: list[Certificate] = []
        for index, data in enumerate(certificates):
            field = f"certificates[{index}]"
            if is_endorsement(data):
                leaves.append(EndorsementCertificate.parse(data, field))
            else:
                issuers.append(parse_certificate(data, field))
        lists = tuple(RevocationList.parse(der, f"crls[{index}]") for index, der in enumerate(crls))
        return cls(tuple(leaves), tuple(issuers), lists)

    @classmethod
    def gather(cls, table: bytes | None, source: AmdSource) -> Self:
        """Joins the host's certificate table (None is an empty one) with ``source``. Raises MalformedEvidence."""
        # The source comes first: collateral of the caller's that cannot be parsed is an error whatever the table holds.
        leaves, issuers, lists = source.endorsement_certificates(), source.certificates(), source.revocation_lists()
        own = (
            cls((), (), ())
            if table is None
            else source.parsed("certificate table", table, lambda data: cls._from_table(data, source))
        )
        return cls((*own.leaves, *leaves), (*own.issuers, *issuers), (*own.lists, *lists))

    @classmethod
    def _from_table(cls, data: bytes, source: AmdSource) -> Self:
        table = CertificateTable.parse(data)
        return cls.parse(table.certificates, table.crls, source.parse_certificate)
