"""Entries of a package index and their relations are parsed."""

import pytest

from image.debian.deb822 import stanzas
from image.debian.packages import Package, Relation
from image.errors import ImageError


def test_relation_holds_as_its_operator_says() -> None:
    assert Relation.parse("libc6 (>= 2.38)") == Relation("libc6", ">=", "2.38")
    assert Relation.parse("python3:any (<< 3.14)") == Relation("python3", "<<", "3.14")
    assert Relation("a", ">=", "2").holds("2") and not Relation("a", ">>", "2").holds("2")
    assert Relation("a").holds("anything-1")
    with pytest.raises(ImageError, match="relation"):
        Relation.parse("libc6 (~ 2)")


def test_package_is_read_from_a_stanza() -> None:
    text = (
        "Package: crun\nVersion: 1.21-1\nArchitecture: amd64\nPre-Depends: init\nDepends: a (>= 1) | b,\n c\n"
        "Provides: oci (= 1.0)\nFilename: pool/crun.deb\nSize: 12\nSHA256: 00\nDescription: x\n y\n .\n z\n\n"
    )
    (fields,) = stanzas(text)
    assert Package.parse(fields) == Package(
        name="crun",
        version="1.21-1",
        architecture="amd64",
        depends=((Relation("init"),), (Relation("a", ">=", "1"), Relation("b")), (Relation("c"),)),
        provides=(Relation("oci", "=", "1.0"),),
        path="pool/crun.deb",
        size=12,
        sha256="00",
    )
    with pytest.raises(ImageError, match="SHA256"):
        Package.parse({key: value for key, value in fields.items() if key != "SHA256"})
