"""A chain ends at the root of its own product line, whichever other roots are pinned."""

import itertools
from datetime import UTC, datetime

import pytest

from cloister.attestation.evidence import CERTIFICATE
from cloister.attestation.snp import chain
from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.testkit import Processor
from cloister.attestation.x509 import Certificate

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROCESSORS = {line: Processor.create(AT, line) for line in ProductLine}
ANCHORS = {line: processor.amd.anchor() for line, processor in PROCESSORS.items()}


@pytest.mark.parametrize("line", ProductLine)
def test_of_all_roots_the_one_of_the_line_counts(line: ProductLine) -> None:
    processor = PROCESSORS[line]
    leaf = EndorsementCertificate.parse(processor.certificate)
    others = (der for der in processor.collateral().items(CERTIFICATE) if not is_endorsement(der))
    issuers = [Certificate.parse(der) for der in others]
    for order in itertools.permutations(ANCHORS.values()):
        found, why = chain.find(leaf, issuers, order)
        assert found is not None, why
        assert found.root.der == processor.amd.root
    without = [anchor for other, anchor in ANCHORS.items() if other is not line]
    assert chain.find(leaf, issuers, without) == (None, f"no root key of {line} is pinned")
