"""A first policy from an image manifest and a workspace descriptor, with a list of every adopted value.

The image's values are the party's own (rebuilt, or signed by someone it chose). Names, owners and the local CA come
from the platform team: the party must confirm each over another channel. Neither file describes a machine: members that
only a machine can provide get placeholders, which reject every machine (``placeholders.py``).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cloister.attestation.azure.policy import AzurePolicy, AzureSnpPolicy, AzureTdxPolicy
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import Platform
from cloister.attestation.first_policy.placeholders import NO_KEY, NO_VERSION
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.instances import Instances
from cloister.attestation.policy.images import IMAGE_PCRS, ZERO_PCRS, ImageReference
from cloister.attestation.policy.policy import SNP_PLATFORMS, TDX_PLATFORMS, ConfigurationPolicy, LocalPolicy, Policy
from cloister.attestation.snp.policy import SnpPolicy
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.x509.certificate import Certificate
from cloister.protocol.canonical import FormatError
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.signedimage import DB, PROGRAMS, SECURE_BOOT, SignedImage
from cloister.protocol.signingkey import key_id

TEAM = "the owners of the workspace, not only the platform team"
YOURSELF = "yourself: rebuild it in a checkout (invoke image.verify), or check the signature of someone you chose"

_TRUST = "yourself: do you trust these with what you bring?"

_RELIES_ON: Mapping[Platform, str] = MappingProxyType(
    {
        Platform.SEV_SNP: "AMD",
        Platform.TDX: "Intel",
        Platform.AZURE_SNP: "AMD and on Microsoft's paravisor",
        Platform.AZURE_TDX: "Intel and on Microsoft's paravisor",
        Platform.GCP_SNP: "AMD, and on Google's vTPM for which image runs",
        Platform.GCP_TDX: "Intel and on Google's firmware",
    }
)
"""What a verdict on each platform relies on."""


@dataclass(frozen=True)
class AdoptedValue:
    """A value in a policy that came from another file: its member, meaning, fingerprint (may be empty), and who
    confirms it.
    """

    member: str
    value: str
    fingerprint: str
    confirm_with: str


def policy_from_manifest(
    image: ImageManifest,
    descriptor: Descriptor,
    *,
    allow_local: bool = False,
    allow_debug: bool = False,
    signed: SignedImage | None = None,
) -> tuple[Policy, tuple[AdoptedValue, ...]]:
    """The policy, and every value that it adopts from ``image`` and ``descriptor``, in the order of the policy.

    ``signed`` is the statement about the image for machines that start it with Secure Boot. Raises PolicyError if the
    two make no policy, such as local machines without ``allow_local``, and FormatError for a statement about another
    image.
    """
    platforms = tuple(sorted({Platform(cvm.platform) for cvm in descriptor.cvms}))
    if Platform.LOCAL in platforms and not allow_local:
        raise PolicyError(
            f"The workspace {descriptor.workspace} is on the platform local, which keeps nothing secret from its host.",
            hint="For a trial, pass --allow-local.",
        )
    if image.debug and not allow_debug:
        raise PolicyError(
            f"The image {image.flavor} is a debug image: the host can read its memory.",
            hint="Pass the manifest of an image that is not a debug image.",
        )
    owners = {cvm.boot_configuration.owners for cvm in descriptor.cvms}
    workspaces = {descriptor.workspace, *(cvm.boot_configuration.workspace for cvm in descriptor.cvms)}
    if len(owners) != 1 or len(workspaces) != 1:
        raise PolicyError(
            "The machines in the workspace descriptor differ in their owners or in the name of their workspace.",
            hint="Ask the platform team for a consistent descriptor.",
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
        pcrs=image_pcrs(image, signed),
    )
    # A cloud's firmware may have more keys, so that only a machine shows what its PCR 7 is.
    pinned = signed if platforms == (Platform.LOCAL,) else None
    policy = Policy(
        platforms=platforms,
        images=(reference,),
        boot_configuration=configuration,
        allow_local=allow_local,
        allow_debug=image.debug,
        secure_boot=pinned is not None,
        platform_pcrs={SECURE_BOOT: bytes.fromhex(pinned.pcrs[SECURE_BOOT])} if pinned else {},
        local=local,
        snp=SnpPolicy({}) if set(platforms).intersection(SNP_PLATFORMS) else None,
        tdx=TdxPolicy() if set(platforms).intersection(TDX_PLATFORMS) else None,
        azure=_azure(platforms),
        gcp=_gcp(platforms),
        instances=Instances() if Platform.GCP_SNP in platforms else None,
    )
    return policy, _adopted_values(policy, descriptor, pinned)


def image_pcrs(image: ImageManifest, signed: SignedImage | None) -> dict[int, bytes]:
    """The registers by which a machine is recognised that started ``image``, with Secure Boot if it is ``signed``.

    Raises FormatError for a statement about another image.
    """
    pcrs = {index: image.pcrs[index] for index in (*IMAGE_PCRS, *ZERO_PCRS) if index in image.pcrs}
    if signed is not None:
        signed.check(image)
        pcrs[PROGRAMS] = signed.pcrs[PROGRAMS]
    return {index: bytes.fromhex(value) for index, value in pcrs.items()}


def _azure(platforms: tuple[Platform, ...]) -> AzurePolicy | None:
    snp = AzureSnpPolicy((), NO_VERSION) if Platform.AZURE_SNP in platforms else None
    tdx = AzureTdxPolicy((), ()) if Platform.AZURE_TDX in platforms else None
    return AzurePolicy(snp, tdx) if snp or tdx else None


def _gcp(platforms: tuple[Platform, ...]) -> GcpPolicy | None:
    snp = NO_VERSION if Platform.GCP_SNP in platforms else None
    tdx = NO_VERSION if Platform.GCP_TDX in platforms else None
    return GcpPolicy(NO_KEY, snp, tdx) if snp or tdx else None


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


def _adopted_values(policy: Policy, descriptor: Descriptor, pinned: SignedImage | None) -> tuple[AdoptedValue, ...]:
    image = policy.images[0]
    names = {key_id(member.key): member.name for member in descriptor.members}
    same = "the workspace names the same image"
    if descriptor.image != image.manifest_digest.hex():
        same = f"the workspace names another image, {descriptor.image}"
    expected = policy.boot_configuration
    adopted: list[AdoptedValue] = []
    if policy.local is None:  # with that section, --allow-local was passed
        adopted += [
            AdoptedValue("platforms", f"{one}, which relies on {_RELIES_ON[one]}", "", _TRUST)
            for one in policy.platforms
        ]
    adopted += [
        AdoptedValue(
            "images",
            f"{image.flavor} ({same})",
            image.manifest_digest.hex(),
            YOURSELF,
        ),
        AdoptedValue("boot_configuration.workspace", expected.workspace, "", TEAM),
        AdoptedValue("boot_configuration.cvms", ", ".join(expected.cvms), "", TEAM),
    ]
    for owner in expected.owners:
        name = names.get(owner, "a key that no member has")
        adopted.append(AdoptedValue("boot_configuration.owners", name, owner, f"{name}, over a channel of your own"))
    if pinned is not None:
        db = hashlib.sha256(pinned.certificates[DB]).hexdigest()
        meaning = "PCR 7: Secure Boot, with the keys of the statement; the fingerprint is that of the certificate in db"
        adopted.append(AdoptedValue("platform_pcrs", meaning, db, "who signed the image"))
    if policy.local is not None:
        adopted.append(
            AdoptedValue(
                "local.authority_spki_sha256",
                "the certificate authority of the workspace, which can forge everything",
                policy.local.authority_spki_sha256.hex(),
                "the platform team, over a channel of your own",
            )
        )
    return tuple(adopted)
