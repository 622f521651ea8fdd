"""The mirror of the cold build serves what the locks name, and no faster than it says."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from benchmarks.slow_mirror import Rate, SlowMirror
from image import cache
from image.inputs import lockfile


def test_locked_files_are_served_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lock = lockfile.load("base")
    package, wheel = lock.packages[0], lock.agent_wheels[0]
    for entry in lock.entries:
        (cache.inputs() / entry.sha256).write_bytes(entry.sha256.encode())
    with SlowMirror(("base",), 1e9) as mirror:
        address = mirror.environment["CLOISTER_DEBIAN_MIRROR"]

        def get(path: str) -> bytes:
            with urllib.request.urlopen(f"{address}{path}") as response:
                return response.read()

        assert get(f"/{package.archive}/{package.path}") == package.sha256.encode()
        assert f"/wheels/{wheel.file}#sha256={wheel.sha256}".encode() in get(f"/simple/{wheel.name}/")
        assert get(f"/wheels/{wheel.file}") == wheel.sha256.encode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get("/debian/absent")
        assert mirror.size == 64 * len(lock.entries)


def test_all_connections_share_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("benchmarks.slow_mirror.time.monotonic", lambda: 100.0)
    monkeypatch.setattr("benchmarks.slow_mirror.time.sleep", waited.append)
    rate = Rate(10)
    for count in (10, 5, 20):
        rate.take(count)

    assert waited == [1.0, 1.5, 3.5]
