"""An EAR is a JWT that other software verifies, and no file with a result is taken as evidence."""

import datetime
import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cloister.attestation.binding import SessionBinding
from cloister.attestation.testkit import LocalMachine
from cloister.attestation.verifier import RecordingPurpose, verify
from cloister.client.evidence.attestation_results import kind_of_result
from cloister.client.evidence.ear import sign_ear
from cloister.client.evidence.examination import verify_evidence
from cloister.client.files.keys import Key
from cloister.errors import InputError
from cloister.protocol import schema, signingkey

AT = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
MACHINE = LocalMachine.create(AT)
EVIDENCE = MACHINE.evidence(SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32))
VERDICT = verify(EVIDENCE, MACHINE.policy(), purpose=RecordingPurpose(), at=AT)


def key(private: signingkey.PrivateKey) -> Key:
    return Key(private, signingkey.spki_of(private.public_key()))


ED25519 = key(ed25519.Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    ("signer", "algorithm"),
    [
        (ED25519, "EdDSA"),
        (key(ec.generate_private_key(ec.SECP256R1())), "ES256"),
        (key(ec.generate_private_key(ec.SECP384R1())), "ES384"),
        (key(rsa.generate_private_key(65537, 3072)), "PS256"),
    ],
    ids=["EdDSA", "ES256", "ES384", "PS256"],
)
def test_other_software_verifies_the_token_under_the_key_that_it_names(signer: Key, algorithm: str) -> None:
    token = sign_ear(VERDICT, signer, issued=AT)

    public = signer.private.public_key()
    claims = jwt.decode(token, public, algorithms=[algorithm], options={"verify_iat": False})
    schema.validate("ear", claims, what="The EAR")
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": signer.id, "typ": "JWT"}
    assert signer.id in claims["ear_verifier_id"]["build"]
    assert VERDICT.policy.hex() in json.dumps(claims)
    another = key(ec.generate_private_key(ec.SECP256R1())) if algorithm == "ES256" else ED25519
    with pytest.raises((jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError)):
        jwt.decode(
            token,
            (key(ec.generate_private_key(ec.SECP256R1())) if another is signer else another).private.public_key(),
            algorithms=[algorithm],
        )


def claims_of(**changes: object) -> bytes:
    return json.dumps({"iat": 1, "submods": {"x": {}}, **changes}).encode()


TOKEN = sign_ear(VERDICT, ED25519, issued=AT).encode()
RESULTS = {
    "EAR": (TOKEN, "an EAT Attestation Result (EAR)"),
    "EAR with a line break": (TOKEN + b"\r\n", "an EAT Attestation Result (EAR)"),
    "EAR as a header has it": (b"Bearer " + TOKEN, "an EAT Attestation Result (EAR)"),
    "EAR without its signature": (TOKEN.rpartition(b".")[0] + b".", "an EAT Attestation Result (EAR)"),
    "claims of draft 03": (claims_of(ear_status="affirming"), "the claims of an EAT Attestation Result (EAR)"),
    "claims of other software": (
        claims_of(eat_profile="tag:github.com,2023:veraison/ear"),
        "the claims of an EAT Attestation Result (EAR)",
    ),
    "EAR as a CWT": (
        b"\xd2\x84\x43\xa1\x01\x26\xa0\x58\x40xtag:ietf.org,2026:rats/ear#03",
        "an EAT Attestation Result (EAR) as a CWT",
    ),
    "another token": (jwt.encode({"sub": "x"}, "k" * 32, "HS256").encode(), "a signed token (JWT)"),
    "verdict": (VERDICT.encode(), "a verdict of Cloister's"),
}


@pytest.mark.parametrize(("data", "kind"), RESULTS.values(), ids=RESULTS)
def test_results_are_refused_by_name(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "file").write_bytes(data)

    assert kind_of_result(data) == kind
    with pytest.raises(InputError) as caught:
        verify_evidence([tmp_path / "file"], MACHINE.policy(), at=AT)
    assert f"file is {kind}: it says what a verifier concluded, and is not evidence." in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"eyJ",
        b"eyJ.eyJ.",
        b"eyJhIjoxfQ.AA.AA",
        b"{",
        b"[]",
        b"{}",
        b'{"checks": 1}',
        EVIDENCE.encode_json(),
        EVIDENCE.encode(),
    ],
)
def test_anything_else_does_not_count_as_a_result(data: bytes) -> None:
    assert kind_of_result(data) is None
