"""Recognises the type of a JSON document, so that a message can name a wrong one: two types are called manifest."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloister.attestation.policy.evidence_policy import EvidencePolicy
from cloister.attestation.policy.policy import Policy
from cloister.errors import InputError
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.invitation import Invitation, InvitationAnswer
from cloister.protocol.manifest import Manifest
from cloister.protocol.signedimage import SignedImage

POLICY = "a policy"
EVIDENCE_POLICY = "a policy for raw evidence"
DESCRIPTOR = "a workspace descriptor"
COMPUTATION = "the manifest of a computation"
IMAGE = "the manifest of an image"
SIGNED = "the statement about a signed image"
INVITATION = "an invitation"
ANSWER = "the answer to an invitation"

_TYPES: dict[str, Callable[[bytes], Any]] = {
    COMPUTATION: Manifest.parse,
    IMAGE: ImageManifest.parse,
    SIGNED: SignedImage.parse,
    POLICY: Policy.parse,
    EVIDENCE_POLICY: EvidencePolicy.parse,
    DESCRIPTOR: Descriptor.parse,
    INVITATION: Invitation.parse,
    ANSWER: InvitationAnswer.parse,
}


def of(data: bytes) -> str:
    """The type of a JSON document; empty when it is unknown."""
    if data.lstrip()[:1] == b"{":
        for kind, parse in _TYPES.items():
            with suppress(InputError):
                parse(data)
                return kind
    return ""


def mistaken(path: Path, data: bytes, wanted: str, error: InputError, *, hint: str = "") -> InputError:
    """The error for ``data``, which is not ``wanted`` according to ``error``: with its actual type, if known."""
    found = of(data)
    if found and (wanted, found) != (POLICY, EVIDENCE_POLICY):  # the error says what each of the two is for
        return InputError(f"{path} is {found}, not {wanted}.", hint="Name the right file.")
    return InputError(f"{path}: {error.message}", hint=hint or error.hint)
