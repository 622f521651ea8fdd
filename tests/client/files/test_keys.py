"""Key pairs: private ones stay private and are never overwritten."""

import errno
import os
import stat
from pathlib import Path

import pytest

from cloister.client.files.keys import KeyType, generate_key, load_key
from cloister.errors import InputError
from cloister.keyfile.public import read_public_key
from cloister.protocol import signingkey


@pytest.mark.parametrize("kind", KeyType)
def test_generated_key_can_be_loaded_and_signs(tmp_path, kind):
    made = generate_key(tmp_path / "lab.pem", kind)

    read = load_key(tmp_path / "lab.pem")

    assert read.public == made.public == read_public_key(tmp_path / "lab.pub").spki
    assert signingkey.verify(read.public, read.sign(b"message"), b"message")


def test_private_key_is_readable_by_its_owner_only(tmp_path):
    generate_key(tmp_path / "lab.pem", KeyType.ED25519)

    assert stat.S_IMODE((tmp_path / "lab.pem").stat().st_mode) == 0o600


def test_private_key_that_other_users_can_read_is_rejected(tmp_path):
    generate_key(tmp_path / "lab.pem", KeyType.ED25519)
    (tmp_path / "lab.pem").chmod(0o640)

    with pytest.raises(InputError, match="Other users can read"):
        load_key(tmp_path / "lab.pem")


def test_public_key_is_rejected_as_private_key(tmp_path):
    generate_key(tmp_path / "lab.pem", KeyType.ED25519)

    with pytest.raises(InputError, match=r"lab\.pub is a public key, expected a private key"):
        load_key(tmp_path / "lab.pub")


@pytest.mark.parametrize("full", ["lab.pem", "lab.pub"])
def test_full_disk_leaves_no_incomplete_key_pair(tmp_path, monkeypatch, full):
    def fsync(descriptor):
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)

    with pytest.raises(InputError, match="No space left"):
        generate_key(tmp_path / "lab.pem", KeyType.ED25519)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("taken", ["lab.pem", "lab.pub"])
def test_existing_key_is_never_overwritten(tmp_path, taken):
    (tmp_path / taken).write_text("mine")

    with pytest.raises(InputError, match="never overwritten"):
        generate_key(tmp_path / "lab.pem", KeyType.ED25519)

    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


def test_private_key_is_rejected_as_public_key(tmp_path):
    generate_key(tmp_path / "lab.pem", KeyType.ED25519)

    with pytest.raises(InputError, match="is a private key"):
        read_public_key(tmp_path / "lab.pem")


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAA\n", b"\xff" * 99])
def test_file_without_a_key_is_rejected_by_name(tmp_path, content):
    path = tmp_path / "lab.pem"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(InputError, match=r"lab\.pem"):
        load_key(path)
