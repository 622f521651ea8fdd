"""Joining a workspace: from the platform team's invitation to an answer with the party's public key."""

from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.client.files import document_type
from cloister.client.files.keys import Key, KeyType, generate_key, load_key
from cloister.errors import InputError
from cloister.keyfile.private import Passphrase
from cloister.protocol.invitation import MAX_SIZE, Invitation, InvitationAnswer
from cloister.userfile import FilePath


@dataclass(frozen=True)
class Joining:
    """What was answered, with which key. ``made``: the key is new."""

    invitation: Invitation
    key: Key
    made: bool


def load_invitation(path: FilePath) -> Invitation:
    """The invitation at ``path``. Raises InputError."""
    path = Path(path)
    try:
        data = userfile.read(path, MAX_SIZE)
    except OSError as error:
        ask = "Ask the platform team for it (they write it with: invoke member.invite)."
        raise userfile.unreadable(f"The invitation {path}", error, missing=ask) from error
    try:
        return Invitation.parse(data)
    except InputError as error:
        raise document_type.mistaken(path, data, document_type.INVITATION, error) from error


def join(
    invitation: FilePath,
    answer: FilePath,
    key: FilePath,
    *,
    kind: KeyType = KeyType.ED25519,
    passphrase: Passphrase | None = None,
) -> Joining:
    """Answer an invitation.

    Args:
        invitation: the file from the platform team.
        answer: the file to write, for the platform team. It is replaced.
        key: the party's private key. If the file does not exist, it and the public key are made.
        kind: the type of a key that is made.
        passphrase: called with the key's name when it is encrypted.

    Raises:
        InputError: the invitation or the key cannot be used, or a file cannot be written.
    """
    invitation = Path(invitation)
    answer = Path(answer)
    key = Path(key)
    found = load_invitation(invitation)
    made = not key.exists()
    pair = generate_key(key, kind) if made else load_key(key, passphrase)
    userfile.write_file(answer, InvitationAnswer.sign(found, pair.private).encode() + b"\n")
    return Joining(found, pair, made)
