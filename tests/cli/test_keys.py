"""Keys of other tools at the verbs: passphrases are asked for or read from a file, and are never shown."""

import io
import os
import pty
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister import client
from cloister.protocol import signingkey
from tests.keyfile import samples

KEY = ed25519.Ed25519PrivateKey.generate()
ID = signingkey.key_id(signingkey.spki_of(KEY.public_key()))
SECRET = samples.PASSPHRASE.decode()
VARIABLE = "CLOISTER_KEY_PASSPHRASE_FILE"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    _write("encrypted.pem", samples.private(KEY, encryption=samples.ENCRYPTED))
    _write("plain.pem", samples.private(KEY))
    return tmp_path


def _write(name: str, data: bytes, mode: int = 0o600) -> None:
    Path(name).write_bytes(data)
    Path(name).chmod(mode)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_passphrase_is_read_from_a_file(cloister, monkeypatch, end):
    _write("secret", f"{SECRET}{end}".encode())
    monkeypatch.setenv(VARIABLE, "secret")

    done = cloister("keys", "--fingerprint", "encrypted.pem")

    assert (done.code, done.err) == (0, "")
    assert "Ed25519 key" in done.out
    assert ID in done.out


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"", 0o600, "holds nothing, expected one line"),
        (b"\n", 0o600, "holds nothing, expected one line"),
        (b"one\ntwo\n", 0o600, "holds more than one line"),
        (b"x" * 1024, 0o600, "more than 1023 bytes"),
        (b"other secret\n", 0o600, "encrypted.pem does not open with this passphrase"),
        (f"{SECRET}\n".encode(), 0o644, "Other users can read the passphrase file secret"),
    ],
)
def test_unusable_passphrase_file_is_refused(cloister, monkeypatch, content, mode, said):
    _write("secret", content, mode)
    monkeypatch.setenv(VARIABLE, "secret")

    done = cloister("keys", "--fingerprint", "encrypted.pem")

    assert done.code == 2
    assert said in done.err
    assert "other secret" not in done.err
    assert SECRET not in done.err


def test_missing_passphrase_file_is_refused(cloister, monkeypatch):
    monkeypatch.setenv(VARIABLE, "absent")
    done = cloister("keys", "--fingerprint", "encrypted.pem")
    assert done.code == 2
    assert "The passphrase file absent cannot be read: No such file" in done.err


def test_passphrase_file_is_not_read_for_a_key_that_needs_no_passphrase(cloister, monkeypatch):
    monkeypatch.setenv(VARIABLE, "absent")
    assert cloister("keys", "--fingerprint", "plain.pem").code == 0


def test_encrypted_key_without_a_terminal_is_refused(cloister):
    done = cloister("keys", "--fingerprint", "encrypted.pem")

    assert done.code == 2
    assert "encrypted.pem is encrypted with a passphrase, and there is no terminal to ask for it." in done.err
    assert f"Set {VARIABLE} to a file" in done.err


@pytest.mark.parametrize(
    ("typed", "code", "shown"),
    [(SECRET, 0, ID), ("other secret", 2, "does not open with this passphrase"), ("", 2, "The passphrase is empty")],
    ids=["right", "wrong", "empty"],
)
def test_passphrase_is_typed_at_the_terminal_and_not_shown(typed, code, shown):
    child, screen = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "cloister", "keys", "--fingerprint", "encrypted.pem"])
    text = b""
    while b"Passphrase of encrypted.pem: " not in text:
        text += os.read(screen, 1024)
    os.write(screen, f"{typed}\n".encode())
    try:
        while more := os.read(screen, 1024):
            text += more
    except OSError:  # the terminal's other end is closed
        pass
    os.close(screen)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == code
    assert shown in text.decode()
    assert not typed or typed not in text.decode()


def test_certificate_gives_its_key_and_says_so(cloister):
    _write("lab.crt", samples.certificate(KEY))

    done = cloister("keys", "--fingerprint", "lab.crt")

    assert (done.code, ID in done.out) == (0, True)
    assert "lab.crt is a certificate; only its key is taken." in done.err


def test_verb_reads_an_encrypted_key(cloister, parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    _write("id", samples.private(parties.keys["lab"].private, encryption=samples.ENCRYPTED))
    _write("secret", SECRET.encode())
    monkeypatch.setenv(VARIABLE, "secret")
    parties.manifest()

    encrypted = cloister("review", "manifest.json", "--key", "id")
    plain = cloister("review", "manifest.json", "--key", "lab.pem")

    assert (encrypted.code, encrypted.err, encrypted.out) == (0, "", plain.out)


def test_parties_of_a_manifest_have_keys_of_other_tools(cloister, parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    keys = {name: key.private for name, key in parties.keys.items()}
    Path("hospital-1.crt").write_bytes(samples.certificate(keys["hospital-1"]))
    text = Path("manifest.yaml").read_text()
    assert cloister("manifest", "manifest.yaml", "--output", "before.json").code == 0
    line = samples.line(keys["lab"]).decode().strip()
    assert "lab.pub" in text
    assert "hospital-1.pub" in text
    Path("manifest.yaml").write_text(text.replace("lab.pub", line).replace("hospital-1.pub", "hospital-1.crt"))

    done = cloister("manifest", "manifest.yaml", "--output", "after.json")

    assert done.code == 0, done.err
    assert "hospital-1.crt is a certificate; only its key is taken." in done.err
    before, after = (client.load_manifest(Path(name)).parties for name in ("before.json", "after.json"))
    assert before == after


def test_refused_key_of_a_party_is_named_with_its_line(cloister, parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    Path("lab.pub").write_bytes(b"PuTTY-User-Key-File-3: ssh-ed25519\n")

    done = cloister("manifest", "manifest.yaml")

    assert done.code == 2
    assert "manifest.yaml:" in done.err
    assert "lab.pub is a PuTTY key (.ppk)" in done.err
    assert "puttygen" in done.err
