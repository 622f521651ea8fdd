"""How fast assets arrive, from what the machine says of each again and again."""

from collections.abc import Iterable
from dataclasses import dataclass

from cloister.v1 import agent_pb2

_SMOOTH = 0.3
"""Share of the newest interval in the rate."""


@dataclass
class _Seen:
    received: int
    at: float
    rate: float = 0.0


class TransferRates:
    """Bytes per second of each asset, smoothed."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def update(self, assets: Iterable[agent_pb2.AssetStatus], at: float) -> dict[str, float]:
        """The rates after another answer of the machine; ``at`` is in seconds of a monotonic clock."""
        now: dict[str, _Seen] = {}
        for one in assets:
            before = self._seen.get(one.name)
            if before is None or one.received < before.received or at <= before.at:
                now[one.name] = _Seen(one.received, at)
                continue
            fresh = (one.received - before.received) / (at - before.at)
            smooth = fresh if before.rate == 0 else before.rate + _SMOOTH * (fresh - before.rate)
            now[one.name] = _Seen(one.received, at, smooth if one.received < one.size else 0.0)
        self._seen = now
        return {name: seen.rate for name, seen in now.items() if seen.rate >= 1}
