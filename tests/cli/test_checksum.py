"""`checksum` prints what an author pastes into the manifest."""

import json
import os
from pathlib import Path

import pytest

from cloister.protocol.document import Document
from tests.archive_builder import Member, zip_of
from tests.archive_kinds import CSV, PLAIN, A
from tests.protocol.test_names import TAKEN
from tests.shared_files import INPUTS


@pytest.mark.parametrize("name", TAKEN)
def test_output_is_yaml_with_the_name_of_the_file(cloister, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    done = cloister("checksum", tmp_path / name)

    assert done.code == 0
    value = Document.parse("it", done.out.encode()).value
    assert (value["file"], value["size"]) == (name, 1)


@pytest.mark.parametrize("name", [b"a\nb", b"a\x1b[2J", b"a\xff", "a\u202eb".encode()])
def test_refused_name_is_printed_as_escapes(cloister, tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_text("x")
    done = cloister("checksum", path)

    assert done.code == 2
    assert "cannot be the name of an asset" in done.err
    assert done.err.replace("\n", "").isprintable()


def test_files_and_folders_that_people_brought_are_taken(cloister) -> None:
    folder = INPUTS / "16-symlinks-and-names"
    if not folder.exists():
        pytest.skip("the shared inputs are not here")
    assert 'file: "Patienten 2024.csv"' in cloister("checksum", folder / "Patienten 2024.csv").out
    assert cloister("checksum", folder / "times").code == 0


def test_unpacked_size_is_printed_of_what_can_be_unpacked(cloister, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of(A))
    (tmp_path / "a.tar").write_bytes(PLAIN)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/a.csv").write_bytes(CSV)
    for name in ("a.zip", "a.tar", "scans"):
        assert cloister("checksum", tmp_path / name).out.endswith(f"\nunpacked_size: {len(CSV)}\n")
        assert json.loads(cloister("checksum", tmp_path / name, "--json").out)["unpacked_size"] == len(CSV)
    assert "unpacked_size" not in cloister("checksum", tmp_path / "scans/a.csv").out


def test_archive_that_cannot_be_unpacked_is_refused_unless_it_stays_packed(cloister, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zip_of(Member(b"a.csv", CSV, flags=1)))
    done = cloister("checksum", path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: {path}: Member a.csv is encrypted.\nRepack it without a password")
    assert done.err.endswith("If it stays packed (`unpack: false`), add --packed.\n")
    done = cloister("checksum", "--packed", path)
    assert done.code == 0
    assert "unpacked_size" not in done.out
