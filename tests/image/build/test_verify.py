"""Comparing images by output, register and file; comparing locks as a changelog."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit

from cloister.errors import InputError
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from image import tasks
from image.build import diff, manifest, output, verify
from image.inputs.lockfile import Lock, LockedArchive, LockedPackage

PACKAGE = LockedPackage("small", "1.0-1", "amd64", "debian", "pool/small.deb", "a" * 64, 10, {"postinst": "b" * 64})
LOCK = Lock(
    "base", "trixie", "c" * 64, (LockedArchive("debian", "trixie", "2026-06-01T00:00:00Z"),), (PACKAGE,), (), ()
)


def files(contents: bytes) -> dict[str, bytes]:
    listing = manifest.listing({"root": {"etc/passwd": {"sha256": hashlib.sha256(contents).hexdigest()}}, "initrd": {}})
    return {"disk.raw": contents, "files.json": listing}


def image(folder: Path, contents: bytes) -> Path:
    made = files(contents)
    described = ImageManifest(
        flavor="base",
        debug=False,
        inputs=dict.fromkeys(("recipe", "lock", "tools", "source"), "0" * 64),
        outputs={name: ImageOutput(hashlib.sha256(data).hexdigest(), len(data)) for name, data in made.items()},
        pcrs={index: hashlib.sha256(contents).hexdigest() if index == 4 else "0" * 64 for index in (4, 9, 11, 12, 13)},
    )
    output.write(made | {"manifest.json": described.encode()}, folder)
    return folder


def test_equal_images_have_no_difference(tmp_path: Path) -> None:
    one, other = image(tmp_path / "a", b"disk"), image(tmp_path / "b", b"disk")

    assert diff.compare(one, other) == []


def test_a_changed_image_names_outputs_registers_and_files(tmp_path: Path) -> None:
    one, other = image(tmp_path / "a", b"disk"), image(tmp_path / "b", b"dish")
    before, after = (hashlib.sha256(data).hexdigest() for data in (b"disk", b"dish"))
    listings = [hashlib.sha256(files(data)["files.json"]).hexdigest() for data in (b"disk", b"dish")]

    assert diff.compare(one, other / "manifest.json") == [
        f"disk.raw: {before} -> {after}",
        f"files.json: {listings[0]} -> {listings[1]}",
        f"PCR 4: {before} -> {after}",
        f"root: etc/passwd: sha256 {before} -> {after}",
    ]


BASE = ImageManifest("base", False, {}, {}, {}, {"numpy": "2.2.4", "torch": "2.6.0"})


@pytest.mark.parametrize(
    ("lie", "rows"),
    [
        ({"debug": True}, [("debug", "yes", "no")]),
        ({"flavor": "other"}, [("flavor", "other", "base")]),
        ({"packages": {**BASE.packages, "torch": "2.7.0"}}, [("package torch", "2.7.0", "2.6.0")]),
        (
            {"packages": {"numpy": "2.2.4", "pandas": "2.2.3"}},
            [("package pandas", "2.2.3", "none"), ("package torch", "none", "2.6.0")],
        ),
        ({}, []),
    ],
)
def test_rebuild_shows_a_manifest_that_lies_about_its_image(
    lie: dict[str, Any], rows: list[tuple[str, str, str]]
) -> None:
    compared = verify.compare_statements(replace(BASE, **lie), BASE)
    assert [(row.name, row.expected, row.found) for row in compared if not row.same] == rows
    assert verify.Verification(tuple(compared), (), ()).same is not bool(rows)


def test_flipped_bit_of_an_output_is_detected(tmp_path: Path) -> None:
    folder = image(tmp_path / "a", b"disk")
    described = output.read_manifest(folder)
    assert output.check(described, folder) == []
    (folder / "disk.raw").write_bytes(b"dhsk")

    assert output.check(described, folder) == ["disk.raw"]


def test_added_and_missing_files_are_named_with_their_layer() -> None:
    one = manifest.listing({"root": {"a": {"mode": "0644"}, "b": {"mode": "0644"}}})
    other = manifest.listing({"root": {"b": {"mode": "0755"}}, "initrd": {"init": {"mode": "0755"}}})

    assert verify.compare_listings(one, other) == [
        "initrd: init: added",
        "root: a: missing",
        "root: b: mode 0644 -> 0755",
    ]


def test_image_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = image(tmp_path / "a", b"disk")
    (folder / "left-over").write_bytes(b"x")
    image(folder, b"new")

    assert sorted(path.name for path in folder.iterdir()) == ["disk.raw", "files.json", "manifest.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_locks_read_like_a_changelog() -> None:
    newer = replace(PACKAGE, version="1.1-1", sha256="d" * 64, scripts={"postinst": "e" * 64})
    added = replace(PACKAGE, name="more")
    later = (LockedArchive("debian", "trixie", "2026-07-01T00:00:00Z"),)

    assert diff.locks(LOCK, replace(LOCK, archives=later, packages=(added, newer))) == [
        "debian: index of 2026-06-01T00:00:00Z -> 2026-07-01T00:00:00Z",
        "more: added, 1.0-1",
        "small: 1.0-1 -> 1.1-1 (changed scripts: postinst)",
    ]
    assert diff.locks(LOCK, replace(LOCK, packages=())) == ["small: removed, was 1.0-1"]


def test_a_lock_and_an_image_cannot_be_compared(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_bytes(LOCK.encode())

    with pytest.raises(InputError, match="Cannot compare"):
        diff.compare(tmp_path / "lock.json", image(tmp_path / "a", b"disk"))
    for path, said in ((Path(os.devnull), "Is a device, not a file"), (tmp_path / "absent", "No such file")):
        with pytest.raises(InputError, match=f"{path} cannot be read: {said}"):
            diff.compare(path, path)


@pytest.mark.parametrize("member", ["packages", "inputs"])
def test_image_of_an_older_version_is_named(tmp_path: Path, member: str) -> None:
    old, new = image(tmp_path / "old", b"disk"), image(tmp_path / "new", b"disk")
    value = json.loads((old / "manifest.json").read_bytes())
    del value[member]
    (old / "manifest.json").write_text(json.dumps(value))

    for one, other in ((old, new), (new, old / "manifest.json")):
        with pytest.raises(InputError, match=rf"/old.* not an image manifest of this .* lacks {member}") as caught:
            diff.compare(one, other)
        assert "with this checkout" in caught.value.hint


def test_invalid_lock_or_file_list_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text('{"archives": 3}')
    with pytest.raises(InputError, match=r"lock\.json is not a lock of this version of Cloister\. Unsupported lock"):
        diff.compare(tmp_path / "lock.json", tmp_path / "lock.json")
    one, other = image(tmp_path / "a", b"disk"), image(tmp_path / "b", b"disk")
    for listing in ("{", "[]", '{"layers": []}', '{"layers": {"root": 1}}', '{"layers": {"root": {"a": 1}}}'):
        (one / "files.json").write_text(listing)
        with pytest.raises(InputError, match=r"Invalid files\.json: not"):
            diff.compare(one, other)


@pytest.mark.parametrize("content", [b"hello", (b"MZ" + bytes(58) + b"\x40" + bytes(3) + b"PE\0\0" + bytes(400))])
def test_measuring_an_invalid_kernel_image_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "uki.efi").write_bytes(content)
    with pytest.raises(Exit) as caught:
        tasks.measure.body(None, image=str(tmp_path))
    assert caught.value.code == 2


def test_verify_checks_its_inputs_before_it_rebuilds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ({"against": f"{tmp_path}/absent"}, {"flavor": "absent"}, {"from_": f"{tmp_path}/absent"}):
        with pytest.raises(Exit) as caught:
            tasks.verify.body(None, **({"against": str(image(tmp_path / "a", b"disk"))} | options))
        assert caught.value.code == 2
        assert "Rebuilding" not in capsys.readouterr().err
