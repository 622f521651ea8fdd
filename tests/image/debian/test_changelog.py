"""Changelogs: their entries since a version, and where a package has its changelog."""

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from image.debian import changelog, deb
from image.errors import ImageError
from tests.image.small_archive import make_deb

TEXT = """\
small (1:1.2-1+deb13u2) trixie-security; urgency=high

  * Fix CVE-2026-1111 and CVE-2026-22222.
    (Closes: #1)

 -- A Person <a@example.org>  Sat, 10 Oct 2026 19:56:39 +0200

small (1:1.2-1+deb13u1) trixie trixie-updates; urgency=medium

  [ Another ]
  * Fix CVE-2026-1111 for good.

 -- A Person <a@example.org>  Mon, 29 Jun 2026 23:37:52 +0200

small (1:1.2-1) unstable; urgency=low

  * New release; see CVE-2025-1.

 -- A Person <a@example.org>  Sun, 08 Jun 2025 00:34:24 +0300
"""


def test_entries_since_a_version() -> None:
    found = changelog.since(TEXT, "1:1.2-1")
    assert [entry.version for entry in found] == ["1:1.2-1+deb13u2", "1:1.2-1+deb13u1"]
    assert found[0].lines == ("  * Fix CVE-2026-1111 and CVE-2026-22222.", "    (Closes: #1)")
    assert found[0].date == "Sat, 10 Oct 2026 19:56:39 +0200"
    assert [entry.vulnerabilities() for entry in found] == [["CVE-2026-1111", "CVE-2026-22222"], ["CVE-2026-1111"]]
    assert changelog.since(TEXT, "1:1.2-1+deb13u2") == []
    assert len(changelog.since(TEXT, "1:1.1-9")) == 3


@pytest.mark.parametrize("version", ["a:b:c", "9" * 5000, "\u0661"])
def test_entry_with_a_version_of_another_form_hides_none(version: str) -> None:
    text = TEXT.replace("(1:1.2-1+deb13u1)", f"({version})")
    assert [entry.version for entry in changelog.since(text, "1:1.2-1")] == ["1:1.2-1+deb13u2", version]


@pytest.mark.parametrize("text", ["", "no changelog\n", "small (1) sid; urgency=low\n\n  * Never ended.\n"])
def test_text_without_an_entry_has_none(text: str) -> None:
    assert list(changelog.entries(text)) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"changelog.Debian.gz": b"ours", "changelog.gz": b"upstream's"}, "ours"),
        ({"changelog.gz": b"native"}, "native"),
        ({"changelog.Debian.amd64.gz": b"of a rebuild"}, ""),
        ({}, ""),
    ],
)
def test_changelog_of_a_package(tmp_path: Path, files: dict[str, bytes], expected: str) -> None:
    data = {f"usr/share/doc/small/{name}": gzip.compress(content) for name, content in files.items()}
    (tmp_path / "small.deb").write_bytes(make_deb({"Package": "small"}, {"usr/bin/small": b"x", **data}))
    assert deb.changelog(tmp_path / "small.deb") == expected


def test_damaged_changelog_is_an_error(tmp_path: Path) -> None:
    data = {"usr/share/doc/small/changelog.Debian.gz": gzip.compress(b"text" * 100)[:-9]}
    (tmp_path / "small.deb").write_bytes(make_deb({"Package": "small"}, data))
    with pytest.raises(ImageError, match=r"small\.deb is damaged: cannot read data\.tar"):
        deb.changelog(tmp_path / "small.deb")


@pytest.mark.parametrize("read", [deb.open_data, deb.changelog, partial(deb.copyright_file, package="small")])
def test_unsupported_compression_is_named(tmp_path: Path, read: Callable[[Path], object]) -> None:
    package = make_deb({"Package": "small"}, {"usr/bin/small": b"x"})
    (tmp_path / "small.deb").write_bytes(package.replace(b"data.tar.xz ", b"data.tar.zst"))
    with pytest.raises(ImageError, match=r"contains data\.tar\.zst: unsupported compression"):
        read(tmp_path / "small.deb")


def test_files_of_a_package_are_listed_with_and_without_its_sums(tmp_path: Path) -> None:
    files = {"usr/bin/small": b"x", "etc/small.conf": b"y"}
    lists = {"md5sums": "9dd4e461268c8034f5c8564e155c67a6  usr/bin/small\n", "conffiles": "/etc/small.conf\n"}
    for name, listed in (("with", lists), ("without", {})):
        (tmp_path / name).write_bytes(make_deb({"Package": "small"}, files, listed))
        assert deb.regular_files(tmp_path / name) == ["etc/small.conf", "usr/bin/small"]
