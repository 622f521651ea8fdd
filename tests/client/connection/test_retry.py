"""Attempts after a lost connection are limited, and counted from zero again after progress."""

import pytest

from cloister.client.connection.retry import Backoff
from cloister.errors import UnreachableError

GONE = UnreachableError("It hung up.")


def test_attempts_are_limited_and_each_is_reported():
    reported = []
    backoff = Backoff((0.0, 0.0), lambda error, pause: reported.append((error, pause)))
    for _ in range(2):
        backoff.wait(GONE)

    with pytest.raises(UnreachableError) as caught:
        backoff.wait(GONE)

    assert caught.value is GONE
    assert reported == [(GONE, 0.0)] * 2


def test_progress_resets_the_count():
    backoff = Backoff((0.0,))
    for _ in range(3):
        backoff.wait(GONE)
        backoff.reset()
    backoff.wait(GONE)

    with pytest.raises(UnreachableError):
        backoff.wait(GONE)
