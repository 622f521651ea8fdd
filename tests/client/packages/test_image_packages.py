"""Packages of an image: a bundle leaves them out where their versions are right, and says what it counts on."""

import tarfile
from pathlib import Path

import pytest

from cloister.client.packages import image_packages
from cloister.client.packages.bundle import Bundle, make_bundle
from cloister.client.packages.lock import lock_requirements
from cloister.client.packages.requirements import read_requirements
from cloister.errors import InputError
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.wheels import bundle as form
from cloister.protocol.wheels.image_packages import of_comments
from tests.client.packages.test_lock import index as index
from tests.client.packages.test_lock import needing

IMAGE = ImageManifest(
    "pytorch", False, {}, {}, {}, {"torch": "2.6.0+debian", "numpy": "2.2.4", "scikit-learn": "1.4.2", "odd": "1.x!"}
)


def requirements(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    return path


def wheels(made: Bundle) -> list[str]:
    """The files in a bundle."""
    with tarfile.open(made.path) as archive:
        return [name.removeprefix("wheels/") for name in archive.getnames()[1:]]


def test_unlocked_packages_are_the_images_where_the_requirements_allow(index: Path, tmp_path: Path) -> None:
    needing("top", "torch", "numpy>=2", version="3.0").write(index)
    needing("torch", "gpu", version="2.6.0").write(index)
    needing("torch", "gpu", version="2.7.0").write(index)
    for name, version in (("gpu", "12"), ("numpy", "2.3.0"), ("scikit_learn", "1.6.1")):
        needing(name, version=version).write(index)
    path = requirements(tmp_path, "top\ntorch~=2.6.0\nscikit-learn==1.6.1\n")

    made = make_bundle(path, tmp_path / "x.bundle", cache=tmp_path / "cache", image=IMAGE)

    assert wheels(made) == ["scikit_learn-1.6.1-py3-none-any.whl", "top-3.0-py3-none-any.whl"]
    assert dict(made.image_packages) == {"numpy": "2.2.4", "torch": "2.6.0+debian"}
    assert image_packages.of_bundle(made.path) == made.image_packages
    assert made.lock is not None
    assert "# image: torch==2.6.0+debian\n" in made.lock.read_text()
    # The lock gives the same bundle, with the image only.
    again = make_bundle(made.lock, tmp_path / "again.bundle", cache=tmp_path / "cache", image=IMAGE)
    assert again.digest_hex == made.digest_hex
    with pytest.raises(InputError, match="counts on packages of an image: numpy, torch"):
        make_bundle(made.lock, tmp_path / "none.bundle", cache=tmp_path / "cache")


def test_what_the_requirements_exclude_is_bundled(index: Path, tmp_path: Path) -> None:
    needing("numpy", version="2.3.0").write(index)
    made = lock_requirements(requirements(tmp_path, "numpy>=2.3\n"), image=IMAGE)
    assert ([one.version for one in made.requirements], dict(made.image_packages)) == (["2.3.0"], {})


def test_lock_without_an_image_is_not_kept_beside_one(index: Path, tmp_path: Path) -> None:
    needing("numpy", version="2.3.0").write(index)
    path = requirements(tmp_path, "numpy\n")
    assert [one.version for one in lock_requirements(path).requirements] == ["2.3.0"]
    assert dict(lock_requirements(path, image=IMAGE).image_packages) == {"numpy": "2.2.4"}
    assert [one.version for one in lock_requirements(path, upgrade=True).requirements] == ["2.3.0"]


def test_locked_package_is_left_out_if_the_image_has_that_version(index: Path, tmp_path: Path) -> None:
    digests = {
        name: needing(name, version=version).write(index) for name, version in (("torch", "2.6.0"), ("top", "1"))
    }
    digests["numpy"] = needing("numpy", version="2.2.3").write(index)
    versions = {"torch": "2.6.0", "top": "1", "numpy": "2.2.3"}
    text = "".join(f"{name}=={versions[name]} --hash=sha256:{digest}\n" for name, digest in digests.items())
    made = make_bundle(requirements(tmp_path, text), tmp_path / "x.bundle", cache=tmp_path / "cache", image=IMAGE)
    assert wheels(made) == ["numpy-2.2.3-py3-none-any.whl", "top-1-py3-none-any.whl"]
    assert dict(made.image_packages) == {"torch": "2.6.0+debian"}


def test_no_bundle_is_made_of_what_the_image_has(index: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The image has all packages of"):
        make_bundle(
            requirements(tmp_path, "torch\nnumpy\n"), tmp_path / "x.bundle", cache=tmp_path / "cache", image=IMAGE
        )
    assert not (tmp_path / "x.bundle").exists()


def test_bundle_without_an_image_counts_on_nothing(index: Path, tmp_path: Path) -> None:
    needing("top").write(index)
    made = make_bundle(requirements(tmp_path, "top\n"), tmp_path / "x.bundle", cache=tmp_path / "cache")
    assert (dict(made.image_packages), image_packages.of_bundle(made.path)) == ({}, {})


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        ({"torch": "2.6.0"}, r"torch 2\.6\.0 \(there: 2\.6\.0\+debian\)"),
        ({"pandas": "2.2.3"}, r"pandas 2\.2\.3 \(not there\)"),
        ({f"p{index:02}": "1" for index in range(12)}, r"p07 1 \(not there\) and 4 more\."),
    ],
)
def test_image_without_a_package_is_refused_with_its_name(counted: dict[str, str], said: str) -> None:
    image_packages.require({"torch": "2.6.0+debian"}, IMAGE, "It")
    with pytest.raises(InputError, match=f"It counts on packages that the image pytorch does not have: .*{said}"):
        image_packages.require(counted, IMAGE, "It")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2.6.0", "2.6.0+debian", True),
        ("2.6", "2.6.0+debian", True),
        ("2.6.0+cpu", "2.6.0+debian", True),
        ("2.6.0rc1", "2.6.0", False),
        ("2.6.0.post1", "2.6.0", False),
        ("2.6.1", "2.6.0", False),
        ("not-one", "not-one", True),
        ("not-one", "2.6.0", False),
    ],
)
def test_what_a_distributor_adds_makes_no_other_version(one: str, other: str, same: bool) -> None:
    assert image_packages.same_version(one, other) is image_packages.same_version(other, one) is same


def test_only_whole_comments_name_packages(tmp_path: Path) -> None:
    text = "# image: a==1\n # image: b==1\n# image: C==1\nx==1 # image: d==1\n# image: e==1 f\n# image: g == 1\n"
    assert of_comments(text) == {"a": "1"}
    path = requirements(tmp_path, "# image: a==1\nb\n")
    assert read_requirements(path).image_packages == {"a": "1"}


def test_launcher_passes_over_what_a_bundle_counts_on(index: Path, tmp_path: Path) -> None:
    needing("top", "torch").write(index)
    made = make_bundle(requirements(tmp_path, "top\n"), tmp_path / "x", cache=tmp_path / "cache", image=IMAGE)
    assert [name for name, _ in form.wheels(made.path)] == ["top-1.0-py3-none-any.whl"]
