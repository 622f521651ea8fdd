"""Invitations and their answers: strict documents, and a signature over everything that an answer says."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cloister.protocol import canonical, signingkey
from cloister.protocol.canonical import FormatError
from cloister.protocol.invitation import Invitation, InvitationAnswer

INVITATION = Invitation.new("covid", "hospital-1", ("dataset-provider", "auditor", "auditor"))
KEY = ed25519.Ed25519PrivateKey.generate()
ANSWER = InvitationAnswer.sign(INVITATION, KEY)


def test_invitation_round_trips_and_each_has_an_id_of_its_own():
    assert Invitation.parse(INVITATION.encode()) == INVITATION
    assert INVITATION.roles == ("auditor", "dataset-provider")
    assert Invitation.new("covid", "hospital-1", INVITATION.roles).digest() != INVITATION.digest()


@pytest.mark.parametrize(
    "key", [KEY, ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 3072)], ids=lambda key: key
)
def test_answer_round_trips_for_each_type_of_key(key):
    answer = InvitationAnswer.parse(InvitationAnswer.sign(INVITATION, key).encode())
    assert (answer.workspace, answer.member, answer.invitation) == ("covid", "hospital-1", INVITATION.digest())
    assert answer.key == signingkey.spki_of(key.public_key())


def _changed(document: bytes, **members) -> bytes:
    value = json.loads(document) | members
    return json.dumps({name: inner for name, inner in value.items() if inner is not None}).encode()


OTHER = canonical.to_base64(signingkey.spki_of(ed25519.Ed25519PrivateKey.generate().public_key()))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"version": 2}, "version"),
        ({"kind": "answer"}, "kind"),
        ({"workspace": "other"}, "not signed by the key in it"),
        ({"member": "hospital-2"}, "not signed by the key in it"),
        ({"invitation": "00" * 32}, "not signed by the key in it"),
        ({"key": OTHER}, "not signed by the key in it"),
        ({"key": "AAAA"}, "not a valid SubjectPublicKeyInfo"),
        ({"signature": "AAAA"}, "not signed by the key in it"),
        ({"signature": "=="}, "signature"),
        ({"signature": None}, "signature"),
        ({"roles": ["owner"]}, "'roles', which is not allowed"),
    ],
)
def test_changed_answer_is_refused(members, said):
    with pytest.raises(FormatError, match=said):
        InvitationAnswer.parse(_changed(ANSWER.encode(), **members))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"kind": "invitation-answer"}, "kind"),
        ({"member": "Hospital 1"}, "member"),
        ({"roles": []}, "roles"),
        ({"roles": ["king"]}, "roles"),
        ({"roles": ["dataset-provider", "auditor"]}, "sorted and unique"),
        ({"roles": ["auditor", "auditor"]}, "sorted and unique"),
        ({"id": "00"}, "id"),
        ({"key": OTHER}, "'key', which is not allowed"),
    ],
)
def test_changed_invitation_is_refused(members, said):
    with pytest.raises(FormatError, match=said):
        Invitation.parse(_changed(INVITATION.encode(), **members))


def test_documents_are_bounded():
    for parse in (Invitation.parse, InvitationAnswer.parse):
        with pytest.raises(FormatError, match="more than 16384 bytes"):
            parse(b" " * 16385)
