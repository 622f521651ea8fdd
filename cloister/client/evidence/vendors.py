"""What the vendors state of a machine, beside what the machine's own evidence carries."""

from dataclasses import dataclass, field

from cloister.attestation.collateral_source import CERTIFICATE, Collateral, InMemory
from cloister.attestation.evidence import Evidence
from cloister.client.collateral import wanted
from cloister.client.collateral.network import VendorServices
from cloister.client.collateral.wanted import Services
from cloister.client.evidence.examination import Several


@dataclass(frozen=True)
class Vendors:
    """``collateral`` is what the party holds. Only with a ``network`` are ``services`` asked for the rest."""

    collateral: Collateral = field(default_factory=InMemory)
    network: VendorServices | None = None
    services: Services | None = None

    def about(self, evidence: Evidence) -> tuple[Collateral, tuple[str, ...]]:
        """What a verdict on ``evidence`` may use, and a sentence for each question that was not answered.

        Raises MalformedEvidence.
        """
        if self.network is None:
            return self.collateral, ()
        carried = [item.content for item in evidence.collateral if item.kind == CERTIFICATE]
        known = (*carried, *self.collateral.items(CERTIFICATE))
        fetched = self.network.fetch(wanted.questions(evidence, known, self.services))
        return Several((self.collateral, fetched.collateral)), fetched.problems
