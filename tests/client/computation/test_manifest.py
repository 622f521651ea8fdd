"""The author's manifest becomes the canonical one, or an error names the line."""

import hashlib

import pytest

from cloister.client.computation.manifest import compose_manifest, load_manifest
from cloister.errors import InputError
from cloister.protocol.manifest import MAX_SIZE
from tests.client.parties import Parties


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
        ("  kind: python", "  kind: binary", "algorithms of kind binary are not supported"),
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
        ("    provider: hospital-1", "    provider: hospital-1\n    unpack: true", "unpacked_size"),
        ("description: joint training", 'description: "joint\\ttraining"', "description"),
    ],
)
def test_error_names_the_line(parties, old, new, problem):
    line = parties.edit(old, new)

    with pytest.raises(InputError) as caught:
        compose_manifest(parties.folder / "manifest.yaml")

    assert problem in caught.value.message
    where, number, *_ = caught.value.message.split(":")
    assert where.endswith("manifest.yaml")
    assert abs(int(number) - line) <= 2
    assert caught.value.exit_code == 2


def test_unsupported_kind_is_not_written(parties):
    for kind in ("binary", "wasm", "oci"):
        parties.edit("  kind: python", f"  kind: {kind}")
        with pytest.raises(InputError) as caught:
            compose_manifest(parties.folder / "manifest.yaml")
        assert (caught.value.exit_code, caught.value.hint) == (2, "Write `kind: python`.")
        parties.edit(f"  kind: {kind}", "  kind: python")


def test_file_that_differs_from_the_stated_digest_is_rejected(parties):
    parties.edit("  file: train.py", f"  file: train.py\n  digest: {'0' * 64}")

    with pytest.raises(InputError, match=f"expected {'0' * 64}, but train.py has"):
        compose_manifest(parties.folder / "manifest.yaml")


def test_manifest_that_is_not_canonical_is_rejected(parties):
    with pytest.raises(InputError) as caught:
        load_manifest(parties.folder / "manifest.yaml")

    assert "writes the canonical form" in caught.value.hint
