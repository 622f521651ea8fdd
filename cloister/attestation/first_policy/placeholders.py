"""What a first policy leaves open: members that only a machine or its vendor can tell. Left open, they reject.

A manifest has the registers of a vTPM and a descriptor has names and owners. Which processor, paravisor and firmware a
cloud has is in neither, and the value that stands for it must refuse every machine, never accept one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cloister.attestation.evidence import Platform
from cloister.attestation.policy.policy import Policy

NO_VERSION = 0xFFFFFFFF
"""A least security version that no firmware and no paravisor has."""

NO_KEY = bytes(32)
"""In place of the SHA-256 of a key: the digest of none."""

_PARAVISOR = "the machine; compare it with one in a subscription of your own, for whoever brings a paravisor forges all"
_GOOGLE = "Google's endorsement of the machine's firmware, and its release notes"


@dataclass(frozen=True)
class Placeholder:
    """A member that is open: where it stands, what stands there, what belongs there, and who can tell."""

    member: str
    value: str
    meaning: str
    told_by: str


_MEMBERS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "images.snp.launch_digests": ("absent", "what firmware and image are launched as", "the machine, or a rebuild"),
        "images.tdx": (
            "absent",
            "what TDX measures of firmware and image: MRTD, RTMR 1 and 2",
            "the machine; compare it with one of your own that runs the same image",
        ),
        "snp.minimum_tcb": (
            "{}",
            "the processor's product line, and the least versions of its firmware",
            "the machine; AMD's security bulletins say which versions are good enough",
        ),
        "azure.snp.id_key_digests": ("[]", "the key that signs Microsoft's paravisors", _PARAVISOR),
        "azure.snp.min_guest_svn": (str(NO_VERSION), "the paravisor's least security version", _PARAVISOR),
        "azure.tdx.mrtds": ("[]", "the measurement of Microsoft's paravisor", _PARAVISOR),
        "azure.tdx.mrseams": ("[]", "the TDX module", "the machine; Intel lists its TDX modules"),
        "gcp.endorsement_root_spki_sha256": (
            NO_KEY.hex(),
            "the key of the root that vouches for Google's firmware",
            "Google: https://pki.goog/cloud_integrity/GCE-cc-tcb-root_1.crt, for your folder of collateral",
        ),
        "gcp.snp_min_svn": (str(NO_VERSION), "the least security version of Google's firmware", _GOOGLE),
        "gcp.tdx_min_svn": (str(NO_VERSION), "the least security version of Google's firmware", _GOOGLE),
        "instances.gcp": (
            "[]",
            "which machines at Google may answer: project, zone, name",
            "the machine; confirm it with the platform team, over a channel of your own",
        ),
    }
)
"""What stands in each while it is open, what belongs there, and who can tell; in the order of a policy."""


def placeholders(policy: Policy) -> tuple[Placeholder, ...]:
    """The members by which ``policy`` refuses every machine of a platform that it accepts."""
    snp = policy.azure.snp if policy.azure else None
    tdx = policy.azure.tdx if policy.azure else None
    gcp = policy.gcp
    measured = {Platform.TDX, Platform.GCP_TDX}.intersection(policy.platforms)
    named = policy.instances.gcp if policy.instances else ()
    is_open = {
        "images.snp.launch_digests": Platform.SEV_SNP in policy.platforms
        and not any(image.launch_digests for image in policy.images),
        "images.tdx": bool(measured) and not any(image.tdx for image in policy.images),
        "snp.minimum_tcb": policy.snp is not None and not policy.snp.minimum_tcb,
        "azure.snp.id_key_digests": snp is not None and not snp.id_key_digests,
        "azure.snp.min_guest_svn": snp is not None and snp.min_guest_svn == NO_VERSION,
        "azure.tdx.mrtds": tdx is not None and not tdx.mrtds,
        "azure.tdx.mrseams": tdx is not None and not tdx.mrseams,
        "gcp.endorsement_root_spki_sha256": gcp is not None and gcp.endorsement_root_spki_sha256 == NO_KEY,
        "gcp.snp_min_svn": gcp is not None and gcp.snp_min_svn == NO_VERSION,
        "gcp.tdx_min_svn": gcp is not None and gcp.tdx_min_svn == NO_VERSION,
        "instances.gcp": Platform.GCP_SNP in policy.platforms and not named,
    }
    return tuple(Placeholder(member, *said) for member, said in _MEMBERS.items() if is_open[member])
