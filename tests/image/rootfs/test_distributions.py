"""The Python packages that algorithms find in an image."""

import pytest

from image.errors import ImageError
from image.rootfs import distributions
from image.rootfs.tree import Tree, TreeEntry

FIRST, SECOND = "usr/local/lib/python3.13/dist-packages", "usr/lib/python3/dist-packages"


def tree(*files: tuple[str, str]) -> Tree:
    made = Tree()
    for path, text in files:
        made.put(path, TreeEntry.file(text.encode()))
    return made


def metadata(name: str, version: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: other\n\nName: not this\n"


def test_every_kind_of_metadata_is_found() -> None:
    root = tree(
        (f"{SECOND}/torch-2.6.0+debian.egg-info/PKG-INFO", metadata("torch", "2.6.0+debian")),
        (f"{SECOND}/scikit_learn-1.4.2.dist-info/METADATA", metadata("scikit-learn", "1.4.2")),
        (f"{SECOND}/Old_Package-1.egg-info", metadata("Old_Package", "1")),
        (f"{SECOND}/setuptools/_vendor/inner-1.dist-info/METADATA", metadata("inner", "1")),
        ("usr/lib/cloister/grpcio-1.dist-info/METADATA", metadata("grpcio", "1")),
    )

    found = distributions.find(root, (FIRST, SECOND))

    assert list(found.items()) == [("old-package", "1"), ("scikit-learn", "1.4.2"), ("torch", "2.6.0+debian")]


def test_the_first_folder_counts() -> None:
    root = tree(
        (f"{SECOND}/numpy-2.2.4.dist-info/METADATA", metadata("numpy", "2.2.4")),
        (f"{FIRST}/numpy-2.3.0.dist-info/METADATA", metadata("numpy", "2.3.0")),
    )

    assert distributions.find(root, (FIRST, SECOND)) == {"numpy": "2.3.0"}


def test_metadata_without_a_version_is_an_error() -> None:
    with pytest.raises(ImageError, match="names no package, or no version of it"):
        distributions.find(tree((f"{SECOND}/a-1.dist-info/METADATA", "Name: a\n")), (SECOND,))
