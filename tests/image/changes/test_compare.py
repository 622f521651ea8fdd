"""What changed between two locks or two images: as lines, JSON and Markdown."""

import gzip
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit

from cloister.errors import InputError
from cloister.protocol.imagemanifest import ImageEvent, ImageManifest, ImageOutput
from image.audit.databases import Databases
from image.build import manifest, output
from image.changes import compare, render
from image.changes.packages import SourceChange
from image.inputs.lockfile import Lock, LockedArchive, LockedPackage
from image.verbs import change
from tests import output_schema
from tests.image.audit import small_lock
from tests.image.audit.small_lock import ARCHIVES, SmallDeb, release
from tests.signed_images import statement

PACKAGE = LockedPackage("small", "1.0-1", "amd64", "debian", "pool/small.deb", "a" * 64, 10, {"postinst": "b" * 64})
LOCK = Lock(
    "base", "trixie", "c" * 64, (LockedArchive("debian", "trixie", "2026-06-01T00:00:00Z"),), (PACKAGE,), (), ()
)
NO_LOCK = "An image has no lock.json beside its manifest: packages cannot be compared."


def files(contents: bytes) -> dict[str, bytes]:
    root = {"etc/passwd": {"sha256": hashlib.sha256(contents).hexdigest()}, "usr/bin/small": {"sha256": "0" * 64}}
    listing = manifest.listing({"root": root, "initrd": {}})
    return {"disk.raw": contents, "files.json": listing}


def image(folder: Path, contents: bytes, **more: bytes) -> Path:
    made = files(contents) | {name.replace("_", "."): data for name, data in more.items()}
    digest = hashlib.sha256(contents).hexdigest()
    event = ImageEvent("the kernel", digest, "0" * 96)
    value = hashlib.sha256(bytes(32) + bytes.fromhex(digest)).hexdigest()
    described = ImageManifest(
        flavor="base",
        debug=False,
        inputs=dict.fromkeys(("recipe", "lock", "tools", "source"), "0" * 64),
        outputs={name: ImageOutput(hashlib.sha256(data).hexdigest(), len(data)) for name, data in made.items()},
        pcrs={index: value if index == 4 else "0" * 64 for index in (4, 9, 11, 12, 13)},
        events={4: (event,)},
    )
    output.write(made | {"manifest.json": described.encode()}, folder)
    return folder


def text(before: Path, after: Path) -> list[str]:
    return render.lines(compare.compare(before, after))


def test_equal_images_have_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = image(tmp_path / "a", b"disk"), image(tmp_path / "b", b"disk")

    assert text(one, other) == []
    for options in ({}, {"markdown": True}):
        change.diff.body(None, before=str(one), after=str(other), **options)
        assert capsys.readouterr().out.endswith("They are the same.\n")


def test_a_signed_form_of_an_image_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, signed = image(tmp_path / "base", b"disk"), image(tmp_path / "base-signed", b"disk")
    stated = statement(output.read_manifest(signed))
    (signed / "signed.json").write_bytes(stated.encode())

    said = text(plain, signed)
    assert said[0] == f"signed image: none -> {stated.digest().hex()}"
    assert f"certificate db: none -> {hashlib.sha256(stated.certificates['db']).hexdigest()}" in said
    assert f"signed disk.raw: none -> {stated.outputs['disk.raw'].sha256}" in said
    assert f"PCR 7 with Secure Boot: none -> {stated.pcrs[7]}" in said
    assert said[-1] == "The image itself is the same; how it is signed for Secure Boot differs."
    assert text(signed, signed / "manifest.json") == []
    change.diff.body(None, before=str(signed), after=str(plain), json=True)
    printed = capsys.readouterr().out
    output_schema.validate("invoke.image.diff", printed)
    assert (json.loads(printed)["same"], len(json.loads(printed)["secure_boot"])) == (False, 10)
    change.diff.body(None, before=str(plain), after=str(signed), markdown=True)
    assert "## Secure Boot" in capsys.readouterr().out

    (signed / "signed.json").write_bytes(replace(stated, manifest="00" * 32).encode())
    with pytest.raises(InputError, match="is about another image"):
        text(plain, signed)


def test_a_changed_image_names_outputs_sizes_registers_and_files(tmp_path: Path) -> None:
    one, other = image(tmp_path / "a", b"disk"), image(tmp_path / "b", b"dishes")
    before, after = (hashlib.sha256(data).hexdigest() for data in (b"disk", b"dishes"))
    listings = [hashlib.sha256(files(data)["files.json"]).hexdigest() for data in (b"disk", b"dishes")]
    registers = [hashlib.sha256(bytes(32) + bytes.fromhex(one)).hexdigest() for one in (before, after)]

    assert text(one, other / "manifest.json") == [
        f"disk.raw: {before} -> {after}",
        f"files.json: {listings[0]} -> {listings[1]}",
        "disk.raw: 4 bytes -> 6 bytes",
        f"PCR 4: {registers[0]} -> {registers[1]} (changed events: the kernel)",
        f"root: etc/passwd: sha256 {before} -> {after}",
        NO_LOCK,
    ]


def test_locks_read_like_a_changelog(cache_folder: Path) -> None:
    newer = replace(PACKAGE, version="1.1-1", sha256="d" * 64, scripts={"postinst": "e" * 64})
    added = replace(PACKAGE, name="more")
    later = (LockedArchive("debian", "trixie", "2026-07-01T00:00:00Z"),)

    assert of_locks(LOCK, replace(LOCK, archives=later, packages=(added, newer))) == [
        "debian: index of 2026-06-01T00:00:00Z -> 2026-07-01T00:00:00Z",
        "more: added, 1.0-1",
        "small: 1.0-1 -> 1.1-1 (changed scripts: postinst)",
        "changes of small 1.0-1 -> 1.1-1, of small (the package is not in the cache)",
    ]
    assert of_locks(LOCK, replace(LOCK, packages=())) == ["small: removed, was 1.0-1"]
    rebuilt = replace(PACKAGE, sha256="d" * 64)
    assert of_locks(LOCK, replace(LOCK, packages=(rebuilt,)))[0] == "small: same version, different bytes"


def of_locks(before: Lock, after: Lock) -> list[str]:
    return render.lines(compare.locks(before, after))


def test_verb_takes_flavors_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    made = image(tmp_path / "made", b"disk")
    monkeypatch.setattr(output, "folder", lambda flavor: tmp_path / flavor)
    monkeypatch.chdir(made)
    for before, after in (("made", "manifest.json"), (f"{made}/manifest.json", "made")):
        change.diff.body(None, before=before, after=after)
        assert capsys.readouterr().out == "They are the same.\n"
    with pytest.raises(Exit):
        change.diff.body(None, before="absent", after="made")
    assert "Unknown flavor 'absent'" in capsys.readouterr().err


def test_a_lock_and_an_image_cannot_be_compared(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_bytes(LOCK.encode())

    with pytest.raises(InputError, match="Cannot compare"):
        compare.compare(tmp_path / "lock.json", image(tmp_path / "a", b"disk"))
    for path, said in ((Path(os.devnull), "Is a device, not a file"), (tmp_path / "absent", "No such file")):
        with pytest.raises(InputError, match=f"{path} cannot be read: {said}"):
            compare.compare(path, path)


@pytest.mark.parametrize("member", ["packages", "inputs"])
def test_image_of_an_older_version_is_named(tmp_path: Path, member: str) -> None:
    old, new = image(tmp_path / "old", b"disk"), image(tmp_path / "new", b"disk")
    value = json.loads((old / "manifest.json").read_bytes())
    del value[member]
    (old / "manifest.json").write_text(json.dumps(value))

    for one, other in ((old, new), (new, old / "manifest.json")):
        with pytest.raises(InputError, match=rf"/old/manifest.json cannot be used: .*lacks {member}") as caught:
            text(one, other)
        assert "Build the image again" in caught.value.hint


def test_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(bytes(440) + b"\xff" * 8)
    with pytest.raises(InputError, match=r"disk\.raw is neither a lock nor an image manifest: it is not JSON\."):
        compare.compare(tmp_path / "disk.raw", tmp_path / "disk.raw")


def test_invalid_lock_or_file_list_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text('{"archives": 3}')
    with pytest.raises(InputError, match=r"lock\.json is not a lock of this version of Cloister\. Unsupported lock"):
        compare.compare(tmp_path / "lock.json", tmp_path / "lock.json")
    other = image(tmp_path / "b", b"disk")
    for listing in ("{", "[]", '{"layers": []}', '{"layers": {"root": 1}}', '{"layers": {"root": {"a": 1}}}'):
        one = image(tmp_path / "a", b"disk", files_json=listing.encode())
        with pytest.raises(InputError, match=r"Invalid files\.json: not"):
            text(one, other)
    (one / "files.json").write_text("{}")
    with pytest.raises(InputError, match=r"files\.json: SHA-256 differs from the manifest beside it"):
        text(one, other)
    damaged = image(tmp_path / "c", b"disk", lock_json=b"{}")
    with pytest.raises(InputError, match=r"not an image of this version of Cloister\. Unsupported lock"):
        text(damaged, other)


CHANGELOG = """\
small (1.2-1) trixie-security; urgency=high

  * Fix CVE-2026-0002, `quietly`.

 -- A Person <a@example.org>  Sat, 10 Oct 2026 19:56:39 +0200

small (1.1-1) trixie; urgency=medium

  * Fix CVE-2026-0001.

 -- A Person <a@example.org>  Mon, 29 Jun 2026 23:37:52 +0200

small (1.0-1) unstable; urgency=low

  * New release.

 -- A Person <a@example.org>  Sun, 08 Jun 2025 00:34:24 +0300
"""
DOC = "usr/share/doc/libsmall1/changelog.Debian.gz"


def upgrade() -> tuple[Lock, Lock]:
    """Two packages of one source, of which one has the changelog and the other a script that changes."""
    packages = []
    for version, script in (("1.0-1", "#!/bin/sh\nfirst\n"), ("1.2-1", "#!/bin/sh\nsecond\n")):
        source = {"Source": "small"}
        library = SmallDeb("libsmall1", version, source, {DOC: gzip.compress(CHANGELOG.encode(), mtime=0)})
        tool = SmallDeb("small-tool", f"{version}+b1", {"Source": f"small ({version})"}, {"usr/bin/small": b"x"})
        packages.append((library.put(), tool.put({"postinst": script})))
    before, after = (Lock("base", "trixie", "0", ARCHIVES, pair, (), ()) for pair in packages)
    return before, after


def test_upgrade_has_changelog_and_lines_of_changed_scripts(cache_folder: Path) -> None:
    assert of_locks(*upgrade()) == [
        "libsmall1: 1.0-1 -> 1.2-1",
        "small-tool: 1.0-1+b1 -> 1.2-1+b1 (changed scripts: postinst)",
        "    --- postinst before",
        "    +++ postinst after",
        "    @@ -1,2 +1,2 @@",
        "     #!/bin/sh",
        "    -first",
        "    +second",
        "changes of small 1.0-1 -> 1.2-1, of libsmall1, small-tool",
        "    small (1.2-1), Sat, 10 Oct 2026 19:56:39 +0200",
        "      * Fix CVE-2026-0002, `quietly`.",
        "    small (1.1-1), Mon, 29 Jun 2026 23:37:52 +0200",
        "      * Fix CVE-2026-0001.",
        "named in changelogs: CVE-2026-0001, CVE-2026-0002",
    ]


def test_without_the_old_packages_versions_are_those_of_the_lock(cache_folder: Path) -> None:
    before, after = upgrade()
    for package in before.packages:
        (cache_folder / package.sha256).unlink()
    lines = of_locks(before, after)
    assert "changes of small 1.0-1 -> 1.2-1, of libsmall1, small-tool" in lines
    assert "    +second" not in lines


def test_source_with_other_versions_than_its_package_needs_the_old_package(cache_folder: Path) -> None:
    """As lvm2, whose dmsetup has an epoch and a number of its own."""
    doc = {DOC: gzip.compress(CHANGELOG.encode())}
    old, new = (
        SmallDeb("libsmall1", f"2:9.{minor}", {"Source": f"small (1.{minor}-1)"}, doc).put() for minor in (0, 2)
    )
    before, after = (Lock("base", "trixie", "0", ARCHIVES, (package,), (), ()) for package in (old, new))
    assert compare.locks(before, after).named == ["CVE-2026-0001", "CVE-2026-0002"]
    (cache_folder / old.sha256).unlink()
    (one,) = compare.locks(before, after).sources
    assert (one.before, [entry.version for entry in one.entries]) == ("", ["1.2-1"])
    assert one.note == "the old package is not in the cache: only the newest entry"


def test_data_says_what_an_upgrade_ends_and_leaves(cache_folder: Path, tmp_path: Path) -> None:
    issues = {
        "CVE-2026-0002": release("resolved", "1.2-1"),
        "CVE-2026-0003": release("open"),
        "CVE-2026-0004": release("resolved", "1.0-1"),
    }
    data = Databases(small_lock.tracker(tmp_path / "tracker.json", {"small": issues}))
    before, after = upgrade()
    found = compare.locks(before, after, data).vulnerabilities
    assert found is not None
    assert [sorted({one.id for one in part}) for part in (found.fixed, found.new, found.open)] == [
        ["CVE-2026-0002"],
        [],
        ["CVE-2026-0003"],
    ]
    lines = render.lines(compare.locks(before, after, data))
    assert lines[-2:] == [
        "fixed: CVE-2026-0002 in small 1.0-1 (in small-tool 1.0-1+b1)",
        "open: small: 1 (CVE-2026-0003)",
    ]
    # Backwards, it is new.
    back = compare.locks(after, before, data).vulnerabilities
    assert back is not None
    assert {one.id for one in back.new} == {"CVE-2026-0002"}
    (cache_folder / before.packages[0].sha256).unlink()
    left = compare.locks(before, after, data).vulnerabilities
    assert left is not None
    assert left.notes == ("Not judged, because they are not in the cache: libsmall1 1.0-1 of the old lock.",)


def test_images_with_their_locks_are_compared_in_every_form(
    cache_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    issues = {"CVE-2026-0002": release("resolved", "1.2-1"), "CVE-2026-0003": release("open")}
    data = small_lock.tracker(tmp_path / "data", {"small": issues})
    pair = [
        str(image(tmp_path / name, name.encode(), lock_json=lock.encode()))
        for name, lock in zip(("old", "newer"), upgrade(), strict=True)
    ]
    change.diff.body(None, before=pair[0], after=pair[1], debian=str(data), json=True)
    printed = capsys.readouterr().out
    output_schema.validate("invoke.image.diff", printed)
    value: dict[str, Any] = json.loads(printed)
    assert value["same"] is False
    assert [one["name"] for one in value["packages"]] == ["libsmall1", "small-tool"]
    assert [one["name"] for one in value["sizes"]] == ["disk.raw"]
    assert [one["events"] for one in value["measurements"]] == [["the kernel"]]
    assert [(one["layer"], one["path"]) for one in value["files"]] == [("root", "etc/passwd")]
    assert {one["id"] for one in value["vulnerabilities"]["fixed"]} == {"CVE-2026-0002"}
    # The other package has no file in the image.
    assert [one["package"] for one in value["vulnerabilities"]["open"]] == ["small-tool"]

    change.diff.body(None, before=pair[0], after=pair[1], debian=str(data), markdown=True)
    printed = capsys.readouterr().out
    titles = [line for line in printed.splitlines() if line.startswith("## ")]
    wanted = ("Packages", "Changelogs", "Vulnerabilities", "Statements and outputs", "Sizes", "Measurements", "Files")
    assert titles == [f"## {title}" for title in wanted]
    assert "| `small-tool` | `1.0-1+b1` | `1.2-1+b1` | `postinst` |" in printed
    assert "- fixed: `CVE-2026-0002 in small 1.0-1 (in small-tool 1.0-1+b1)`" in printed


def test_text_of_others_is_code_in_markdown() -> None:
    """Neither a mention nor a link, whatever a version or a maintainer's name says."""
    change_ = SourceChange("small", "1", "2 @someone https://example.org [x](y) `z`", ("small",))
    heading = next(line for line in render.markdown(compare.Changes(sources=(change_,)), "a", "b").splitlines()
                   if line.startswith("### "))  # fmt: skip
    assert heading == "### `changes of small 1 -> 2 @someone https://example.org [x](y) 'z', of small`"
