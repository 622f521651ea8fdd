"""What packages declare is read from their bytes, once for each of them."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from image.debian import deb
from image.sbom import declared
from image.sbom.declared import Declared
from tests.image import small_archive
from tests.image.small_archive import make_deb

CONTROL = {"Package": "one", "Version": "1:2-3+b1", "Architecture": "amd64"}
COPYRIGHT = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n"
PLACE = "usr/share/doc/one/copyright"


def written(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def read(tmp_path: Path, packages: dict[str, bytes]) -> dict[str, Declared]:
    paths = {name: written(tmp_path, f"{name}.deb", data) for name, data in packages.items()}
    return declared.debian(paths, {}, None)


@pytest.mark.parametrize(
    ("fields", "sources"),
    [
        ({}, (("one", "1:2-3"),)),
        ({"Source": "base"}, (("base", "1:2-3"),)),
        ({"Source": "base (1:2-3)"}, (("base", "1:2-3"),)),
        (
            {"Source": "base (2)", "Built-Using": "linux (= 6.12-1), gcc-14 (= 14.2)"},
            (("base", "2"), ("gcc-14", "14.2"), ("linux", "6.12-1")),
        ),
    ],
)
def test_a_package_names_the_sources_that_it_was_built_from(
    tmp_path: Path, fields: dict[str, str], sources: tuple[tuple[str, str], ...]
) -> None:
    (found,) = read(tmp_path, {"one": make_deb({**CONTROL, **fields}, {PLACE: COPYRIGHT})}).values()
    assert found.sources == sources
    assert (found.licences, found.gap, found.link) == (("GPL-2+",), "", "")


def linking(monkeypatch: pytest.MonkeyPatch, at: str, target: str) -> bytes:
    """A package whose member ``at`` is a link."""

    def tar(files: dict[str, bytes]) -> bytes:
        if at not in files:
            return made(files)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo(f"./{at}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
        return buffer.getvalue()

    made = small_archive.tar
    with monkeypatch.context() as patched:
        patched.setattr(small_archive, "tar", tar)
        return make_deb(CONTROL, {at: b""})


@pytest.mark.parametrize(
    ("at", "target"),
    [
        ("usr/share/doc/one", "two"),
        (PLACE, "../two/copyright"),
        (PLACE, "/usr/share/doc/two/copyright"),
    ],
)
def test_a_linked_copyright_file_is_that_of_the_other_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, target: str
) -> None:
    one = linking(monkeypatch, at, target)
    two = make_deb({**CONTROL, "Package": "two"}, {"usr/share/doc/two/copyright": COPYRIGHT})
    both = read(tmp_path, {"one": one, "two": two})
    assert (both["one"].licences, both["one"].link, both["one"].gap) == (("GPL-2+",), "two", "")
    (alone,) = read(tmp_path, {"one": one}).values()
    assert alone.gap == "its copyright file is that of two, which the lock does not have"
    assert alone.licences == ()


def test_links_in_a_circle_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = read(tmp_path, {"one": linking(monkeypatch, "usr/share/doc/one", "one")}).values()
    assert found.gap == "the links to its copyright file form a loop"


def test_a_package_without_a_copyright_file_says_so(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"one": make_deb(CONTROL, {"usr/bin/one": b""})}).values()
    assert (found.licences, found.gap) == ((), "it has no copyright file")


def test_a_package_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "one.deb", make_deb(CONTROL, {PLACE: COPYRIGHT}))
    kept, digests = tmp_path / "kept", {path: "ab" * 32}
    first = declared.debian({"one": path}, digests, kept)
    (at,) = kept.rglob("*.json")
    with monkeypatch.context() as patched:
        patched.setattr(deb, "copyright_file", lambda path, name: pytest.fail("read again"))
        assert declared.debian({"one": path}, digests, kept) == first
    at.write_bytes(b"{}")
    assert declared.debian({"one": path}, digests, kept) == first, "what is damaged is read again"


def wheel(metadata: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("one-1.dist-info/METADATA", metadata)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("License-Expression: MIT OR Apache-2.0\nLicense: MIT\n", Declared(expression="MIT OR Apache-2.0")),
        ("License: BSD\nClassifier: License :: OSI Approved\n", Declared(licences=("BSD",))),
        (
            "Classifier: License :: OSI Approved :: MIT License\nClassifier: Topic :: Internet\n",
            Declared(licences=("OSI Approved :: MIT License",)),
        ),
        ("License: A text\n  of several lines\n", Declared(gap="its metadata has the text of a licence, and no name")),
        ("Name: one\n", Declared(gap="its metadata names none")),
    ],
)
def test_licences_of_a_wheel(tmp_path: Path, metadata: str, expected: Declared) -> None:
    path = written(tmp_path, "one.whl", wheel(f"Metadata-Version: 2.4\n{metadata}\n"))
    assert declared.wheels({"one": path}) == {"one": expected}
