"""What is known of a signature: under which keys it was verified, and with which result.

Whether a signature is valid under a key depends on nothing but the bytes of both. So one that was verified need not be
verified again for as long as the parsed object that carries it exists: within one appraisal, and between those of one
``Verifier``. Nothing else is remembered: dates, pins, revocation and policy are judged again in every appraisal.
"""

import hashlib
from collections.abc import Callable
from typing import Generic, TypeVar

_MOST = 8
"""Keys that are remembered for one signature; genuine ones have one or two."""

_Result = TypeVar("_Result")


class Signers(Generic[_Result]):
    """The results for one signature, by the bytes that a key stands in: a certificate, or the key itself.

    They are kept as SHA-256, so that what a peer sends is not held for longer than its own object.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Result] = {}

    def ask(self, signer: bytes, verify: Callable[[], _Result]) -> _Result:
        """The result under ``signer``, by ``verify`` if it is not known. ``verify`` uses no other input that varies."""
        name = hashlib.sha256(signer).digest()
        known = self._known  # another thread may add to it, and may put an empty one in its place
        try:
            return known[name]
        except KeyError:
            result = verify()
        if len(known) >= _MOST:  # a peer sent certificates with this issuer's name
            self._known = known = {}
        known[name] = result
        return result
