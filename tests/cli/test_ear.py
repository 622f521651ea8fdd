"""`--format ear` of `attest` and `verify-evidence`: a token that only the given nonce makes fresh, and exit codes."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cloister.protocol import schema

NONCE = "0a" * 32


@pytest.fixture
def folder(parties, monkeypatch):
    monkeypatch.chdir(parties.folder)
    return parties.folder


def claims(folder, printed):
    public = load_pem_public_key((folder / "lab.pub").read_bytes())
    found = jwt.decode(printed.strip(), public, algorithms=["EdDSA"])
    schema.validate("ear", found, what="The EAR")
    return found


def test_attest_echoes_the_nonce_that_the_machine_was_asked_with(cloister, machine, folder):
    machine.submit()
    words = ("attest", "--workspace", "workspace.json", "--policy", "policy.json", "--key", "lab.pem")
    done = cloister(*words, "--format", "ear", "--nonce", f"0x{NONCE}", "--save", "evidence.json")

    assert done.code == 0
    found = claims(folder, done.out)
    assert base64.b64decode(found["eat_nonce"]) == bytes.fromhex(NONCE)
    assert found["ear_status"] == "contraindicated"  # a local machine
    assert json.loads(cloister(*words[:-2], "--json").out)["policy"] in json.dumps(found)
    recorded = cloister(
        "verify-evidence", "evidence.json", "--policy", "policy.json", "--key", "lab.pem", "--format", "ear"
    )
    assert recorded.code == 0
    assert "eat_nonce" not in claims(folder, recorded.out)
    (folder / "ear.jwt").write_text(done.out)
    refused = cloister("verify-evidence", "ear.jwt", "--policy", "policy.json")
    assert (refused.code, refused.out) == (2, "")
    assert "ear.jwt is an EAT Attestation Result (EAR)" in refused.err


def test_rejection_is_an_ear_with_exit_code_3(cloister, machine, folder):
    machine.submit()
    where = ("attest", "--workspace", "workspace.json", "--policy", "policy.json")
    cloister(*where, "--save", "evidence.json")
    done = cloister(
        *("verify-evidence", "evidence.json", "--policy", "policy.json", "--key", "lab.pem"),
        *("--format", "ear", "--report-data", "zero"),
    )

    assert done.code == 3
    assert claims(folder, done.out)["ear_status"] == "contraindicated"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--nonce", ""), "--nonce is empty"),
        (("--nonce", "00" * 31), "--nonce has 31 bytes; a session's nonce has 32."),
        (("--format", "ear"), "No key is set"),
        (("--format", "jwt"), "--format is 'jwt'"),
    ],
)
def test_option_that_cannot_be_used_asks_no_machine(cloister, parties, folder, words, says):
    done = cloister("attest", "--workspace", "workspace.json", "--policy", "policy.json", *words)

    assert (done.code, done.out) == (2, "")
    assert says in done.err
