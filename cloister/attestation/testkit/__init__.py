"""Complete valid evidence without a machine: to try out policies, and to cause every rejection by changing one thing.

A verifier accepts it only if the caller pins the kit's own authority in a policy (``local``), or passes the anchor of
the kit's vendor (every other platform).
"""

from cloister.attestation.testkit.amd import Amd, Processor
from cloister.attestation.testkit.authority import Authority
from cloister.attestation.testkit.event_log import BootEvent, encode_event_log
from cloister.attestation.testkit.google import GcpSnpMachine, GcpTd, Google
from cloister.attestation.testkit.intel import Intel
from cloister.attestation.testkit.machine import LocalMachine
from cloister.attestation.testkit.microsoft import AzureSnpMachine, AzureTdxMachine, Paravisor
from cloister.attestation.testkit.raw import bare, evidence_policy
from cloister.attestation.testkit.snp import SnpMachine
from cloister.attestation.testkit.td import Td, encode_ccel
from cloister.attestation.testkit.tpm import RsaTpm, SoftwareTpm

__all__ = [
    "Amd",
    "Authority",
    "AzureSnpMachine",
    "AzureTdxMachine",
    "BootEvent",
    "GcpSnpMachine",
    "GcpTd",
    "Google",
    "Intel",
    "LocalMachine",
    "Paravisor",
    "Processor",
    "RsaTpm",
    "SnpMachine",
    "SoftwareTpm",
    "Td",
    "bare",
    "encode_ccel",
    "encode_event_log",
    "evidence_policy",
]
