"""The author's manifest becomes the canonical one, or an error names the line."""

import hashlib
import re

import pytest

from cloister.client.computation.manifest import compose_manifest, load_manifest
from cloister.errors import InputError
from cloister.protocol import names
from cloister.protocol.canonical import FormatError
from cloister.protocol.containers import unpacking
from cloister.protocol.manifest import MAX_SIZE, DeclaredContainer, Manifest
from tests import oci_archives
from tests.archive_builder import Member, zip_of
from tests.archive_kinds import CSV, A
from tests.client.parties import Parties
from tests.protocol.test_names import REFUSED, TAKEN


@pytest.fixture
def parties(tmp_path):
    return Parties.make(tmp_path)


def test_digests_and_sizes_are_filled_in(parties):
    manifest = parties.manifest()

    content = parties.files["algorithm"].read_bytes()
    assert (manifest.algorithm.asset.digest, manifest.algorithm.asset.size) == (
        hashlib.sha256(content).hexdigest(),
        len(content),
    )
    assert manifest.parties["lab"] == parties.keys["lab"].public
    assert (manifest.results.expires, manifest.results.max_size, manifest.limits.time) == (86400, 1024**2, 120)
    assert (manifest.logs.readers, manifest.logs.max_size, manifest.logs.release) == (("lab",), 4096, "end")
    assert load_manifest(parties.folder / "manifest.json") == manifest


def test_bytes_after_the_largest_manifest_are_not_ignored(parties):
    parties.manifest()
    path = parties.folder / "manifest.json"
    path.write_bytes(path.read_bytes().ljust(MAX_SIZE) + b"\nmore")

    with pytest.raises(InputError, match=f"has more than {MAX_SIZE} bytes"):
        load_manifest(path)


def test_equal_computations_have_different_ids(parties):
    assert parties.manifest().digest() != parties.manifest().digest()


def test_given_id_makes_the_same_manifest_again(parties):
    parties.edit("name: covid19", f"id: {'ab' * 16}\nname: covid19")

    assert parties.manifest().digest() == parties.manifest().digest()


def test_logs_have_no_readers_by_default(parties):
    parties.edit("logs: {readers: [lab], max: 4KiB}\n", "")

    assert parties.manifest().logs.readers == ()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: covid19", "name: Covid 19", "name"),
        ("  kind: python", "  kind: fortran", "algorithm.kind"),
        ("  kind: python", "  kind: binary", "train.py is text, not a compiled program for Linux (ELF)"),
        ("  kind: python", "  kind: python\n  colour: red", "algorithm"),
        ("  file: train.py", "  file: ../train.py", "is outside the folder"),
        ("  file: train.py", "  file: /etc/passwd", "is outside the folder"),
        ("  file: train.py", "  file: absent.py", "its digest is missing"),
        ("  file: train.py", "  file: data", "data is a folder; an algorithm of kind python is one file"),
        ("    size: 4000", "    sise: 4000", "datasets.0"),
        ("    size: 4000\n", "", "its size is missing"),
        ("{name: h2, ", "{name: h1, ", "is already the name on line 14"),
        ("provider: hospital-2", "provider: hospital-3", "not among the parties"),
        ("lab: {key: lab.pub}", "lab: {key: lab.pem}", "private key"),
        ("lab: {key: lab.pub}", "lab: {key: hospital-1.pub}", "have the same key"),
        ("max: 1MiB", "max: 1MB", "is not a size"),
        ("time: 2m", "time: soon", "is not a duration"),
        ("memory: 256MiB", "memory: 1GB", "limits.memory: '1GB' is not a size"),
        ("    provider: hospital-1", "    provider: hospital-1\n    unpack: true", "unpacked_size"),
        ("description: joint training", 'description: "joint\\ttraining"', "description"),
    ],
)
def test_error_names_the_line(parties, old, new, problem):
    line = parties.edit(old, new)

    with pytest.raises(InputError) as caught:
        compose_manifest(parties.folder / "manifest.yaml")

    assert problem in caught.value.message
    assert caught.value.message.count("manifest.yaml:") == 1
    where, number, *_ = caught.value.message.split(":")
    assert where.endswith("manifest.yaml")
    assert abs(int(number) - line) <= 2
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ("[{file: w.pth}]", "algorithm.files.0 lacks at"),
        ("[{file: absent, at: w}]", "absent is not here, and its digest is missing"),
        ("[{file: data, at: w}]", "data is a folder; an entry of algorithm.files is one file"),
        ("[{file: ../w.pth, at: w}]", "is outside the folder of the manifest"),
        ("[{file: w.pth, at: /work/w.pth}]", "/work/w.pth is an absolute path"),
        ("[{file: w.pth, at: ../w.pth}]", "leads out of its folder"),
        ("[{file: w.pth, at: weights/}]", "ends with /"),
        ("[{file: w.pth, at: train.py}]", "is the path of the algorithm"),
        ("[{file: w.pth, at: train.py/w}]", "lies below the algorithm"),
        ("[{file: w.pth, at: datasets}]", "is the path of the folder /work/datasets"),
        ("[{file: w.pth, at: results/w.pth}]", "lies below the folder /work/results"),
        ("[{file: w.pth, at: w}, {file: w.pth, at: w}]", "is the path of another file, w: w"),
        ("[{file: w.pth, at: w}, {file: w.pth, at: w/x}]", "lies below another file, w"),
        ("[{file: w.pth, at: w/x}, {file: w.pth, at: w}]", "contains another file, w/x"),
        ("[{file: w.pth, at: w, name: h1}]", "two assets have the name 'h1'"),
        ("[{file: w.pth, at: w, name: algorithm}]", "two assets have the name 'algorithm'"),
        (f"[{{file: far/w.pth, at: w, digest: {'ab' * 32}, size: 1025GiB}}]", "must be 0 to 1099511627776"),
        ("[]", "must have 1 to 64 entries"),
        (f"[{', '.join(f'{{file: w.pth, at: w{index}}}' for index in range(65))}]", "must have 1 to 64 entries"),
    ],
    ids=lambda text: text[:60],
)
def test_error_about_a_file_of_the_algorithm_names_the_line(parties, entries, problem):
    (parties.folder / "w.pth").write_bytes(b"w")
    line = parties.edit("  kind: python", f"  kind: python\n  files: {entries}") + 1

    with pytest.raises(InputError) as caught:
        compose_manifest(parties.folder / "manifest.yaml")

    assert problem in caught.value.message
    assert caught.value.exit_code == 2
    if "two assets" not in problem:
        assert caught.value.message.split(":")[1] == str(line)


def test_files_of_the_algorithm_are_assets_with_names_of_their_own(parties):
    parties.edit(
        "  kind: python",
        """\
  kind: python
  files:
    - {file: data/h1.csv, at: tables/h1}
    - {file: data/h1.csv, at: H1}
    - {file: data/h1.csv, at: "\u00e9"}
    - {file: data/h1.csv, at: helper.py, name: h1-2}
    - {file: ours/model.pth, at: model.pth, digest: %s, size: 7}"""
        % ("ab" * 32),
    )

    manifest = parties.manifest()

    assert [(one.name, one.at, one.file) for one in manifest.algorithm.files] == [
        ("h1-3", "tables/h1", "h1.csv"),
        ("h1-4", "H1", "h1.csv"),
        ("file", "\u00e9", "h1.csv"),
        ("h1-2", "helper.py", "h1.csv"),
        ("model-pth", "model.pth", "model.pth"),
    ]
    assert {(one.kind, one.provider) for one in manifest.algorithm.files} == {("file", "lab")}
    assert [one.name for one in manifest.assets()] == [
        "algorithm", "h1-3", "h1-4", "file", "h1-2", "model-pth", "h1", "h2"
    ]  # fmt: skip
    assert load_manifest(parties.folder / "manifest.json") == manifest


def _image(path, more=b""):
    layers = [[oci_archives.Entry("bin/run", oci_archives.PROGRAM + more, mode=0o755)]]
    return oci_archives.simple(layers, {"Entrypoint": ["run"]}).write(path)


def test_image_is_described_by_its_own_digest_and_what_it_takes(parties):
    _image(parties.folder / "train.py")
    parties.edit("  kind: python", "  kind: oci")
    manifest = compose_manifest(parties.folder / "manifest.yaml")
    with (parties.folder / "train.py").open("rb") as stream:
        found = unpacking.check(stream)

    assert manifest.algorithm.container == DeclaredContainer(found.digest, found.size)
    assert Manifest.parse(manifest.encode()) == manifest
    parties.edit("  kind: oci", f"  kind: oci\n  container: {{digest: {found.digest}, unpacked_size: {found.size}}}")
    assert compose_manifest(parties.folder / "manifest.yaml").algorithm == manifest.algorithm


def test_another_image_than_the_stated_one_is_refused(parties):
    _image(parties.folder / "train.py")
    parties.edit("  kind: python", f"  kind: oci\n  container: {{digest: {'0' * 64}, unpacked_size: 1MiB}}")
    with pytest.raises(InputError, match=f"the manifest has sha256:{'0' * 64}, which takes 1048576"):
        compose_manifest(parties.folder / "manifest.yaml")


def test_image_that_is_elsewhere_is_described_by_its_provider(parties):
    (parties.folder / "train.py").unlink()
    line = parties.edit("  kind: python", f"  kind: oci\n  digest: {'0' * 64}\n  size: 5") - 1
    with pytest.raises(InputError, match=r"train.py is not here, and algorithm.container is missing") as caught:
        compose_manifest(parties.folder / "manifest.yaml")
    assert "checksum --kind oci train.py" in caught.value.hint
    assert f"manifest.yaml:{line}:" in caught.value.message
    parties.edit("  kind: oci", f"  kind: oci\n  container: {{digest: {'1' * 64}, unpacked_size: 1MiB}}")

    manifest = compose_manifest(parties.folder / "manifest.yaml")
    assert manifest.algorithm.container == DeclaredContainer("1" * 64, 1 << 20)


def test_python_program_has_no_image(parties):
    parties.edit("  kind: python", f"  kind: python\n  container: {{digest: {'0' * 64}, unpacked_size: 1MiB}}")
    with pytest.raises(InputError, match="if and only if"):
        compose_manifest(parties.folder / "manifest.yaml")


def test_file_that_differs_from_the_stated_digest_is_rejected(parties):
    parties.edit("  file: train.py", f"  file: train.py\n  digest: {'0' * 64}")

    with pytest.raises(InputError, match=f"expected {'0' * 64}, but train.py has"):
        compose_manifest(parties.folder / "manifest.yaml")


def test_manifest_that_is_not_canonical_is_rejected(parties):
    with pytest.raises(InputError) as caught:
        load_manifest(parties.folder / "manifest.yaml")

    assert "writes the canonical form" in caught.value.hint


@pytest.mark.parametrize("name", TAKEN)
def test_dataset_has_the_name_of_its_file(parties, name):
    (parties.folder / name).write_text("x")
    parties.edit("hospital-1\n    file: h1.csv", f"hospital-1\n    file: {names.shown(name)}")
    parties.edit("    digest: ", "    # ")
    parties.edit(f"    size: {parties.files['h1'].stat().st_size}\n", "")

    made = parties.manifest()

    assert made.datasets[0].file == name
    assert Manifest.parse(made.encode()) == made


@pytest.mark.parametrize("name", [*REFUSED, "a/b"], ids=ascii)
def test_canonical_manifest_names_no_file_that_is_refused(parties, name):
    value = parties.manifest().value()
    for place in (value["datasets"][0], value["algorithm"]):
        before, place["file"] = place["file"], name
        with pytest.raises(FormatError, match=r"(datasets|algorithm)\.") as caught:
            Manifest.from_value(value)
        assert caught.value.message.isprintable()
        place["file"] = before


def test_datasets_whose_names_are_the_same_on_some_systems_are_refused(parties):
    value = parties.manifest().value()
    value["datasets"][0]["file"], value["datasets"][1]["file"] = "\u00fc", "u\u0308"

    with pytest.raises(FormatError, match="are the same on some systems"):
        Manifest.from_value(value)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("2024", "datasets.0.file must be text. Put it in quotes."),
        ("true", "datasets.0.file must be text. Put it in quotes."),
        ("[draft] h1.csv", "Put text with characters that mean something in YAML in quotes"),
        ("a: b.csv", "Put text with characters that mean something in YAML in quotes"),
        ("# 1.csv", "datasets.0.file must be text. Put it in quotes."),
        ('"a\\u200bb"', 'the name "a\\u200bb" contains the invisible character U+200B. Rename'),
        (f"{'x' * 256}/h1.csv", "has 256 bytes; a name has at most 255"),
    ],
)
def test_name_that_yaml_reads_otherwise_is_refused_with_the_remedy(parties, written, problem):
    line = parties.edit("hospital-1\n    file: h1.csv", f"hospital-1\n    file: {written}") + 1

    with pytest.raises(InputError) as caught:
        parties.manifest()
    assert f"manifest.yaml:{line}: " in str(caught.value) or "YAML" in str(caught.value)
    assert problem in str(caught.value)


def _packed(parties: Parties, data: bytes, more: str = "") -> None:
    """Put an archive beside the author's manifest as the dataset h1."""
    (parties.folder / "h1.zip").write_bytes(data)
    source = parties.folder / "manifest.yaml"
    packed = f"    file: h1.zip\n    unpack: true\n{more}"
    source.write_text(re.sub(r"    file: h1.csv\n    digest: .*\n    size: .*\n", packed, source.read_text()))


def test_unpacked_size_of_an_archive_is_filled_in(parties: Parties) -> None:
    _packed(parties, zip_of(A))
    assert compose_manifest(parties.folder / "manifest.yaml").datasets[0].unpacked_size == len(CSV)


def test_folder_or_archive_that_stays_packed_is_noted_unless_the_author_says_so(parties: Parties) -> None:
    def notes() -> list[str]:
        found: list[str] = []
        compose_manifest(parties.folder / "manifest.yaml", notes=found)
        return found

    _packed(parties, zip_of(A))
    assert notes() == []
    parties.edit("    unpack: true\n", "")
    (note,) = notes()
    assert re.fullmatch(r".*manifest.yaml:\d+: h1: the program finds h1.zip packed. Write `unpack: true` .*", note)
    (parties.folder / "scans").mkdir()
    (parties.folder / "scans" / "Thumbs.db").touch()
    parties.edit("file: h1.zip", "file: scans")
    leftovers, packed = notes()
    assert "h1: scans is a folder, and the program finds one tar of it." in packed
    assert "scans.tar also has what a system or program left there: Thumbs.db." in leftovers
    parties.edit("file: scans", "unpack: false\n    file: scans")
    assert len(notes()) == 1


def test_stated_unpacked_size_may_be_larger_not_smaller(parties: Parties) -> None:
    _packed(parties, zip_of(A), "    unpacked_size: 1MiB\n")
    assert compose_manifest(parties.folder / "manifest.yaml").datasets[0].unpacked_size == 1 << 20
    (parties.folder / "h1.zip").write_bytes(zip_of(Member(b"a.csv", bytes(2 << 20))))
    with pytest.raises(InputError, match=r"manifest.yaml:\d+: .*unpacked_size: expected at least 2097152"):
        compose_manifest(parties.folder / "manifest.yaml")


def test_archive_that_cannot_be_unpacked_is_refused_with_its_line(parties: Parties) -> None:
    _packed(parties, zip_of(A)[:-3])
    with pytest.raises(InputError, match=r"manifest.yaml:\d+: .*h1.zip: The zip is truncated"):
        compose_manifest(parties.folder / "manifest.yaml")


@pytest.mark.parametrize("name", ["\u00b2", "\u0661", "1" * 5000, "7"])
def test_name_that_looks_like_a_position_is_refused_as_a_name(parties, name):
    """A superscript is a digit to Python, but no number."""
    parties.edit("limits:", f'"{name}": 1\nlimits:')
    with pytest.raises(InputError, match=r"manifest\.yaml:\d+: "):
        parties.manifest()
