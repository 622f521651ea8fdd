"""The first policy: which values it adopts from which file, and which inputs are errors."""

import dataclasses
import hashlib
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
from cloister.protocol.imagemanifest import ImageEvent, ImageManifest, replayed
from tests.signed_images import event, statement

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


EVENTS = tuple(event(text) for text in ("action", "separator", "UKI", "kernel"))
STARTED = dataclasses.replace(IMAGE, events={4: EVENTS}, pcrs={**IMAGE.pcrs, 4: replayed(EVENTS)})


def test_policy_for_secure_boot_expects_pcr_4_without_the_kernel_and_pins_pcr_7() -> None:
    signed = statement(STARTED)
    policy, taken = policy_from_manifest(STARTED, DESCRIPTOR, allow_local=True, signed=signed)

    assert policy.images[0].manifest_digest == STARTED.digest()
    assert policy.images[0].pcrs[4].hex() == signed.pcrs[4] == replayed(EVENTS[:3])
    assert policy.secure_boot
    assert {index: value.hex() for index, value in policy.platform_pcrs.items()} == {7: signed.pcrs[7]}
    assert Policy.parse(policy.encode()) == policy
    (pin,) = (one for one in taken if one.member == "platform_pcrs")
    assert pin.fingerprint == hashlib.sha256(signed.certificates["db"]).hexdigest()


def test_pcr_7_of_a_cloud_is_not_pinned() -> None:
    """Its firmware may have more keys than those of the statement."""
    cvm = dataclasses.replace(DESCRIPTOR.cvms[0], platform="azure-snp")
    cloud = dataclasses.replace(DESCRIPTOR, backend="azure", cvms=(cvm,), authority=None)
    policy, _ = policy_from_manifest(STARTED, cloud, signed=statement(STARTED))

    assert policy.images[0].pcrs[4].hex() == replayed(EVENTS[:3])
    assert (policy.secure_boot, dict(policy.platform_pcrs)) == (False, {})


@pytest.mark.parametrize(
    ("image", "changed", "says"),
    [
        (dataclasses.replace(STARTED, flavor="other"), {}, "is about another image"),
        (STARTED, {4: EVENTS[:2]}, "PCR 4 does not follow from the events in the image's manifest"),
        (STARTED, {4: EVENTS}, "PCR 4 does not follow from the events in the image's manifest"),
        (IMAGE, {}, "PCR 4 does not follow from the events in the image's manifest"),
    ],
    ids=["another image", "other programs", "Secure Boot off", "no events"],
)
def test_statement_that_the_manifest_does_not_bear_out_is_refused(
    image: ImageManifest, changed: dict[int, tuple[ImageEvent, ...]], says: str
) -> None:
    signed = statement(STARTED if image.flavor == "other" else image)
    pcrs = {index: replayed(listed) for index, listed in changed.items()}
    signed = dataclasses.replace(signed, events={**signed.events, **changed}, pcrs={**signed.pcrs, **pcrs})
    with pytest.raises(FormatError, match=says):
        policy_from_manifest(image, DESCRIPTOR, allow_local=True, signed=signed)


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
