"""A first policy from an image manifest and a workspace descriptor, with everything that it takes on somebody's word.

The image's values are the party's own (rebuilt, or signed by someone it chose). Names, owners and the local CA come
from the platform team: each must be confirmed with somebody else before the policy is worth anything.
"""

from dataclasses import dataclass

from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import Platform
from cloister.attestation.policy import (
    IMAGE_PCRS,
    ZERO_PCRS,
    ConfigurationPolicy,
    ImageReference,
    LocalPolicy,
    Policy,
)
from cloister.attestation.x509 import Certificate
from cloister.protocol.canonical import FormatError
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.transcript import key_id

TEAM = "the owners of the workspace, not only the platform team"
YOURSELF = "yourself: rebuild it in a checkout (invoke image.verify), or check the signature of someone you chose"


@dataclass(frozen=True)
class TakenOver:
    """A value that went into a policy: where it stands there, what it is, its fingerprint, and who can confirm it."""

    member: str
    value: str
    fingerprint: str
    confirm_with: str


def policy_from(
    image: ImageManifest, descriptor: Descriptor, *, allow_local: bool = False, allow_debug: bool = False
) -> tuple[Policy, tuple[TakenOver, ...]]:
    """The policy, and what it takes over from ``image`` and ``descriptor`` in the order of the policy.

    Raises PolicyError when the two cannot make one policy, such as local machines without ``allow_local``.
    """
    platforms = tuple(sorted({Platform(cvm.platform) for cvm in descriptor.cvms}))
    if Platform.LOCAL in platforms and not allow_local:
        raise PolicyError(
            f"The workspace {descriptor.workspace} runs on the platform local, which keeps no secret from its host.",
            hint="For a trial, say so: --allow-local",
        )
    if image.debug and not allow_debug:
        raise PolicyError(
            f"The image {image.flavor} gives access for debugging: whoever runs the machine can read its memory.",
            hint="Name the manifest of an image that is not for debugging.",
        )
    owners = {cvm.boot_configuration.owners for cvm in descriptor.cvms}
    workspaces = {descriptor.workspace, *(cvm.boot_configuration.workspace for cvm in descriptor.cvms)}
    if len(owners) != 1 or len(workspaces) != 1:
        raise PolicyError(
            "The machines in the workspace descriptor differ in their owners or in the name of their workspace.",
            hint="Ask the platform team for a descriptor that is consistent.",
        )
    local = _local(descriptor) if Platform.LOCAL in platforms else None
    configuration = ConfigurationPolicy(
        workspace=descriptor.workspace,
        cvms=tuple(sorted({cvm.boot_configuration.cvm for cvm in descriptor.cvms})),
        owners=owners.pop(),
    )
    reference = ImageReference(
        flavor=image.flavor,
        debug=image.debug,
        manifest_digest=image.digest(),
        pcrs={index: bytes.fromhex(image.pcrs[index]) for index in (*IMAGE_PCRS, *ZERO_PCRS) if index in image.pcrs},
    )
    policy = Policy(
        platforms=platforms,
        images=(reference,),
        boot_configuration=configuration,
        allow_local=allow_local,
        allow_debug=image.debug,
        local=local,
    )
    return policy, _taken_over(policy, descriptor)


def _local(descriptor: Descriptor) -> LocalPolicy:
    if descriptor.authority is None:
        raise PolicyError(
            f"The descriptor of the workspace {descriptor.workspace} has local machines but no certificate authority.",
            hint="Ask the platform team for a new one: invoke workspace.export",
        )
    try:
        certificate = Certificate.parse(descriptor.authority, "authority")
    except MalformedEvidence as error:
        raise FormatError("The workspace descriptor: authority is not a certificate that can be read.") from error
    return LocalPolicy(certificate.fingerprint(), certificate.der)


def _taken_over(policy: Policy, descriptor: Descriptor) -> tuple[TakenOver, ...]:
    image = policy.images[0]
    names = {key_id(member.key): member.name for member in descriptor.members}
    same = "the workspace names the same image"
    if descriptor.image != image.manifest_digest.hex():
        same = f"the workspace names another image, {descriptor.image}"
    expected = policy.boot_configuration
    taken = [
        TakenOver(
            "images",
            f"{image.flavor} ({same})",
            image.manifest_digest.hex(),
            YOURSELF,
        ),
        TakenOver("boot_configuration.workspace", expected.workspace, "", TEAM),
        TakenOver("boot_configuration.cvms", ", ".join(expected.cvms), "", TEAM),
    ]
    for owner in expected.owners:
        name = names.get(owner, "a key that no member has")
        taken.append(TakenOver("boot_configuration.owners", name, owner, f"{name}, over a channel of your own"))
    if policy.local is not None:
        taken.append(
            TakenOver(
                "local.authority_spki_sha256",
                "the certificate authority of the workspace, which can forge everything",
                policy.local.authority_spki_sha256.hex(),
                "the platform team, over a channel of your own",
            )
        )
    return tuple(taken)
