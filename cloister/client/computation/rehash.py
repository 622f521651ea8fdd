"""Hashing an asset again while it is sent, because the digest that was checked is one that was remembered."""

import hashlib
import threading
from typing import Self

from cloister.client.computation.asset import LocalAsset, identify, open_asset
from cloister.client.computation.digests import DigestCache
from cloister.errors import InputError
from cloister.protocol import names

_CHUNK = 1024 * 1024


class Rehash:
    """Reads behind the sender, in another thread, with an open file of its own.

    What an earlier process sent is read from the beginning; the sender does not wait for it, except at the end.
    """

    def __init__(self, found: LocalAsset) -> None:
        """Begin. Raises InputError and OSError."""
        self._found = found
        self._stream = open_asset(found.path)
        if identify(found.path, self._stream) != found.identity:
            # Another file is there now, and not the one that is sent.
            self._stream.close()
            raise changed(found)
        self._state = hashlib.sha256()
        self._reached = 0
        self._allowed = 0
        self._ended = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="rehash", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()
        self._stream.close()

    def advance(self, position: int) -> None:
        """The sender has read everything before ``position``, which the system's cache now has."""
        with self._changed:
            self._allowed = max(self._allowed, position)
            self._changed.notify()

    def require(self, digest: str) -> None:
        """Wait until the whole asset was read. Raises InputError if ``digest`` is not its SHA-256, and OSError.

        It is then no longer remembered.
        """
        self.advance(self._found.size)
        with self._changed:
            while self._reached < self._found.size and self._error is None:
                self._changed.wait()
        if self._error is None and self._state.hexdigest() == digest:
            return
        if self._found.identity is not None:
            DigestCache().forget(self._found.identity)
        raise self._error or changed(self._found)

    def _run(self) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        try:
            while self._reached < self._found.size:
                with self._changed:
                    while self._allowed <= self._reached and not self._ended:
                        self._changed.wait()
                    if self._ended:
                        return
                    wanted = min(_CHUNK, self._allowed - self._reached)
                size = self._stream.readinto(buffer[:wanted])
                if not size:
                    raise changed(self._found)
                self._state.update(buffer[:size])
                with self._changed:
                    self._reached += size
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - raised again by require()
            with self._changed:
                self._error = error
                self._changed.notify_all()


def changed(found: LocalAsset) -> InputError:
    """The error for an asset that was changed after it was checked."""
    return InputError(
        f"{names.shown(found.file)} was changed after it was checked, so its last part was not sent.",
        hint="Do not change it during the upload. `checksum` shows whether it is what the manifest says.",
    )
