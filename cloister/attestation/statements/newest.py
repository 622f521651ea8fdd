"""What a publisher has stated last: the statements with its highest counter."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cloister.attestation.statements.lifecycle import LifeCycle
from cloister.attestation.statements.statement import ImageStatement


@dataclass(frozen=True)
class Newest:
    """The statements of a publisher with its highest counter; several only if it has contradicted itself."""

    life: LifeCycle
    statements: tuple[ImageStatement, ...]

    @property
    def digests(self) -> frozenset[bytes]:
        """Of what was signed: an ECDSA key signs the same statement with other bytes each time."""
        return frozenset(hashlib.sha256(one.envelope.payload).digest() for one in self.statements)


def newest(statements: Iterable[ImageStatement], key: bytes) -> Newest | None:
    """What the publisher with this key has stated last; None if it has signed none of the statements."""
    own = [(one.stated, one) for one in statements if isinstance(one.stated, LifeCycle) and one.signed_by(key)]
    if not own:
        return None
    last = max((life for life, _ in own), key=lambda life: life.counter)
    return Newest(last, tuple(one for life, one in own if life.counter == last.counter))
