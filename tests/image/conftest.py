"""Shared fixtures: an empty cache, a small archive and its server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.small_archive import SmallArchive, SmallServer


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of inputs instead of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cloister" / "inputs"


@pytest.fixture
def small_archive() -> SmallArchive:
    return SmallArchive()


@pytest.fixture
def server(small_archive: SmallArchive) -> Iterator[SmallServer]:
    with SmallServer(small_archive.files) as server:
        yield server
