"""A verdict on raw evidence names a vendor only if the vendor's signatures lead to that evidence."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from cloister.attestation.azure.policy import AzurePolicy, AzureSnpPolicy, AzureTdxPolicy
from cloister.attestation.binding import SessionBinding
from cloister.attestation.checks import CHECKS, CHECKS_OF, VOUCHED_BY
from cloister.attestation.collateral_source import CRL, QE_IDENTITY, InMemory
from cloister.attestation.evidence import Platform
from cloister.attestation.policy.evidence_policy import EvidencePolicy, RawPlatform
from cloister.attestation.raw.kinds import Raw, RawHcl, RawSnp, RawTdx
from cloister.attestation.raw.verifier import verify_raw
from cloister.attestation.testkit import AzureSnpMachine, AzureTdxMachine, SnpMachine, Td
from cloister.attestation.testkit.raw import bare, evidence_policy
from cloister.attestation.x509.roots import VENDORS, Anchor
from tests.attestation.anchors import as_vendors
from tests.attestation.flips import flipped

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
SNP, TD = SnpMachine.create_at(AT), Td.create(AT)
AZURE, AZURE_TD = AzureSnpMachine.create(AT), AzureTdxMachine.create(AT)


@dataclasses.dataclass(frozen=True)
class Shown:
    raw: Raw
    policy: EvidencePolicy
    roots: tuple[Anchor, ...]
    collateral: InMemory

    def root(self, raw: Raw | None = None, roots: tuple[Anchor, ...] | None = None) -> str:
        anchors = as_vendors(self.roots) if roots is None else roots
        found = verify_raw(
            raw or self.raw, self.policy, report_data=None, at=AT, collateral=self.collateral, roots=anchors
        )
        assert found.genuine is (raw is None and roots is None)
        return found.identity_root


MACHINES = {
    "amd": Shown(
        RawSnp(SNP.processor.report(), SNP.processor.table()), evidence_policy(SNP.policy()),
        (SNP.processor.amd.anchor(),), InMemory({CRL: SNP.crls}),
    ),
    "intel": Shown(
        RawTdx(TD.intel.quote(TD.report(bytes(64)))), evidence_policy(TD.policy()), (TD.intel.anchor(),),
        TD.intel.collateral(),
    ),
    "microsoft-paravisor on SEV-SNP": Shown(
        bare(AZURE.evidence(BINDING)), evidence_policy(AZURE.policy()), AZURE.roots(),
        AZURE.processor.collateral(),
    ),
    "microsoft-paravisor on TDX": Shown(
        bare(AZURE_TD.evidence(BINDING)), evidence_policy(AZURE_TD.policy()), AZURE_TD.roots(),
        AZURE_TD.intel.collateral(),
    ),
}  # fmt: skip


def changed_report(raw: Raw) -> Raw:
    """One bit of the signed part of the hardware report."""
    if isinstance(raw, RawSnp):
        return dataclasses.replace(raw, report=flipped(raw.report, 0x90))
    if isinstance(raw, RawTdx):
        return dataclasses.replace(raw, quote=flipped(raw.quote, 48 + 136))
    assert isinstance(raw, RawHcl)
    if raw.tdx_quote is not None:
        return dataclasses.replace(raw, tdx_quote=flipped(raw.tdx_quote, 48 + 136))
    return dataclasses.replace(raw, report=flipped(raw.report, 32 + 0x90))


def changed_signature(raw: Raw) -> Raw:
    """One bit of the hardware's signature."""
    if isinstance(raw, RawSnp):
        return dataclasses.replace(raw, report=flipped(raw.report, 0x2A0))
    if isinstance(raw, RawTdx):
        return dataclasses.replace(raw, quote=flipped(raw.quote, 48 + 584 + 4))
    assert isinstance(raw, RawHcl)
    if raw.tdx_quote is not None:
        return dataclasses.replace(raw, tdx_quote=flipped(raw.tdx_quote, 48 + 584 + 4))
    return dataclasses.replace(raw, report=flipped(raw.report, 32 + 0x2A0))


@pytest.mark.parametrize("name", MACHINES)
def test_vendor_is_named_whose_signatures_lead_to_the_evidence(name: str) -> None:
    assert MACHINES[name].root() == name.split()[0]


@pytest.mark.parametrize("change", [changed_report, changed_signature])
@pytest.mark.parametrize("name", MACHINES)
def test_no_one_is_named_whose_signature_is_not_valid(name: str, change: Callable[[Raw], Raw]) -> None:
    assert MACHINES[name].root(change(MACHINES[name].raw)) == "none"


@pytest.mark.parametrize("name", MACHINES)
def test_no_one_is_named_whose_key_is_not_pinned(name: str) -> None:
    assert MACHINES[name].root(roots=VENDORS) == "none"


@pytest.mark.parametrize("name", [name for name in MACHINES if "paravisor" in name])
def test_paravisor_is_not_named_if_the_hardware_does_not_vouch_for_its_claims(name: str) -> None:
    raw = MACHINES[name].raw
    assert isinstance(raw, RawHcl)
    place = raw.report.index(b'"secure-boot":true')
    claims = raw.report[: place + 14] + b"null" + raw.report[place + 18 :]
    assert MACHINES[name].root(dataclasses.replace(raw, report=claims)) == "none"


def test_paravisor_that_the_policy_does_not_know_is_not_named() -> None:
    """Anyone can have a processor sign the claims of a paravisor of their own."""
    snp, td = MACHINES["microsoft-paravisor on SEV-SNP"], MACHINES["microsoft-paravisor on TDX"]
    other = (
        AzurePolicy(snp=AzureSnpPolicy((b"\x55" * 48,), 0)),
        AzurePolicy(tdx=AzureTdxPolicy((b"m" * 48,), (b"s" * 48,))),
    )
    for machine, azure in zip((snp, td), other, strict=True):
        policy = dataclasses.replace(machine.policy, azure=azure)
        assert dataclasses.replace(machine, policy=policy).root(machine.raw) == "none"


def test_intel_is_not_named_for_another_enclave_of_its_platform() -> None:
    """The platform's key signs the report of every enclave that may be provisioned."""
    machine = MACHINES["intel"]
    report = TD.report(bytes(64))
    assert machine.root(RawTdx(TD.intel.quote(report, qe_report={"mr_signer": b"\xee" * 32}))) == "none"
    unknown = InMemory({kind: found for kind, found in machine.collateral.contents.items() if kind != QE_IDENTITY})
    assert dataclasses.replace(machine, collateral=unknown).root(machine.raw) == "none"


def test_every_platform_has_checks_that_vouch_for_its_root() -> None:
    assert {*VOUCHED_BY} == {*RawPlatform, *Platform}
    assert all(set(names) <= set(CHECKS) for names in VOUCHED_BY.values())
    assert all(set(VOUCHED_BY[platform]) <= set(CHECKS_OF[platform]) for platform in Platform)
