"""Comparing images by output, register and file; comparing locks as a changelog."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import Exit

from cloister.errors import InputError
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from image import tasks
from image.build import manifest, output, verify
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


BASE = ImageManifest("base", False, {}, {}, {}, {"numpy": "2.2.4", "torch": "2.6.0"})


@pytest.mark.parametrize(
    ("lie", "rows"),
    [
        ({"debug": True}, [("debug", "true", "false")]),
        ({"flavor": "other"}, [("flavor", "other", "base")]),
        ({"packages": {**BASE.packages, "torch": "2.7.0"}}, [("Python package torch", "2.7.0", "2.6.0")]),
        (
            {"packages": {"numpy": "2.2.4", "pandas": "2.2.3"}},
            [("Python package pandas", "2.2.3", ""), ("Python package torch", "", "2.6.0")],
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


@pytest.mark.parametrize("entry", [5, ["0644"], {"sha256": ["ab"]}, {"sha256": None}])
def test_list_of_files_of_another_form_is_refused(entry: object) -> None:
    with pytest.raises(InputError, match=r"Invalid files\.json"):
        verify.compare_listings(json.dumps({"layers": {"root": {"a": entry}}}).encode(), manifest.listing({}))


def test_image_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = image(tmp_path / "a", b"disk")
    (folder / "left-over").write_bytes(b"x")
    image(folder, b"new")

    assert sorted(path.name for path in folder.iterdir()) == ["disk.raw", "files.json", "manifest.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


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
