"""The cache returns what was stored, until it expires, or nothing."""

import datetime
import hashlib
from pathlib import Path

import pytest

from cloister.attestation.collateral_source import CERTIFICATE, CRL, CollateralItem
from cloister.client.collateral import cache
from cloister.client.collateral.cache import Cache, Entry
from tests.client.collateral.services import NOW

HOUR = datetime.timedelta(hours=1)
LIST = Entry((CollateralItem(CRL, b"list"), CollateralItem(CERTIFICATE, b"issuer")), NOW, NOW + HOUR)
KEY = Entry((CollateralItem(CERTIFICATE, b"key"),), NOW, None)
ADDRESS = "https://service/a"


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_stored_answer_is_returned(kept: Cache) -> None:
    kept.put(ADDRESS, LIST)

    assert kept.get(ADDRESS, NOW) == LIST
    assert kept.get("https://service/b", NOW) is None


def test_expired_crl_is_not_returned(kept: Cache) -> None:
    kept.put(ADDRESS, LIST)

    assert kept.get(ADDRESS, NOW + HOUR - datetime.timedelta(seconds=1)) == LIST
    assert kept.get(ADDRESS, NOW + HOUR) is None


def test_answer_without_expiry_is_kept(kept: Cache) -> None:
    kept.put(ADDRESS, KEY)

    assert kept.get(ADDRESS, NOW + datetime.timedelta(days=36500)) == KEY


def test_changed_or_truncated_entry_is_not_returned(kept: Cache) -> None:
    kept.put(ADDRESS, LIST)
    (path,) = kept.folder.iterdir()
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place])
        assert kept.get(ADDRESS, NOW) is None
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert kept.get(ADDRESS, NOW) is None


@pytest.mark.parametrize("body", [b"[]", b"null", b"{}", b'{"version":2}', b'{"version": 1}', b"\xff", b""], ids=repr)
def test_entry_of_another_program_is_not_returned(kept: Cache, body: bytes) -> None:
    kept.put(ADDRESS, LIST)
    (path,) = kept.folder.iterdir()
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)

    assert kept.get(ADDRESS, NOW) is None


def test_entry_of_another_address_is_not_returned(kept: Cache) -> None:
    kept.put(ADDRESS, LIST)
    kept.put("https://service/b", KEY)
    names = [hashlib.sha256(address.encode()).hexdigest() for address in (ADDRESS, "https://service/b")]
    (kept.folder / names[0]).replace(kept.folder / names[1])

    assert kept.get("https://service/b", NOW) is None


def test_unwritable_cache_is_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept = Cache(tmp_path / "file" / "cache")
    kept.put(ADDRESS, LIST)

    assert kept.get(ADDRESS, NOW) is None


def test_only_complete_entries_are_left(kept: Cache) -> None:
    kept.put(ADDRESS, LIST)
    kept.put(ADDRESS, KEY)

    assert kept.get(ADDRESS, NOW) == KEY
    assert len(list(kept.folder.iterdir())) == 1


@pytest.mark.parametrize(("base", "folder"), [("/x", "/x/cloister/collateral"), ("x", "/h/.cache/cloister/collateral")])
def test_folder_follows_the_xdg_specification(monkeypatch: pytest.MonkeyPatch, base: str, folder: str) -> None:
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("XDG_CACHE_HOME", base)

    assert str(cache.default_folder()) == folder
