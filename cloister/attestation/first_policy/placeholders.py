"""Placeholders in a first policy: values of members that only a machine or its vendor can provide. They reject.

A manifest has the registers of a vTPM, a descriptor has names and owners. Neither has the processor, paravisor and
firmware of a cloud, so their placeholders must reject every machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cloister.attestation.evidence import Platform
from cloister.attestation.policy.policy import Policy

NO_VERSION = 0xFFFFFFFF
"""A least security version that no firmware and no paravisor has."""

NO_KEY = bytes(32)
"""In place of the SHA-256 of a key: no key has this digest."""

_PARAVISOR = (
    "the machine; compare it with one in your own subscription, because another paravisor could forge everything"
)
_GOOGLE = "Google's endorsement of the machine's firmware, and its release notes"


@dataclass(frozen=True)
class Placeholder:
    """A member with a placeholder: its name, the placeholder, what belongs there, and who can provide it."""

    member: str
    value: str
    meaning: str
    provided_by: str


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
"""The placeholder of each member, what belongs there, and who can provide it, in the order of a policy."""


def placeholders(policy: Policy) -> tuple[Placeholder, ...]:
    """The members of ``policy`` with placeholders, which reject every machine of an accepted platform."""
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
    return tuple(Placeholder(member, *texts) for member, texts in _MEMBERS.items() if is_open[member])
