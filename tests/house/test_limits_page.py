"""docs/agent.md has the agent's limits."""

import re
from dataclasses import asdict

import pytest

from agent_runtime.limits import Limits
from tools.stubs import ROOT

UNITS = {
    "header_bytes": 1024,
    "bind_bytes": 1024,
    "result_names": 1024,
    "reserved_memory": 1024 * 1024,
    "stream_window": 1024,
}
"""The page says these in KiB or MiB."""

SECONDS = {"pending_seconds": "2 min", "session_idle_seconds": "one hour", "hold_seconds": "24 h"}


@pytest.mark.parametrize(("name", "value"), asdict(Limits()).items())
def test_page_has_the_limit(name: str, value: float) -> None:
    section = (ROOT / "docs" / "agent.md").read_text(encoding="utf-8").split("\n## Limits\n")[1].split("\n## ")[0]
    number = f"{int(value) // UNITS.get(name, 1):,}"
    said = SECONDS.get(name) or (f"{number} s" if name.endswith("seconds") else number)
    assert re.search(rf"(?<![\d,]){re.escape(said)}(?!,?\d)", section), f"{name}: {said}"
