"""What the names that ``__init__.py`` imports when they are used are, for type checkers."""

from cloister.attestation.azure.policy import AzurePolicy as AzurePolicy
from cloister.attestation.azure.policy import AzureSnpPolicy as AzureSnpPolicy
from cloister.attestation.azure.policy import AzureTdxPolicy as AzureTdxPolicy
from cloister.attestation.binding import ReceiptBinding as ReceiptBinding
from cloister.attestation.binding import SessionBinding as SessionBinding
from cloister.attestation.collateral.cache import VerificationCache as VerificationCache
from cloister.attestation.collateral.issuers import amd_issuers as amd_issuers
from cloister.attestation.collateral_source import Collateral as Collateral
from cloister.attestation.collateral_source import CollateralItem as CollateralItem
from cloister.attestation.collateral_source import InMemory as InMemory
from cloister.attestation.collateral_source import Origin as Origin
from cloister.attestation.diagnosis.explain import explained as explained
from cloister.attestation.ear import ear_claims as ear_claims
from cloister.attestation.errors import AttestationError as AttestationError
from cloister.attestation.errors import CollateralError as CollateralError
from cloister.attestation.errors import MalformedEvidence as MalformedEvidence
from cloister.attestation.errors import PolicyError as PolicyError
from cloister.attestation.evidence import Evidence as Evidence
from cloister.attestation.evidence import Platform as Platform
from cloister.attestation.evidence import TpmQuote as TpmQuote
from cloister.attestation.first_policy.from_evidence import policy_from_evidence as policy_from_evidence
from cloister.attestation.first_policy.from_manifest import AdoptedValue as AdoptedValue
from cloister.attestation.first_policy.from_manifest import policy_from_manifest as policy_from_manifest
from cloister.attestation.gcp.policy import GcpPolicy as GcpPolicy
from cloister.attestation.instances import GcpInstance as GcpInstance
from cloister.attestation.instances import Instances as Instances
from cloister.attestation.launch.firmware import Firmware as Firmware
from cloister.attestation.launch.igvm import IgvmFile as IgvmFile
from cloister.attestation.launch.snp import KernelHashes as KernelHashes
from cloister.attestation.launch.snp import OvmfFirmware as OvmfFirmware
from cloister.attestation.launch.tdx import TdFirmware as TdFirmware
from cloister.attestation.policy.either import AnyPolicy as AnyPolicy
from cloister.attestation.policy.either import parse_policy as parse_policy
from cloister.attestation.policy.evidence_policy import EvidencePolicy as EvidencePolicy
from cloister.attestation.policy.evidence_policy import RawPlatform as RawPlatform
from cloister.attestation.policy.images import ImageReference as ImageReference
from cloister.attestation.policy.policy import ConfigurationPolicy as ConfigurationPolicy
from cloister.attestation.policy.policy import LocalPolicy as LocalPolicy
from cloister.attestation.policy.policy import Policy as Policy
from cloister.attestation.policy.statements import BuildersPolicy as BuildersPolicy
from cloister.attestation.policy.statements import PublisherPolicy as PublisherPolicy
from cloister.attestation.raw.kinds import Judged as Judged
from cloister.attestation.raw.kinds import RawHcl as RawHcl
from cloister.attestation.raw.kinds import RawSnp as RawSnp
from cloister.attestation.raw.kinds import RawTdx as RawTdx
from cloister.attestation.raw.log import RawLog as RawLog
from cloister.attestation.raw.tpm import RawTpm as RawTpm
from cloister.attestation.raw.tpm import SignedRegisters as SignedRegisters
from cloister.attestation.raw.tpm import TpmKey as TpmKey
from cloister.attestation.raw.verdict import RawVerdict as RawVerdict
from cloister.attestation.raw.verifier import verify_raw as verify_raw
from cloister.attestation.result.cause import Cause as Cause
from cloister.attestation.result.cause import Likely as Likely
from cloister.attestation.result.outcomes import advice as advice
from cloister.attestation.result.verdict import Check as Check
from cloister.attestation.result.verdict import CheckOutcome as CheckOutcome
from cloister.attestation.result.verdict import Claims as Claims
from cloister.attestation.result.verdict import Skipped as Skipped
from cloister.attestation.result.verdict import Used as Used
from cloister.attestation.result.verdict import Verdict as Verdict
from cloister.attestation.snp.pins import SnpPins as SnpPins
from cloister.attestation.snp.policy import SnpPolicy as SnpPolicy
from cloister.attestation.tdx.pins import TdxPins as TdxPins
from cloister.attestation.tdx.policy import TdxPolicy as TdxPolicy
from cloister.attestation.tdx.policy import TdxReference as TdxReference
from cloister.attestation.verifier import ReceiptPurpose as ReceiptPurpose
from cloister.attestation.verifier import RecordingPurpose as RecordingPurpose
from cloister.attestation.verifier import SessionPurpose as SessionPurpose
from cloister.attestation.verifier import verify as verify
from cloister.attestation.x509.roots import VENDORS as VENDORS
from cloister.attestation.x509.roots import Anchor as Anchor

__all__ = [
    "VENDORS",
    "AdoptedValue",
    "Anchor",
    "AnyPolicy",
    "AttestationError",
    "AzurePolicy",
    "AzureSnpPolicy",
    "AzureTdxPolicy",
    "BuildersPolicy",
    "Cause",
    "Check",
    "CheckOutcome",
    "Claims",
    "Collateral",
    "CollateralError",
    "CollateralItem",
    "ConfigurationPolicy",
    "Evidence",
    "EvidencePolicy",
    "Firmware",
    "GcpInstance",
    "GcpPolicy",
    "IgvmFile",
    "ImageReference",
    "InMemory",
    "Instances",
    "Judged",
    "KernelHashes",
    "Likely",
    "LocalPolicy",
    "MalformedEvidence",
    "Origin",
    "OvmfFirmware",
    "Platform",
    "Policy",
    "PolicyError",
    "PublisherPolicy",
    "RawHcl",
    "RawLog",
    "RawPlatform",
    "RawSnp",
    "RawTdx",
    "RawTpm",
    "RawVerdict",
    "ReceiptBinding",
    "ReceiptPurpose",
    "RecordingPurpose",
    "SessionBinding",
    "SessionPurpose",
    "SignedRegisters",
    "Skipped",
    "SnpPins",
    "SnpPolicy",
    "TdFirmware",
    "TdxPins",
    "TdxPolicy",
    "TdxReference",
    "TpmKey",
    "TpmQuote",
    "Used",
    "Verdict",
    "VerificationCache",
    "advice",
    "amd_issuers",
    "ear_claims",
    "explained",
    "parse_policy",
    "policy_from_evidence",
    "policy_from_manifest",
    "verify",
    "verify_raw",
]
