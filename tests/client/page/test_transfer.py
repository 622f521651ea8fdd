"""How fast an asset arrives."""

import pytest

from cloister.client.page.transfer import TransferRates
from cloister.v1 import agent_pb2


def asset(received, name="h1", size=1_000_000):
    return agent_pb2.AssetStatus(name=name, received=received, size=size)


def test_rate_is_that_of_the_bytes_between_two_answers():
    rates = TransferRates()
    assert rates.update([asset(0)], 10.0) == {}
    assert rates.update([asset(4000)], 12.0) == {"h1": 2000}
    slower = rates.update([asset(4000)], 14.0)["h1"]
    assert 0 < slower < 2000


@pytest.mark.parametrize(
    ("received", "at"),
    [(2000, 12.0), (4000, 10.0), (4000, 9.0), (1_000_000, 12.0)],
    ids=["fewer bytes", "same time", "earlier", "complete"],
)
def test_without_progress_there_is_no_rate(received, at):
    rates = TransferRates()
    rates.update([asset(4000)], 10.0)
    assert rates.update([asset(received)], at) == {}


def test_asset_that_is_gone_is_forgotten():
    rates = TransferRates()
    rates.update([asset(0), asset(0, "h2")], 10.0)
    rates.update([asset(5000)], 11.0)
    assert rates.update([asset(6000), asset(9000, "h2")], 12.0).keys() == {"h1"}
