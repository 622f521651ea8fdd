"""The event log is read within bounds."""

import pytest

from cloister.client.computation import events
from cloister.client.computation.events import EventReader
from cloister.errors import ProofError


def test_log_that_does_not_end_is_not_read_to_its_end(machine, monkeypatch):
    with machine.connection("lab") as connection:
        whole = sum(len(record.encode()) for record in EventReader(connection).records(follow=False))
        monkeypatch.setattr(events, "MAX_LOG", whole)
        assert list(EventReader(connection).records(follow=False))
        monkeypatch.setattr(events, "MAX_LOG", whole - 1)
        with pytest.raises(ProofError, match=f"more than {whole - 1} bytes"):
            list(EventReader(connection).records(follow=False))
