"""The kit's anchors as if they were a vendor's own."""

import dataclasses
from collections.abc import Iterable

from cloister.attestation.x509.roots import Anchor


def as_vendors(anchors: Iterable[Anchor]) -> tuple[Anchor, ...]:
    """``anchors`` that do not say that they are simulated: a verdict names the vendor as its root."""
    return tuple(dataclasses.replace(anchor, simulated=False) for anchor in anchors)
