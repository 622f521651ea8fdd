"""The collateral that one verification may use: what the party holds, and what the vendors' services answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cloister.attestation.collateral.issuers import amd_issuers
from cloister.attestation.collateral_source import CERTIFICATE, Collateral, InMemory, Origin
from cloister.attestation.evidence import Evidence
from cloister.attestation.raw.kinds import Raw
from cloister.client.collateral.evidence_requests import Services, requests_for
from cloister.client.collateral.network import VendorServices


@dataclass(frozen=True)
class Combined:
    """Several sources as one, in their order."""

    sources: Sequence[Collateral]

    def items(self, kind: str) -> Iterable[bytes]:
        """Everything of ``kind`` that any of the sources has, each item once."""
        return dict.fromkeys(content for source in self.sources for content in source.items(kind))

    def origin(self, kind: str, content: bytes) -> Origin | None:
        """Where the first source that has the item has it from."""
        return next((found for one in self.sources if (found := one.origin(kind, content)) is not None), None)


@dataclass(frozen=True)
class CollateralSources:
    """``held`` is what the party has, ``shipped`` what comes with the package. Only with a ``network`` are ``services``
    asked for the rest.

    Without ``services`` the vendors' own addresses are used.
    """

    held: Collateral = field(default_factory=InMemory)
    network: VendorServices | None = None
    services: Services | None = None
    shipped: Collateral = field(default_factory=amd_issuers)

    def for_evidence(self, evidence: Evidence) -> tuple[Collateral, tuple[str, ...]]:
        """The collateral for ``evidence``, and a sentence for each request that failed. Raises MalformedEvidence.

        A certificate that the evidence carries is not requested.
        """
        carried = tuple(item.content for item in evidence.collateral if item.kind == CERTIFICATE)
        return self._fetch(evidence, self.held, carried)

    def for_files(self, given: Evidence | Raw, with_it: Collateral) -> tuple[Collateral, tuple[str, ...]]:
        """The same for evidence from files; ``with_it`` is the collateral among those files."""
        return self._fetch(given, Combined((with_it, self.held)), ())

    def _fetch(
        self, given: Evidence | Raw, held: Collateral, carried: tuple[bytes, ...]
    ) -> tuple[Collateral, tuple[str, ...]]:
        held = Combined((held, self.shipped))
        if self.network is None:
            return held, ()
        known = (*carried, *held.items(CERTIFICATE))
        fetched = self.network.fetch(requests_for(given, known, self.services))
        return Combined((held, fetched.collateral)), fetched.problems
