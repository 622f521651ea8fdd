"""Versions sort as in the examples of Debian Policy, and by the laws of a total order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image.debian.versions import Version
from image.errors import ImageError

# Policy's example first, then versions from Debian's suites.
ORDERED = [
    "1.0~beta1~svn1245",
    "1.0~beta1",
    "1.0~rc1-1",
    "1.0",
    "1.0-0+deb13u1",
    "1.0-1~bpo12+1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-1.1",
    "1.0a",
    "1.0+ds-1",
    "1.0.1",
    "1.2",
    "1.10",
    "2025.02-8+deb13u1",
    "1:0.1",
]

versions = st.builds(
    lambda epoch, upstream, revision: epoch + upstream + revision,
    st.sampled_from(["", "0:", "1:", "12:"]),
    st.from_regex(r"[0-9][0-9a-z.+~]{0,6}", fullmatch=True),
    st.one_of(st.just(""), st.from_regex(r"-[0-9a-z+~.]{1,4}", fullmatch=True)),
)


def test_versions_sort_as_debian_policy_says() -> None:
    assert sorted(map(Version, reversed(ORDERED))) == [Version(text) for text in ORDERED]
    assert all(a < b for a, b in zip(map(Version, ORDERED), map(Version, ORDERED[1:]), strict=False))


@pytest.mark.parametrize(("left", "right"), [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.00", "1.0"), ("1.a", "1.a0")])
def test_equivalent_spellings_of_a_version_are_equal(left: str, right: str) -> None:
    assert Version(left) == Version(right)
    assert hash(Version(left)) == hash(Version(right))


@given(versions, versions, versions)
def test_versions_are_totally_ordered(one: str, two: str, three: str) -> None:
    a, b, c = Version(one), Version(two), Version(three)
    assert (a < b) + (a == b) + (b < a) == 1
    assert (a < b) == (b > a)
    assert a.compare(a) == 0
    if a <= b <= c:
        assert a <= c
    if a == b:
        assert hash(a) == hash(b)


@given(versions)
def test_a_tilde_makes_a_version_older_and_a_suffix_newer(text: str) -> None:
    assert Version(f"{text}~") < Version(text) < Version(f"{text}+b1")


def test_epoch_that_is_not_a_number_is_rejected() -> None:
    with pytest.raises(ImageError, match="epoch"):
        assert Version("a:1") < Version("1")
