"""A machine that hangs up is tried again so many times, and as often again when it has moved something."""

import pytest

from cloister.client.connection.retry import Patience
from cloister.errors import UnreachableError

GONE = UnreachableError("It hung up.")


def test_so_many_attempts_are_made_and_each_is_told():
    told = []
    patience = Patience((0.0, 0.0), lambda error, pause: told.append((error, pause)))
    for _ in range(2):
        patience.wait(GONE)

    with pytest.raises(UnreachableError) as caught:
        patience.wait(GONE)

    assert caught.value is GONE
    assert told == [(GONE, 0.0)] * 2


def test_an_attempt_that_moved_something_counts_anew():
    patience = Patience((0.0,))
    for _ in range(3):
        patience.wait(GONE)
        patience.renew()
    patience.wait(GONE)

    with pytest.raises(UnreachableError):
        patience.wait(GONE)
