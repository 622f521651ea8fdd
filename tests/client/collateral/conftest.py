"""A server of collateral, and a client for it."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloister.client.collateral.cache import Cache
from cloister.client.collateral.network import VendorServices
from cloister.client.collateral.transport import Transport
from tests.client.collateral.services import NOW, Server, serving


@dataclass
class Asking:
    """A client that records its pauses in ``waited`` (seconds) without sleeping; its time is ``now``."""

    folder: Path
    now: datetime.datetime = NOW
    waited: list[float] = field(default_factory=list)

    def transport(self) -> Transport:
        return Transport(wait=self.waited.append, now=lambda: self.now)

    def network(self) -> VendorServices:
        return VendorServices(self.transport(), Cache(self.folder), lambda: self.now)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as running:
        yield running


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    return Asking(tmp_path / "cache")
