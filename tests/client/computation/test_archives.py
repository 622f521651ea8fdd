"""Before an upload, archives are refused or accepted exactly as by the launcher."""

import hashlib
import runpy
from pathlib import Path

import pytest

from agent_runtime.runner.launch import LaunchError, unpack_dataset
from cloister.client.computation.asset import check_asset, describe_asset, open_asset
from cloister.errors import InputError
from cloister.protocol.archives import folder, limits
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.manifest import Asset
from tests.archive_builder import zip_of
from tests.archive_kinds import ACCEPTED, CSV, A, Kind
from tests.archive_refusals import NOT_ARCHIVES, REFUSED
from tests.shared_files import INPUTS


@pytest.mark.parametrize("kind", ACCEPTED, ids=lambda kind: kind.name)
@pytest.mark.parametrize("unpack", [True, None])
def test_archive_has_digest_and_unpacked_size(tmp_path: Path, kind: Kind, unpack: bool | None) -> None:
    assert isinstance(kind.outcome, dict)
    (tmp_path / "data").write_bytes(kind.bytes())
    found = describe_asset(tmp_path / "data", unpack=unpack)
    assert found.digest == hashlib.sha256(kind.bytes()).hexdigest()
    assert found.size == len(kind.bytes())
    assert found.unpacked_size == sum(map(len, kind.outcome.values()))


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_archive_that_the_launcher_refuses_is_refused(tmp_path: Path, kind: Kind) -> None:
    assert isinstance(kind.outcome, str)
    (tmp_path / "data").write_bytes(kind.bytes())
    with pytest.raises(ArchiveError, match=kind.outcome) as caught:
        describe_asset(tmp_path / "data", unpack=True)
    assert caught.value.message.startswith(f"{tmp_path}/data: ")
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("kind", [*ACCEPTED, *REFUSED], ids=lambda kind: kind.name)
def test_archive_that_stays_packed_is_only_bytes(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "data").write_bytes(kind.bytes())
    found = describe_asset(tmp_path / "data", unpack=False)
    assert (found.digest, found.unpacked_size) == (hashlib.sha256(kind.bytes()).hexdigest(), None)


@pytest.mark.parametrize("kind", NOT_ARCHIVES, ids=lambda kind: kind.name)
def test_anything_but_an_archive_is_only_bytes(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "data").write_bytes(kind.bytes())
    found = describe_asset(tmp_path / "data")
    assert (found.digest, found.unpacked_size) == (hashlib.sha256(kind.bytes()).hexdigest(), None)


def test_folder_has_the_unpacked_size_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "scans/x").mkdir(parents=True)
    (tmp_path / "scans/x/a").write_bytes(b"data")
    (tmp_path / "scans/b").symlink_to("x/a")
    assert describe_asset(tmp_path / "scans").unpacked_size == 8


def _asset(path: Path, unpacked_size: int) -> Asset:
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return Asset("d1", "dataset", "h1", path.name, digest, len(data), unpack=True, unpacked_size=unpacked_size)


def test_upload_checks_the_archive_again(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zip_of(A))
    check_asset(_asset(path, len(CSV)), path)
    with pytest.raises(InputError, match="unpacked_size of d1 in the manifest is 3"):
        check_asset(_asset(path, 3), path)
    path.write_bytes(zip_of(A)[:-1])
    with pytest.raises(ArchiveError, match="truncated"):
        check_asset(_asset(path, len(CSV)), path)


@pytest.mark.parametrize("other", [zip_of(A)[:-1], b"a,b\n1,2\n"])
def test_upload_of_another_file_says_so_before_why_it_is_not_an_archive(tmp_path: Path, other: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zip_of(A))
    agreed = _asset(path, len(CSV))
    path.write_bytes(other)
    with pytest.raises(InputError, match=r"is not what the manifest says about d1: .*The (zip|file) ") as refused:
        check_asset(agreed, path)
    assert refused.value.hint == "Nothing was uploaded. Name the file that the parties agreed on."


BROUGHT = [
    ("02-folder-ends-in-npz/same-as-tar.tar", {"labels.csv", "train.npz"}),
    ("02-folder-ends-in-npz/scans", {"labels.csv", "train.npz"}),
    ("04-archives-that-fail-late/backslash.zip", {"scans\\a.csv", "scans\\b.csv"}),
    ("04-archives-that-fail-late/hardlink.tar", {"a.csv", "b.csv"}),
    ("04-archives-that-fail-late/symlink.tar", {"a.csv", "b.csv"}),
    ("04-archives-that-fail-late/symlink.zip", {"a.csv", "link"}),
    ("16-symlinks-and-names/times", {"10:30.csv"}),
    ("04-archives-that-fail-late/abs.tar", "/data/a.csv.* is an absolute path"),
    ("04-archives-that-fail-late/encrypted.zip", "a.csv is encrypted"),
    ("05-archives-with-traceback/badutf8.zip", "not UTF-8"),
    ("05-archives-with-traceback/changed.tar.gz", "damaged"),
    ("05-archives-with-traceback/cut.tar.gz", "scans/a.csv: The gzip file is truncated"),
    ("16-symlinks-and-names/sjis.zip", "not UTF-8, and the archive does not say"),
]


@pytest.mark.skipif(not INPUTS.exists(), reason="the shared inputs are not here")
@pytest.mark.parametrize(("name", "outcome"), BROUGHT, ids=[name for name, _ in BROUGHT])
def test_what_people_bring(tmp_path: Path, name: str, outcome: set[str] | str) -> None:
    path = INPUTS / name
    packed = path
    if isinstance(outcome, str):
        with pytest.raises(ArchiveError, match=outcome):
            describe_asset(path)
        with pytest.raises(LaunchError, match=outcome):
            unpack_dataset(path, tmp_path / "out", 1 << 20)
        return
    if path.is_dir():
        packed = tmp_path / "packed"
        with open_asset(path) as stream:
            packed.write_bytes(stream.read())
    size = describe_asset(path).unpacked_size
    assert size is not None
    unpack_dataset(packed, tmp_path / "out", size)
    files = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert files == outcome


@pytest.mark.skipif(not INPUTS.exists(), reason="the shared inputs are not here")
def test_folder_of_101_000_files_is_one_that_the_launcher_takes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(INPUTS / "10-more-than-100000-files" / "make.py"))
    found, tree = folder.scan(tmp_path / "images")
    assert (len(found), tree.size) == (101_000 + 101, 0)
    assert len(found) < limits.MAX_ENTRIES
