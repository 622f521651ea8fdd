"""The image that a workspace names, unsigned and signed."""

from dataclasses import replace
from pathlib import Path

import pytest

from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.signedimage import SignedImage
from image.secureboot.keys import Certificates
from infra.configuration import image
from infra.configuration.image import ImageMissing
from tests.image.secureboot.test_enrolment import EFITOOLS
from tests.infra.clouds import workspaces
from tests.signed_images import statement


def test_signed_image_has_the_same_manifest_and_is_deployed_as_another(tmp_path: Path) -> None:
    plain = image.find(str(workspaces.manifest(tmp_path)))
    signed = image.find(str(workspaces.manifest(tmp_path, signed=True)))

    assert (plain.signed, plain.keys, plain.deployed) == (False, None, plain.digest)
    assert (signed.signed, signed.keys) == (True, Certificates.load(EFITOOLS))
    assert signed.digest == plain.digest
    assert signed.deployed not in (plain.deployed, image.find(str(_signed_again(tmp_path))).deployed)
    assert signed.outputs["disk.raw"] != plain.outputs["disk.raw"]


def _signed_again(folder: Path) -> Path:
    """The same image, signed with other keys."""
    path = workspaces.manifest(folder, signed=True)
    made = SignedImage.parse((path.parent / "signed.json").read_bytes())
    other = dict(zip(("PK", "KEK", "db"), reversed(made.certificates.values()), strict=True))
    (path.parent / "signed.json").write_bytes(replace(made, certificates=other).encode())
    return path


def test_statement_about_another_image_is_refused(tmp_path: Path) -> None:
    path = workspaces.manifest(tmp_path, signed=True)
    other = ImageManifest.parse(workspaces.manifest(tmp_path, source="11").read_bytes())
    (path.parent / "signed.json").write_bytes(statement(other).encode())

    with pytest.raises(ImageMissing, match="is of another image") as refused:
        image.find(str(path))
    assert refused.value.hint == "Sign the image again: invoke image.sign"


def test_unreadable_statement_is_not_taken_for_none(tmp_path: Path) -> None:
    path = workspaces.manifest(tmp_path, signed=True)
    (path.parent / "signed.json").write_bytes(b"{}")

    with pytest.raises(ImageMissing, match="Cannot read the statement of the image"):
        image.find(str(path))


def test_disk_is_compared_with_the_statement(tmp_path: Path) -> None:
    found = image.find(str(workspaces.manifest(tmp_path, signed=True)))
    found.disk.write_bytes(b"disk")

    with pytest.raises(ImageMissing, match=f"SHA-256 differs .manifest: {'22' * 32}"):
        image.check_disk(found)
