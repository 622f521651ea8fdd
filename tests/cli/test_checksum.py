"""`checksum` prints what an author pastes into the manifest."""

import json
import os
from pathlib import Path

import pytest

from cloister.protocol.document import Document
from tests import oci_archives
from tests.archive_builder import Member, zip_of
from tests.archive_kinds import CSV, PLAIN, A
from tests.client.script.test_binary import program
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
        assert cloister("checksum", tmp_path / name).out.endswith(f"\nunpack: true\nunpacked_size: {len(CSV)}\n")
        found = json.loads(cloister("checksum", tmp_path / name, "--json").out)
        assert (found["unpack"], found["unpacked_size"]) == (True, len(CSV))
        assert "unpack" not in cloister("checksum", tmp_path / name, "--packed").out
    assert "unpack" not in cloister("checksum", tmp_path / "scans/a.csv").out


def test_leftovers_of_a_system_are_told_beside_the_output(cloister, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/a.csv").write_bytes(CSV)
    before = cloister("checksum", tmp_path / "scans")
    (tmp_path / "scans/.DS_Store").write_bytes(b"1")
    done = cloister("checksum", tmp_path / "scans")

    assert (before.err, done.code) == ("", 0)
    assert done.err.startswith('Warning: scans.tar also has what a system or program left there: ".DS_Store".')
    assert "Warning" not in done.out


FAR = "15-unpacked-size-of-a-file-elsewhere"
OURS = """\
version: 1
name: elsewhere
parties: {owner: {key: owner.pub}, clinic: {key: clinic.pub}}
algorithm: {provider: owner, kind: python, file: count.py}
datasets:
  - {name: scans, provider: clinic, file: far.zip, unpack: true, size: 1, digest: %s}
results: {consumers: [owner], expires: 1h, max: 64KiB}
limits: {time: 1m, memory: 64MiB, cpus: 1, processes: 4}
""" % ("f" * 64)


@pytest.mark.parametrize("source", ["ours", FAR])
def test_lines_of_checksum_make_the_manifest_of_a_file_elsewhere_complete(
    cloister, tmp_path: Path, source: str
) -> None:
    """What the provider prints is what the owner's manifest needs, and nothing else."""
    text = OURS
    if source == FAR:
        if not (INPUTS / FAR).exists():
            pytest.skip("the shared inputs are not here")
        text = (INPUTS / FAR / "computation.yaml").read_text()
    author = Document.parse("author", text.encode()).value
    owner, provider = tmp_path / "owner", tmp_path / "provider"
    owner.mkdir()
    provider.mkdir()
    for party in author["parties"].values():
        assert cloister("keys", "--output", owner / Path(party["key"]).with_suffix(".pem")).code == 0
    (owner / author["algorithm"]["file"]).write_text("print(1)\n")
    (owner / "computation.yaml").write_text(text)
    (provider / "far.zip").write_bytes(zip_of(A))
    words = ("manifest", owner / "computation.yaml", "--output", owner / "manifest.json")

    refused = cloister(*words)
    assert (refused.code, "unpacked_size" in refused.err, "checksum" in refused.err) == (2, True, True), refused.err

    printed = cloister("checksum", provider / "far.zip").out
    entry = next(line for line in text.splitlines(keepends=True) if "far.zip" in line)
    (before,) = author["datasets"]
    kept = f"  - name: {before['name']}\n    provider: {before['provider']}\n"
    pasted = kept + "".join(f"    {line}\n" for line in printed.splitlines())
    (owner / "computation.yaml").write_text(text.replace(entry, pasted))
    written = cloister(*words)
    assert written.code == 0, written.err
    (dataset,) = json.loads((owner / "manifest.json").read_text())["datasets"]
    said = json.loads(cloister("checksum", provider / "far.zip", "--json").out)
    assert dataset == {"name": before["name"], "provider": before["provider"]} | said


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


def test_algorithm_is_examined_by_the_rules_of_its_kind(cloister, tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes(program(["libodd.so.1"]))
    done = cloister("checksum", "--kind", "binary", tmp_path / "train")
    refused = cloister("checksum", "--kind", "python", tmp_path / "train")

    assert (done.code, refused.code) == (0, 2)
    assert Document.parse("it", done.out.encode()).value["size"] == len(program(["libodd.so.1"]))
    assert "Warning: train needs libodd.so.1" in done.err
    assert "not a Python program" in refused.err


@pytest.mark.parametrize("words", [("--kind", "fortran"), ("--kind", "binary", "--packed")])
def test_kind_that_does_not_exist_or_belongs_to_no_dataset_is_refused(cloister, tmp_path: Path, words) -> None:
    (tmp_path / "train").write_bytes(program())

    assert cloister("checksum", *words, tmp_path / "train").code == 2


def test_image_is_printed_as_the_manifest_has_it(cloister, tmp_path: Path) -> None:
    layers = [[oci_archives.Entry("bin/run", oci_archives.PROGRAM, mode=0o755)]]
    path = oci_archives.simple(layers, {"Entrypoint": ["run"]}).write(tmp_path / "image.tar")
    printed = Document.parse("it", cloister("checksum", "--kind", "oci", path).out.encode()).value
    as_json = json.loads(cloister("checksum", "--kind", "oci", "--json", path).out)

    assert printed == as_json
    assert sorted(printed["container"]) == ["digest", "unpacked_size"]
