"""``join``: from an invitation to a key and an answer."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister import client
from cloister.protocol import signingkey
from cloister.protocol.invitation import Invitation, InvitationAnswer

INVITATION = Invitation.new("covid", "hospital-1", ("dataset-provider",))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLOISTER_KEY", raising=False)
    Path("in.json").write_bytes(INVITATION.encode() + b"\n")
    return tmp_path


def test_join_makes_key_and_answer_and_shows_the_fingerprint(cloister):
    done = cloister("join", "in.json")

    answer = InvitationAnswer.parse(Path("hospital-1.answer.json").read_bytes())
    assert (done.code, done.err) == (0, "")
    assert answer.invitation == INVITATION.digest()
    assert answer.key == client.load_key(Path("hospital-1.pem")).public
    assert signingkey.key_id(answer.key) in done.out
    assert "covid, as its member hospital-1" in done.out
    assert Path("hospital-1.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("named", ["option", "environment", "default"])
def test_join_uses_a_key_that_exists(cloister, monkeypatch, named):
    path = Path("hospital-1.pem" if named == "default" else "mine.pem")
    key = client.generate_key(path, client.KeyType.ECDSA)
    if named == "environment":
        monkeypatch.setenv("CLOISTER_KEY", str(path))

    done = cloister("join", "in.json", *(["--key", str(path)] if named == "option" else []), "--json", "--output", "a")

    assert json.loads(done.out) == {
        "workspace": "covid",
        "member": "hospital-1",
        "roles": ["dataset-provider"],
        "private": str(path),
        "answer": "a",
        "fingerprint": key.id,
    }
    assert InvitationAnswer.parse(Path("a").read_bytes()).key == key.public
    assert sorted(one.name for one in Path().glob("*.pem")) == [path.name]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "The invitation in.json cannot be read: No such file"),
        (b"", "in.json: The invitation"),
        (INVITATION.encode().replace(b'"id"', b'"di"'), "in.json: The invitation"),
        (InvitationAnswer.sign(INVITATION, ed25519.Ed25519PrivateKey.generate()).encode(), "is the answer to"),
    ],
    ids=["missing", "empty", "changed", "answer"],
)
def test_another_file_is_refused_before_a_key_is_made(cloister, content, said):
    Path("in.json").unlink()
    if content is not None:
        Path("in.json").write_bytes(content)

    done = cloister("join", "in.json")

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert list(Path().glob("*.pem")) == list(Path().glob("*.answer.json")) == []
