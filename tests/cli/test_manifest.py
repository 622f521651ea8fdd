"""`manifest` is repeatable, overwrites nothing, and distinguishes image and computation manifests."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from cloister.client.computation.manifest import load_manifest
from cloister.protocol.imagemanifest import ImageManifest
from tests.small_wheels import SmallWheel

IMAGE = ImageManifest(
    flavor="base", debug=False, inputs={}, outputs={}, pcrs=dict.fromkeys((4, 9, 11, 12, 13), "11" * 32)
)


@pytest.fixture
def folder(parties, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(parties.folder)
    (parties.folder / "image.json").write_bytes(IMAGE.encode())
    return parties.folder


def test_manifest_written_again_keeps_id_and_digest(cloister, folder: Path) -> None:
    first = cloister("manifest", "manifest.yaml")
    made = (folder / "manifest.json").read_bytes()
    again = cloister("manifest", "manifest.yaml")

    assert (first.code, again.code) == (0, 0)
    assert again.out == first.out.replace("Written: ", "Unchanged: ")
    assert (folder / "manifest.json").read_bytes() == made
    other = cloister("manifest", "manifest.yaml", "--output", "other.json")
    assert other.code == 0
    assert load_manifest(folder / "other.json").id != load_manifest(folder / "manifest.json").id


@pytest.mark.parametrize(
    ("old", "new", "members"),
    [("time: 2m", "time: 3m", "limits"), ("name: covid19", f"id: {'ab' * 16}\nname: covid20", "id, name")],
)
def test_different_manifest_is_not_overwritten(cloister, folder, parties, old, new, members) -> None:
    assert cloister("manifest", "manifest.yaml").code == 0
    made = (folder / "manifest.json").read_bytes()
    parties.edit(old, new)
    done = cloister("manifest", "manifest.yaml")

    assert done.code == 2
    assert done.err.startswith(
        f"Error: manifest.yaml has changed since manifest.json was written: {members}. It is not"
    )
    assert "--output" in done.err
    assert (folder / "manifest.json").read_bytes() == made


@pytest.mark.parametrize(
    ("content", "said"),
    [(IMAGE.encode(), "the manifest of an image"), (b"notes", "not the manifest of a computation")],
    ids=["image", "notes"],
)
def test_file_of_another_type_is_not_overwritten(cloister, folder: Path, content: bytes, said: str) -> None:
    (folder / "manifest.json").write_bytes(content)
    done = cloister("manifest", "manifest.yaml")

    assert done.code == 2
    assert done.err.startswith(f"Error: manifest.json exists and is {said}; it is not overwritten.")
    assert (folder / "manifest.json").read_bytes() == content


def test_notebook_as_algorithm_is_refused_by_manifest(cloister, folder: Path, parties) -> None:
    notebook = folder / "train.ipynb"
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    line = parties.edit("  file: train.py", "  file: train.ipynb")
    done = cloister("manifest", "manifest.yaml")

    assert done.code == 2
    assert done.err.startswith(f"Error: manifest.yaml:{line}: algorithm.file: train.ipynb is a notebook, not a Python")
    assert "jupyter nbconvert --to script train.ipynb" in done.err
    assert not (folder / "manifest.json").exists()


def test_bundle_that_does_not_fit_is_refused_at_the_limit(cloister, folder: Path, parties) -> None:
    wheel = SmallWheel(files={"six.py": bytes(2_000_000)})
    with tarfile.open(folder / "six.bundle", "w") as made:
        member = tarfile.TarInfo(f"wheels/{wheel.file}")
        member.size = len(wheel.build())
        made.addfile(member, io.BytesIO(wheel.build()))
    parties.edit("  file: train.py", "  file: train.py\n  bundle: six.bundle")
    line = parties.edit("memory: 256MiB", "memory: 1MiB")
    done = cloister("manifest", "manifest.yaml")

    assert done.code == 2
    said = "limits.memory (1 MiB) does not hold the unpacked bundle (1.922 MiB) and Python"
    assert done.err.startswith(f"Error: manifest.yaml:{line}: limits.memory: {said}")
    assert not (folder / "manifest.json").exists()


def test_requirements_in_place_of_a_bundle_are_refused_at_their_line(cloister, folder: Path, parties) -> None:
    (folder / "requirements.txt").write_text("pandas~=2.2\n")
    line = parties.edit("  file: train.py", "  bundle: requirements.txt\n  file: train.py")
    done = cloister("manifest", "manifest.yaml")

    assert done.code == 2
    assert done.err.startswith(f"Error: manifest.yaml:{line}: algorithm.bundle: The guest cannot install the bundle. ")
    assert "`cloister bundle requirements.txt`" in done.err
    assert not (folder / "manifest.json").exists()


def test_warnings_of_manifest_go_to_standard_error_and_into_json(cloister, folder: Path) -> None:
    (folder / "train.py").write_text("import sklearn\n")
    said = "train.py, line 1: sklearn is not in the guest, and there is no bundle. Bundle scikit-learn, and name the "
    done = cloister("manifest", "manifest.yaml")
    again = cloister("manifest", "manifest.yaml", "--json")

    assert done.code == 0
    assert done.err.startswith(f"Warning: {said}")
    assert "Warning" not in done.out
    (warning,) = json.loads(again.out)["warnings"]
    assert warning.startswith(said)


def test_empty_file_is_overwritten(cloister, folder: Path) -> None:
    (folder / "manifest.json").touch()

    assert cloister("manifest", "manifest.yaml").code == 0
    assert load_manifest(folder / "manifest.json").name == "covid19"


def test_image_and_computation_manifest_are_distinguished(cloister, machine, parties, folder: Path) -> None:
    parties.manifest()
    said = "image.json is the manifest of an image, not the manifest of a computation"

    assert cloister("review", "image.json").err == f"Error: {said}.\nName the right file.\n"
    source = cloister("manifest", "image.json", "--output", "other.json")
    remedy = "Name the file that its author wrote."
    assert (source.code, source.err) == (2, f"Error: {said} as its author writes it.\n{remedy}\n")
    words = ("--workspace", "workspace.json", "--output", "new.json", "--yes")
    swapped = cloister("policy", "--image", "manifest.json", *words)
    assert swapped.code == 2
    said = "manifest.json is the manifest of a computation, not the manifest of an image"
    assert swapped.err == f"Error: {said}.\nName the right file.\n"


def test_missing_image_manifest_hint_says_whom_to_ask(cloister, machine, folder: Path) -> None:
    done = cloister("policy", "--image", "absent", "--workspace", "workspace.json", "--output", "new.json")

    assert done.code == 2
    assert done.err.splitlines()[1:] == [
        "Ask the platform team for it, or build the image yourself in a checkout: invoke image.build"
    ]


def write_image(path: Path, flavor: str, packages: dict[str, str]) -> None:
    path.write_bytes(ImageManifest(flavor, False, {}, {}, IMAGE.pcrs, packages).encode())


def bundle_that_counts_on(path: Path, text: str) -> None:
    wheel = SmallWheel(files={"six.py": b"x = 1\n"})
    with tarfile.open(path, "w") as made:
        for name, data in (("requirements.txt", text.encode()), (f"wheels/{wheel.file}", wheel.build())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))


def test_packages_of_the_image_are_recorded_and_reviewed(cloister, folder: Path, parties) -> None:
    write_image(folder / "torch.json", "pytorch", {"torch": "2.6.0+debian", "pillow": "11.1.0", "numpy": "2.2.4"})
    bundle_that_counts_on(folder / "six.bundle", "# image: numpy==2.2.4\nsix==1\n")
    parties.files["algorithm"].write_text("import torch, six\nfrom PIL import Image\n")
    parties.edit("  file: train.py", "  file: train.py\n  bundle: six.bundle")

    done = cloister("manifest", "manifest.yaml", "--image", "torch.json", "--json")

    assert (done.code, json.loads(done.out)["warnings"]) == (0, [])
    counted = {"numpy": "2.2.4", "pillow": "11.1.0", "torch": "2.6.0+debian"}
    assert load_manifest(folder / "manifest.json").algorithm.image_packages == counted
    review = cloister("review", "manifest.json")
    assert "a machine without them refuses it: numpy 2.2.4, pillow 11.1.0 and torch 2.6.0+debian." in review.out


def test_image_without_the_bundles_packages_is_refused_at_the_bundle(cloister, folder: Path, parties) -> None:
    bundle_that_counts_on(folder / "six.bundle", "# image: torch==2.6.0\nsix==1\n")
    line = parties.edit("  file: train.py", "  file: train.py\n  bundle: six.bundle") + 1

    for name, packages in (("image.json", {}), ("other.json", {"torch": "2.7.0"})):
        write_image(folder / name, "base", packages)
        done = cloister("manifest", "manifest.yaml", "--image", name)
        assert done.code == 2
        assert done.err.startswith(
            f"Error: manifest.yaml:{line}: algorithm.bundle: The bundle six.bundle counts on packages that the image "
            "base does not have: torch 2.6.0"
        )
        assert not (folder / "manifest.json").exists()


def test_author_who_names_no_image_is_told_to(cloister, folder: Path, parties) -> None:
    bundle_that_counts_on(folder / "six.bundle", "# image: torch==2.6.0\nsix==1\n")
    parties.edit("  file: train.py", "  file: train.py\n  bundle: six.bundle")

    done = cloister("manifest", "manifest.yaml")

    assert done.code == 0
    assert "counts on packages of an image: torch. Pass --image" in done.err
    assert load_manifest(folder / "manifest.json").algorithm.image_packages == {"torch": "2.6.0"}


def test_folder_of_an_image_stands_for_its_manifest(cloister, folder: Path) -> None:
    (folder / "out/image/base").mkdir(parents=True)
    write_image(folder / "out/image/base/manifest.json", "base", {})

    assert cloister("manifest", "manifest.yaml", "--image", "out/image/base").code == 0
    empty = cloister("manifest", "manifest.yaml", "--image", "out/image")
    assert (empty.code, "The image manifest out/image/manifest.json cannot be read" in empty.err) == (2, True)


def test_a_wrong_image_manifest_is_named(cloister, folder: Path) -> None:
    done = cloister("manifest", "manifest.yaml", "--image", "manifest.yaml")
    assert done.code == 2
    assert "manifest.yaml" in done.err
    missing = cloister("manifest", "manifest.yaml", "--image", "none.json")
    assert (missing.code, "The image manifest none.json cannot be read" in missing.err) == (2, True)
