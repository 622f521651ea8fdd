"""AMD's certificates of ARK, ASK and ASVK for each product line, which come with the package: collateral, not anchors.

They change neither who is trusted nor what must be shown: a chain counts only if it ends at a key that
``x509/roots.py`` pins, and a revocation list is demanded as if they had come with the evidence. They save the reader of
one report a request for what is the same for every chip.

``amd/*.crt`` were taken from two sources, each certificate byte for byte the same in both; ARK and ASK are also the
same in a third. docs/attestation.md ("Certificates that come with the package") has their digests.

- google/go-sev-guest, commit af1c107a648f47253da23a9de7a7c82ec073cfdb, verify/trust/
- confidential-containers/trustee, commit 78962cd416dcc8a32f9377e0066a28fe21420f69, deps/verifier/src/snp/
- virtee/sev, commit 9cf2adbffa209cc5becf7ff89ffdf624e7278ced, src/certs/snp/builtin/
"""

import functools
import importlib.resources

from cloister.attestation.collateral_source import CERTIFICATE, PACKAGE, InMemory, Origin
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.x509 import pem

_PER_LINE = 3
_MAX_SIZE = 16 * 1024


@functools.cache
def amd_issuers() -> InMemory:
    """ARK, ASK and ASVK of every product line, from the package."""
    folder = importlib.resources.files("cloister.attestation.collateral").joinpath("amd")
    found: list[bytes] = []
    for line in ProductLine:
        text = folder.joinpath(f"{line.lower()}.crt").read_bytes()
        found += pem.read(text, f"AMD's certificates for {line}", limit=_MAX_SIZE, most=_PER_LINE)
    return InMemory({CERTIFICATE: tuple(found)}, dict.fromkeys(found, Origin(PACKAGE)))
