"""The source packages of packages, as their control files have them."""

import pytest

from image.debian.source import SourcePackage, built_using, source
from image.errors import ImageError

NAMED = {"Package": "libyajl2", "Version": "2.1.0-5+b2"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"Source": "yajl (2.1.0-5)"}, ("yajl", "2.1.0-5")),
        ({"Source": "yajl"}, ("yajl", "2.1.0-5")),
        ({}, ("libyajl2", "2.1.0-5")),
        ({"Version": "1:2.1.0-5+deb13u1"}, ("libyajl2", "1:2.1.0-5+deb13u1")),
        ({"Version": "2.1.0+b2-5"}, ("libyajl2", "2.1.0+b2-5")),
        ({"Source": "linux-signed-amd64 (6.12.118+1)"}, ("linux-signed-amd64", "6.12.118+1")),
    ],
)
def test_source_of_a_package(fields: dict[str, str], expected: tuple[str, str]) -> None:
    assert source({**NAMED, **fields}) == SourcePackage(*expected)


@pytest.mark.parametrize("fields", [{"Source": "two words"}, {"Source": "A (1)"}, {"Version": ""}, {"Source": ""}])
def test_invalid_source_is_rejected(fields: dict[str, str]) -> None:
    with pytest.raises(ImageError, match="libyajl2 has an invalid source or version"):
        source({**NAMED, **fields})


def test_code_of_other_sources_is_named() -> None:
    fields = {
        "Built-Using": "glibc (= 2.41-12), linux (= 6.12-1)",
        "Static-Built-Using": "glibc (= 2.41-12),\nrust (= 1)",
    }
    expected = [SourcePackage("glibc", "2.41-12"), SourcePackage("linux", "6.12-1"), SourcePackage("rust", "1")]
    assert built_using(fields) == expected
    assert built_using({}) == []
