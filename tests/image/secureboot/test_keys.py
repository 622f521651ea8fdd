"""Secure Boot keys: private, complete, and never overwritten."""

import hashlib
import json
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from invoke.context import Context

from image.secureboot import keys
from image.secureboot.keys import Certificates, KeysError, Signer
from image.verbs import signing
from tests import output_schema
from tests.image.secureboot.test_enrolment import EFITOOLS

FILES = ["KEK.der", "KEK.key", "PK.der", "PK.key", "db.der", "db.key"]


def test_each_private_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "team" / "keys"
    made = keys.create(folder, "Hospital")

    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.key")} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    certificates = Certificates.load(folder)
    assert certificates == Certificates(*(made[name].der() for name in keys.NAMES))
    for name, der in certificates.by_name().items():
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(certificate)
        assert certificate.subject.rfc4514_string() == f"CN=Hospital {name}"
        assert Signer.load(folder, name).key.private_numbers() == made[name].key.private_numbers()


def test_verb_prints_the_certificates_digests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "keys"
    signing.keys(Context(), keys=str(folder), json=True)
    printed = capsys.readouterr().out

    output_schema.validate("invoke.image.keys", printed)
    digests = {name: hashlib.sha256(der).hexdigest() for name, der in Certificates.load(folder).by_name().items()}
    assert json.loads(printed) == {"folder": str(folder), "certificates": digests}


@pytest.mark.parametrize("present", FILES)
@pytest.mark.parametrize("kind", ["file", "link"])
def test_existing_key_is_not_overwritten_and_nothing_is_added(tmp_path: Path, present: str, kind: str) -> None:
    if kind == "file":
        (tmp_path / present).write_bytes(b"mine")
    else:
        (tmp_path / present).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(KeysError, match=rf"{present} exists, and keys are never overwritten") as refused:
        keys.create(tmp_path, "Hospital")
    assert refused.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == [present]
    assert kind == "link" or (tmp_path / present).read_bytes() == b"mine"


def test_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(KeysError, match="Other users may write to"):
        keys.create(tmp_path, "Hospital")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("owner", ["", "x" * 61, "\u00e9" * 31, "two\nlines", "\udc80"])
def test_owner_that_no_certificate_can_name_is_refused(tmp_path: Path, owner: str) -> None:
    with pytest.raises(KeysError, match="certificates name it"):
        keys.create(tmp_path / "keys", owner)
    assert not (tmp_path / "keys").exists()


def _other_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("db.key", None, "Cannot read .*db.key: No such file"),
        ("db.der", None, "Cannot read .*db.der: No such file"),
        ("db.key", b"not a key", "is not a private key in PEM without a passphrase"),
        ("db.key", _other_key(), "is not an RSA key"),
        ("db.key", "PK.key", "is not the key of db.der"),
        ("db.der", b"not a certificate", "is not a certificate"),
        ("db.der", "PK.der", "is not the key of db.der"),
    ],
)
def test_unusable_key_is_named(tmp_path: Path, file: str, content: bytes | str | None, says: str) -> None:
    for key, of in (("PK", "PK"), ("db", "KEK")):
        for end in (".key", ".der"):
            shutil.copy(EFITOOLS / f"{of}{end}", tmp_path / f"{key}{end}")
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else (tmp_path / content).read_bytes())

    with pytest.raises(KeysError, match=says) as refused:
        Signer.load(tmp_path, "db")
    assert refused.value.exit_code == 2
