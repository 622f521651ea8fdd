"""The first policy: which values it adopts from which file, and which inputs are errors."""

import dataclasses
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.attestation.errors import PolicyError
from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.attestation.policy.policy import Policy
from cloister.attestation.testkit import LocalMachine
from cloister.attestation.verifier import SessionPurpose, verify
from cloister.errors import InputError
from cloister.protocol import signingkey
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.canonical import FormatError
from cloister.protocol.descriptor import CvmEntry, Descriptor, MemberEntry
from cloister.protocol.imagemanifest import ImageManifest

AT = datetime(2026, 3, 1, tzinfo=UTC)
OWNER = signingkey.spki_of(ed25519.Ed25519PrivateKey.generate().public_key())
CONFIGURATION = BootConfiguration("trial", "main", (signingkey.key_id(OWNER),))
MACHINE = dataclasses.replace(LocalMachine.create(AT), boot_configuration=CONFIGURATION)
IMAGE = ImageManifest(
    flavor="base",
    debug=False,
    inputs={},
    outputs={},
    pcrs={**{index: value.hex() for index, value in MACHINE.image().pcrs.items()}, 12: "00" * 32, 13: "00" * 32},
)
DESCRIPTOR = Descriptor(
    workspace="trial",
    backend="local",
    flavor="base",
    image=IMAGE.digest().hex(),
    members=(MemberEntry("lab", OWNER, ("owner",)),),
    cvms=(CvmEntry("main", "127.0.0.1:6110", "local", CONFIGURATION),),
    authority=MACHINE.authority.certificate,
)


def test_policy_accepts_the_machine_it_was_made_for() -> None:
    policy, _ = policy_from_manifest(IMAGE, DESCRIPTOR, allow_local=True)
    assert Policy.parse(policy.encode()) == policy
    evidence = MACHINE.session(nonce=b"n" * 32, tls_key_digest=b"t" * 32, hpke_key_digest=b"h" * 32)
    verdict = verify(evidence, policy, purpose=SessionPurpose(b"n" * 32, b"t" * 32, b"h" * 32), at=AT)
    assert verdict.accepted


def test_every_adopted_value_is_listed_with_fingerprint_and_who_confirms_it() -> None:
    _, taken = policy_from_manifest(IMAGE, DESCRIPTOR, allow_local=True)
    assert [(one.member, one.value, one.fingerprint) for one in taken] == [
        ("images", "base (the workspace names the same image)", IMAGE.digest().hex()),
        ("boot_configuration.workspace", "trial", ""),
        ("boot_configuration.cvms", "main", ""),
        ("boot_configuration.owners", "lab", signingkey.key_id(OWNER)),
        (
            "local.authority_spki_sha256",
            "the certificate authority of the workspace, which can forge everything",
            MACHINE.authority.spki_sha256().hex(),
        ),
    ]
    assert all(one.confirm_with for one in taken)


def test_image_that_differs_from_the_workspace_is_mentioned() -> None:
    other = dataclasses.replace(DESCRIPTOR, image="ab" * 32)
    policy, taken = policy_from_manifest(IMAGE, other, allow_local=True)
    assert policy.images[0].manifest_digest == IMAGE.digest()
    assert taken[0].value == f"base (the workspace names another image, {'ab' * 32})"


def test_owner_without_a_member_is_mentioned() -> None:
    _, taken = policy_from_manifest(IMAGE, dataclasses.replace(DESCRIPTOR, members=()), allow_local=True)
    assert taken[3].value == "a key that no member has"


def test_local_machines_need_allow_local() -> None:
    with pytest.raises(PolicyError, match="keeps nothing secret"):
        policy_from_manifest(IMAGE, DESCRIPTOR)


def test_debug_image_is_rejected_by_its_own_check() -> None:
    image = dataclasses.replace(IMAGE, flavor="debug", debug=True)
    with pytest.raises(PolicyError, match="The image debug is a debug image"):
        policy_from_manifest(image, DESCRIPTOR, allow_local=True)
    policy, _ = policy_from_manifest(image, DESCRIPTOR, allow_local=True, allow_debug=True)
    assert policy.allow_debug


def test_cvms_with_different_owners_make_no_policy() -> None:
    other = CvmEntry("second", "127.0.0.1:6111", "local", BootConfiguration("trial", "second", ("ab" * 32,)))
    with pytest.raises(PolicyError, match="differ"):
        policy_from_manifest(IMAGE, dataclasses.replace(DESCRIPTOR, cvms=(*DESCRIPTOR.cvms, other)), allow_local=True)


def test_local_and_other_platforms_make_no_policy() -> None:
    other = CvmEntry("second", "127.0.0.1:6111", "sev-snp", dataclasses.replace(CONFIGURATION, cvm="second"))
    with pytest.raises(PolicyError, match="allow_local and accepts other platforms"):
        policy_from_manifest(IMAGE, dataclasses.replace(DESCRIPTOR, cvms=(*DESCRIPTOR.cvms, other)), allow_local=True)


@pytest.mark.parametrize("authority", [None, b"no certificate"])
def test_a_descriptor_without_a_readable_authority_makes_no_policy(authority: bytes | None) -> None:
    with pytest.raises(InputError) as caught:
        policy_from_manifest(IMAGE, dataclasses.replace(DESCRIPTOR, authority=authority), allow_local=True)
    assert isinstance(caught.value, PolicyError | FormatError)
