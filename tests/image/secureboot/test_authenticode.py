"""Signed EFI programs: the same bytes every time, and a signature that covers every byte that firmware measures."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from cloister.process import run
from image.errors import ImageError
from image.formats import pe
from image.secureboot import authenticode
from image.secureboot.keys import Signer
from tests.image.secureboot.test_enrolment import EFITOOLS
from tests.image.small_programs import efi_program


@pytest.fixture(scope="module")
def signers() -> dict[str, Signer]:
    return {"db": Signer.load(EFITOOLS, "PK"), "KEK": Signer.load(EFITOOLS, "KEK")}


def test_signature_depends_on_program_and_key_alone(signers: dict[str, Signer]) -> None:
    """The clock is in none of it."""
    program = efi_program()

    assert authenticode.sign(program, signers["db"]) == authenticode.sign(program, signers["db"])


@pytest.mark.parametrize("tail", [b"", b"abc"], ids=["whole", "with bytes after the last section"])
def test_signed_program_has_the_measured_digest_of_the_unsigned_one(signers: dict[str, Signer], tail: bytes) -> None:
    program = efi_program() + tail
    signed = authenticode.sign(program, signers["db"])

    assert pe.authenticode(signed) == pe.authenticode(program)
    assert pe.authenticode(signed, "sha384") == pe.authenticode(program, "sha384")
    assert pe.sections(signed) == pe.sections(program)


def test_program_is_signed_by_its_key_and_no_other(signers: dict[str, Signer]) -> None:
    signed = authenticode.sign(efi_program(), signers["db"])

    assert authenticode.is_signed_by(signed, signers["db"].der())
    assert not authenticode.is_signed_by(signed, signers["KEK"].der())
    assert not authenticode.is_signed_by(efi_program(), signers["db"].der())


def test_one_changed_byte_invalidates_the_signature(signers: dict[str, Signer]) -> None:
    """Except in the checksum, which neither firmware nor signature covers."""
    signed = authenticode.sign(efi_program(), signers["db"])
    checksum = range(64 + 24 + 64, 64 + 24 + 68)
    places = [0x80, 0x408, 0x605, len(signed) - 300, len(signed) - 4]
    for place in places:
        changed = bytearray(signed)
        changed[place] ^= 1
        assert place not in checksum
        assert not authenticode.is_signed_by(bytes(changed), signers["db"].der()), place


def test_signed_program_is_not_signed_again(signers: dict[str, Signer]) -> None:
    with pytest.raises(ImageError, match="signed already"):
        authenticode.sign(authenticode.sign(efi_program(), signers["db"]), signers["KEK"])


@pytest.mark.parametrize("tool", ["osslsigncode", "sbverify"])
def test_other_tools_accept_the_signature(signers: dict[str, Signer], tmp_path: Path, tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    (tmp_path / "db.pem").write_bytes(signers["db"].certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "signed.efi").write_bytes(authenticode.sign(efi_program(), signers["db"]))
    words = {
        "osslsigncode": ["verify", "-CAfile", "db.pem", "-in", "signed.efi"],
        "sbverify": ["--cert", "db.pem", "signed.efi"],
    }
    run([tool, *words[tool]], cwd=tmp_path)
