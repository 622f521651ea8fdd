"""What systems and programs leave in folders of data is named before anyone consents to hand it out."""

from pathlib import Path

import pytest

from cloister.client.computation.asset import describe_asset
from cloister.client.computation.leftovers import is_leftover
from tests.archive_builder import Member, zip_of
from tests.archive_kinds import link


@pytest.mark.parametrize(
    "path",
    [
        ".DS_Store",
        "2024/.DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "~$cases.xlsx",
        ".~lock.cases.ods#",
        "__MACOSX/scans/._a.csv",
        "._a.csv",
        "cases.csv~",
        ".cases.csv.swp",
        ".git/config",
        "notes/.ipynb_checkpoints/a-checkpoint.csv",
    ],
)
def test_leftover_is_known(path: str) -> None:
    assert is_leftover(path)


@pytest.mark.parametrize(
    "path", ["cases.csv", ".hidden.csv", "~cases.csv", "a~b.csv", "DS_Store", "git/a.csv", "_a.csv"]
)
def test_data_are_left_alone(path: str) -> None:
    assert not is_leftover(path)


def test_link_that_becomes_a_leftover_is_told(tmp_path: Path) -> None:
    packed = tmp_path / "scans.zip"
    packed.write_bytes(zip_of(Member(b"a.csv", b"1"), link(b"a.csv~", b"a.csv")))

    assert 'left there: "a.csv~". Unless' in describe_asset(packed).warning


def test_folder_and_archive_with_leftovers_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    (folder / "2024").mkdir(parents=True)
    for name in ("a.csv", ".DS_Store", "2024/Thumbs.db", "~$a.csv", "desktop.ini"):
        (folder / name).write_text(name)
    packed = tmp_path / "scans.zip"
    packed.write_bytes(zip_of(Member(b"a.csv", b"1"), Member(b"__MACOSX/._a.csv", b"2")))

    assert describe_asset(folder).warning == (
        'scans.tar also has what a system or program left there: ".DS_Store", 2024/Thumbs.db, desktop.ini and 1 more. '
        "Unless the algorithm needs it, remove it first."
    )
    assert "left there: __MACOSX/._a.csv. Unless" in describe_asset(packed).warning
    for name in (".DS_Store", "2024/Thumbs.db", "~$a.csv", "desktop.ini"):
        (folder / name).unlink()
    assert describe_asset(folder).warning == ""
    assert describe_asset(packed, unpack=False).warning == ""  # it stays packed, and is not read
