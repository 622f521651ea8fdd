"""Instances and cloud sections of a policy round-trip, and invalid ones are rejected."""

from collections.abc import Mapping
from typing import Any

import pytest

from cloister.attestation.azure.policy import AzurePolicy, AzureSnpPolicy, AzureTdxPolicy
from cloister.attestation.evidence import Platform
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.instances import GcpInstance, Instances
from cloister.attestation.policy.policy import Policy
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.testkit import LocalMachine
from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError
from tests.attestation.clouds import AT

VM_ID = "911B0EF8-9DBA-48B0-B275-4E4DF2D39252"
MACHINES = Instances(
    chip_ids=(b"c" * 64, b"t" * 8),
    ppids=(b"p" * 16,),
    azure_vm_ids=(VM_ID,),
    gcp=(GcpInstance("example.com:trial"), GcpInstance("trial", "europe-west4-a", 2**64 - 1, "main")),
)
AZURE = AzurePolicy(AzureSnpPolicy((b"k" * 48,), 10), AzureTdxPolicy((b"m" * 48,), ()))
GCP = GcpPolicy(b"r" * 32, 3, 4)


def test_cloud_sections_round_trip() -> None:
    assert Instances.from_value(MACHINES.value()) == MACHINES
    assert Instances.from_value({}) == Instances()
    assert AzurePolicy.from_value(AZURE.value()) == AZURE
    assert GcpPolicy.from_value(GCP.value()) == GCP


def document(**sections: Any) -> bytes:
    return canonical.encode(LocalMachine.create(AT).policy().value() | sections)


def test_instances_round_trip() -> None:
    local = LocalMachine.create(AT).policy()
    policy = Policy(
        platforms=(Platform.AZURE_TDX, Platform.GCP_SNP),  # between them their evidence has every kind of name
        images=local.images,
        boot_configuration=local.boot_configuration,
        snp=SnpPolicy({ProductLine.MILAN: dict.fromkeys(TCB_KINDS, TcbVersion(3, 0, 8, 115))}),
        tdx=TdxPolicy(),
        azure=AzurePolicy(tdx=AZURE.tdx),
        gcp=GcpPolicy(b"r" * 32, snp_min_svn=3),
        instances=MACHINES,
    )
    assert Policy.parse(policy.encode()).instances == MACHINES


@pytest.mark.parametrize(
    "section",
    [
        {"machines": []},
        {"chip_ids": ["00"]},
        {"chip_ids": ["AA" * 64]},
        {"ppids": ["00" * 15]},
        {"azure_vm_ids": ["911B0EF8"]},
        {"azure_vm_ids": [VM_ID, VM_ID]},
        {"gcp": [{}]},
        {"gcp": ["trial"]},
        {"gcp": [{"project": ""}]},
        {"gcp": [{"project": "trial", "instance_id": 7}]},
        {"gcp": [{"project": "trial", "instance_id": "007"}]},
        {"gcp": [{"project": "trial", "region": "europe"}]},
    ],
)
def test_invalid_instances_are_rejected(section: Mapping[str, Any]) -> None:
    with pytest.raises(FormatError):
        Policy.parse(document(instances=section))


@pytest.mark.parametrize(
    "sections",
    [
        {"azure": {}},
        {"azure": {"snp": {"id_key_digests": []}}},
        {"azure": {"snp": {"id_key_digests": ["00" * 32], "min_guest_svn": 0}}},
        {"azure": {"snp": {"id_key_digests": [], "min_guest_svn": -1}}},
        {"azure": {"tdx": {"mrtds": []}}},
        {"gcp": {}},
        {"gcp": {"endorsement_root_spki_sha256": "00" * 48}},
        {"gcp": {"endorsement_root_spki_sha256": "00" * 32, "min_svn": 0}},
    ],
)
def test_invalid_cloud_sections_are_rejected(sections: Mapping[str, Any]) -> None:
    with pytest.raises(FormatError):
        Policy.parse(document(**sections))
