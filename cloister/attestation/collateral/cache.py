"""What a verifier keeps between appraisals: parsed certificates, revocation lists and endorsements, by their bytes.

A parsed object is a function of its bytes alone, and it remembers under which keys its own signature is valid
(``x509/signers.py``), which depends on nothing but bytes either. Checks are kept only for an appraisal with all the
same inputs: bytes, certificates, lists, anchors, policy and time (``snp/verify.py`` says which). At another time, or
with one more list, everything is judged again; no verdict is kept.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

_MAX_BYTES = 16 * 1024 * 1024
_MAX_ENTRIES = 4096
_MAX_PARTS = 4096

_Value = TypeVar("_Value")


class VerificationCache:
    """Parsed collateral for the next appraisal: pass one to many calls of ``verify`` or ``verify_raw``.

    Verdicts are the same as without it. It holds at most 16 MiB of what evidence and callers brought, and forgets what
    was used longest ago; several threads may share it.
    """

    def __init__(self) -> None:
        self._parsed: OrderedDict[tuple[str, bytes], Any] = OrderedDict()
        self._parts: OrderedDict[Hashable, tuple[object, Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def parsed(self, kind: str, content: bytes, parse: Callable[[bytes], _Value]) -> _Value:
        """``parse(content)``, from an earlier call for this ``kind`` if there was one. Errors are not kept.

        One ``kind`` has one ``parse``, and what it returns is never changed.
        """
        key = (kind, content)
        with self._lock:
            if key in self._parsed:
                self._parsed.move_to_end(key)
                return self._parsed[key]
        value = parse(content)
        with self._lock:
            if key not in self._parsed:
                self._parsed[key] = value
                self._bytes += len(content)
            while self._bytes > _MAX_BYTES or len(self._parsed) > _MAX_ENTRIES:
                (_, dropped), _ = self._parsed.popitem(last=False)
                self._bytes -= len(dropped)
        return value

    def part(self, key: Hashable, inputs: object, make: Callable[[], _Value]) -> tuple[_Value, bool]:
        """What ``make`` returned for ``key``, and whether it did so now.

        ``key`` names every input of ``make``, by its value or, for what never changes, by its identity. ``inputs`` are
        the latter: they are kept, so that no other object gets their identity.
        """
        with self._lock:
            if key in self._parts:
                self._parts.move_to_end(key)
                return self._parts[key][1], False
        value = make()
        with self._lock:
            self._parts[key] = (inputs, value)
            if len(self._parts) > _MAX_PARTS:
                self._parts.popitem(last=False)
        return value, True
