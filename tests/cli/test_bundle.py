"""`bundle` prints what an author writes into the manifest."""

import json
from pathlib import Path

import pytest

from cloister import client
from cloister.client.packages.bundle import Bundle
from cloister.client.packages.lock import PackageLock
from cloister.units import parse_size


@pytest.mark.parametrize(
    ("unpacked", "size", "memory"),
    [
        (0, "0 bytes", "256MiB"),
        (1, "1 byte", "320MiB"),
        (222_822_400, "212.5 MiB", "512MiB"),
        (3 << 30, "3 GiB", "3328MiB"),
    ],
)
def test_verb_says_the_memory_to_write(
    cloister, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unpacked: int, size: str, memory: str
) -> None:
    made = Bundle(tmp_path / "x.bundle", "ab" * 32, 5 << 20, (), unpacked, (), (), None, (), {})
    monkeypatch.setattr(client, "make_bundle", lambda requirements, output, image: made, raising=False)

    done = cloister("bundle", tmp_path / "x.txt")

    assert f"Unpacked it takes {size} of limits.memory." in done.out
    assert f"write at least: memory: {memory}\n" in done.out
    assert done.out.endswith(f"Written: {tmp_path}/x.bundle, 5 MiB, SHA-256 {'ab' * 32}\n")
    assert parse_size(memory) >= unpacked + (256 << 20)
    value = json.loads(cloister("bundle", tmp_path / "x.txt", "--json").out)
    assert (value["unpacked_size"], value["suggested_memory"]) == (unpacked, memory)


def test_verb_lists_what_was_locked(cloister, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = PackageLock(tmp_path / "x.lock", (), ("--index-url https://packages",), {"numpy": "2.2.4"})
    monkeypatch.setattr(client, "lock_requirements", lambda *paths, **more: made, raising=False)

    value = json.loads(cloister("lock", tmp_path / "x.txt", "--json").out)

    assert (value["lock"], value["image_packages"]) == (str(tmp_path / "x.lock"), {"numpy": "2.2.4"})
