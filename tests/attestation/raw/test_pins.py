"""Every pin of a policy for raw evidence counts: right, wrong, not judgeable, or for another platform."""

import copy
import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral_source import CERTIFICATE, CRL, InMemory
from cloister.attestation.errors import PolicyError
from cloister.attestation.policy.evidence_policy import PCRS, PINS, TPM, EvidencePolicy, Pin, RawPlatform
from cloister.attestation.raw.kinds import Raw, RawHcl
from cloister.attestation.raw.tpm import RawTpm, SignedRegisters
from cloister.attestation.raw.verdict import RawVerdict
from cloister.attestation.raw.verifier import verify_raw
from cloister.attestation.result.verdict import CheckOutcome
from cloister.attestation.testkit import (
    AzureSnpMachine,
    AzureTdxMachine,
    GcpSnpMachine,
    SnpMachine,
    SoftwareTpm,
    Td,
    bare,
    evidence_policy,
)
from cloister.attestation.testkit.microsoft import VM_ID
from cloister.attestation.x509.roots import GOOGLE_VTPM, Anchor
from cloister.errors import InputError
from tests.attestation.wording import require_words

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BINDING = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
GUEST = {
    "host_data": b"\x0d" * 32,
    "family_id": b"\x0f" * 16,
    "image_id": b"\x1f" * 16,
    "author_key_digest": b"\xaa" * 48,
    "key_info": 1,
}
TD_1_0 = {"tee_tcb_svn2": None, "mr_service_td": None}


@dataclasses.dataclass(frozen=True)
class Shown:
    """Raw evidence, a policy that it passes, and what a verifier needs besides."""

    raw: Raw
    policy: EvidencePolicy
    roots: tuple[Anchor, ...]
    collateral: InMemory

    def judge(self, policy: EvidencePolicy) -> RawVerdict:
        return verify_raw(self.raw, policy, report_data=None, at=AT, collateral=self.collateral, roots=self.roots)

    def pinned(self, member: str, value: Any) -> EvidencePolicy:
        """The policy with one more member, at a path with dots."""
        return EvidencePolicy.from_value(put(self.policy.value(), member, value))


def put(document: dict[str, Any], member: str, value: Any) -> dict[str, Any]:
    """``document`` with a member at a path with dots."""
    made = copy.deepcopy(document)
    at = made
    *path, last = member.split(".")
    for name in path:
        at = at.setdefault(name, {})
    at[last] = value
    return made


SNP, TD = SnpMachine.create_at(AT), Td.create(AT)
AZURE, AZURE_TD = AzureSnpMachine.create(AT), AzureTdxMachine.create(AT)
GCP = GcpSnpMachine.create(AT, vtpm=SoftwareTpm.create())


def snp(**fields: Any) -> Shown:
    machine = dataclasses.replace(SNP, fields=GUEST | {"id_key_digest": b"\xbb" * 48, "version": 3} | fields)
    raw = bare(machine.evidence(BINDING))
    return Shown(raw, evidence_policy(SNP.policy()), (SNP.processor.amd.anchor(),), InMemory({CRL: SNP.crls}))


def td(**changes: Any) -> Shown:
    raw = bare(TD.evidence(BINDING, {"mr_owner": b"\x01" * 48, "mr_owner_config": b"\x02" * 48} | changes))
    policy = put(evidence_policy(TD.policy()).value(), "tdx.mr_owner", "01" * 48)
    policy = EvidencePolicy.from_value(put(policy, "tdx.mr_owner_config", "02" * 48))
    return Shown(raw, policy, (TD.intel.anchor(),), TD.intel.collateral())


def azure(**fields: Any) -> Shown:
    machine = dataclasses.replace(AZURE, fields=GUEST | {"version": 3} | fields)
    amd = AZURE.processor.amd
    certificates = (AZURE.processor.certificate, amd.signers[AZURE.processor.kind][1], amd.root)
    collateral = InMemory({CERTIFICATE: certificates, CRL: AZURE.crls})
    return Shown(bare(machine.evidence(BINDING)), evidence_policy(AZURE.policy()), AZURE.roots(), collateral)


def azure_td(**fields: Any) -> Shown:
    machine = dataclasses.replace(AZURE_TD, fields=fields)
    raw = bare(machine.evidence(BINDING))
    return Shown(raw, evidence_policy(AZURE_TD.policy()), AZURE_TD.roots(), AZURE_TD.intel.collateral())


def tpm() -> Shown:
    """A TPM's quote alone, whose key a cloud certified."""
    evidence = GCP.evidence(BINDING)
    quote = evidence.tpm_quote
    assert quote is not None
    signed = SignedRegisters(quote.attest, quote.signature, dict(enumerate(quote.pcrs)))
    roots = tuple(one for one in GCP.roots() if one.identity_root == GOOGLE_VTPM)
    certificates = (*evidence.ak_certificates, GCP.google.vtpm_root)
    return Shown(RawTpm(signed, None, certificates), EvidencePolicy((RawPlatform.TPM,)), roots, InMemory())


MAKE: Mapping[RawPlatform, Callable[..., Shown]] = {
    RawPlatform.SEV_SNP: snp,
    RawPlatform.TDX: td,
    RawPlatform.AZURE_SNP: azure,
    RawPlatform.AZURE_TDX: azure_td,
    RawPlatform.TPM: tpm,
}
GOOD = {platform: make() for platform, make in MAKE.items()}


def pcrs(shown: Shown) -> Mapping[int, bytes]:
    assert isinstance(shown.raw, RawHcl | RawTpm) and shown.raw.quote is not None
    return shown.raw.quote.pcrs


@functools.cache
def identity(platform: RawPlatform) -> Mapping[str, str]:
    return GOOD[platform].judge(GOOD[platform].policy).identity


OTHER = "e0" * 48


def right_and_wrong(member: str, platform: RawPlatform) -> tuple[Any, Any]:
    """A value that the evidence of ``platform`` shows, and one that it does not."""
    shown, name = identity(platform), member.split(".")[-1]
    if member.startswith("pcrs."):
        values = pcrs(GOOD[platform])
        return values[int(name)].hex() if int(name) in values else None, OTHER[:64]
    if member.startswith("tdx.rtmrs."):
        return shown[f"rtmr{name}"], OTHER
    svn = shown.get("tee_tcb_svn", "")
    values: dict[str, tuple[Any, Any]] = {
        "snp.minimum_report_version": (3, 4),
        "snp.vmpl": (0, 1),
        "snp.launch_digests": ([OTHER, shown.get("launch_digest")], [OTHER]),
        "snp.host_data": (GUEST["host_data"].hex(), OTHER[:64]) if platform.endswith("snp") else (None, None),
        "snp.family_id": ("0f" * 16, OTHER[:32]),
        "snp.image_id": ("1f" * 16, OTHER[:32]),
        "snp.id_key_digests": ([key_of(platform)], [OTHER]),
        "snp.author_key_digests": (["aa" * 48], [OTHER]),
        "instances.chip_ids": ([shown.get("chip_id")], ["e0" * 64]),
        "tdx.minimum_report_version": ("1.5", None),  # no later version exists
        "tdx.mrtds": ([OTHER, shown.get("mr_td")], [OTHER]),
        "tdx.mr_config_id": (config_of(platform), OTHER),
        "tdx.mr_owner": (owner_of(platform, "01"), OTHER),
        "tdx.mr_owner_config": (owner_of(platform, "02"), OTHER),
        "tdx.mr_seams": ([shown.get("mr_seam")], [OTHER]),
        "tdx.service_tds": ([OTHER], None),  # zeros pass, too: it is an exception, see below
        "tdx.fmspcs": ([shown.get("fmspc")], ["e0" * 6]),
        "tdx.minimum_tee_tcb_svn": (svn, "06" + svn[2:]),
        "tdx.minimum_tee_tcb_svn2": (svn, svn[:-2] + "01"),
        "instances.ppids": ([shown.get("ppid")], ["e0" * 16]),
        "azure.snp.id_key_digests": ([key_of(platform)], [OTHER]),
        "azure.snp.min_guest_svn": (int(shown.get("guest_svn", "0")), 10**9),
        "azure.tdx.mrtds": ([shown.get("mr_td")], [OTHER]),
        "azure.tdx.mrseams": ([shown.get("mr_seam")], [OTHER]),
        "instances.azure_vm_ids": ([VM_ID.lower()], [VM_ID[:-1] + "0"]),
    }
    return values[member]


def key_of(platform: RawPlatform) -> str:
    if platform is RawPlatform.SEV_SNP:
        return "bb" * 48
    section = GOOD[RawPlatform.AZURE_SNP].policy.azure
    assert section is not None and section.snp is not None
    return section.snp.id_key_digests[0].hex()


def config_of(platform: RawPlatform) -> str:
    return TD.report(bytes(64)).mr_config_id.hex() if platform is RawPlatform.TDX else "00" * 48


def owner_of(platform: RawPlatform, byte: str) -> str:
    return byte * 48 if platform is RawPlatform.TDX else "00" * 48


def outcomes(verdict: RawVerdict) -> dict[str, CheckOutcome]:
    return {check.name: check.outcome for check in verdict.checks}


ROWS = [pin for pin in PINS if not pin.member.startswith("pcrs.") or pin.member in ("pcrs.0", "pcrs.15", "pcrs.23")]
"""Every pin, and of the registers, which one test below has all of, the first, the last of the quote and the last."""

APPLIES = [(pin, platform) for pin in ROWS for platform in pin.platforms]
ELSEWHERE = [(pin, platform) for pin in ROWS for platform in RawPlatform if platform not in pin.platforms]


def label(value: object) -> str:
    return value.member if isinstance(value, Pin) else str(value)


def test_evidence_of_every_platform_is_genuine_without_pins() -> None:
    for platform, shown in GOOD.items():
        verdict = shown.judge(shown.policy)
        assert verdict.failures == ()
        assert verdict.platform == platform
        require_words(verdict)


@pytest.mark.parametrize(("pin", "platform"), APPLIES, ids=label)
def test_right_pin_passes_and_wrong_pin_fails(pin: Pin, platform: RawPlatform) -> None:
    shown = GOOD[platform]
    right, wrong = right_and_wrong(pin.member, platform)
    if right is not None:
        verdict = shown.judge(shown.pinned(pin.member, right))
        assert verdict.failures == ()
        assert outcomes(verdict)[pin.check] is CheckOutcome.PASSED
    if wrong is not None:
        verdict = shown.judge(shown.pinned(pin.member, wrong))
        assert [check.name for check in verdict.failures] == [pin.check]
        require_words(verdict)


NOT_JUDGEABLE: Mapping[str, tuple[dict[str, Any], Any]] = {
    "snp.id_key_digests": ({"id_key_digest": bytes(48)}, ["bb" * 48]),
    "snp.author_key_digests": ({"key_info": 0}, ["aa" * 48]),
    "snp.family_id": ({"family_id": bytes(16)}, "0f" * 16),
    "snp.image_id": ({"image_id": bytes(16)}, "1f" * 16),
    "instances.chip_ids": ({"chip_id": bytes(64)}, ["e0" * 64]),
    "azure.snp.id_key_digests": ({"id_key_digest": bytes(48)}, ["bb" * 48]),
    "tdx.minimum_report_version": (TD_1_0, "1.5"),
    "tdx.minimum_tee_tcb_svn2": (TD_1_0, "00" * 16),
    "tdx.service_tds": (TD_1_0, [OTHER]),
}
"""Members whose field evidence may lack, with evidence that lacks it and a pin. Every report has the other fields."""


@pytest.mark.parametrize(
    ("pin", "platform"),
    [(pin, platform) for pin, platform in APPLIES if pin.member in NOT_JUDGEABLE or pin.member.startswith("pcrs.")],
    ids=label,
)
def test_pin_that_cannot_be_judged_fails(pin: Pin, platform: RawPlatform) -> None:
    if pin.member.startswith("pcrs."):
        shown = GOOD[platform]
        index = int(pin.member.split(".")[1])
        fewer = {register: value for register, value in pcrs(shown).items() if register != index}
        assert isinstance(shown.raw, RawHcl | RawTpm) and shown.raw.quote is not None
        quote = dataclasses.replace(shown.raw.quote, pcrs=fewer)
        shown = dataclasses.replace(shown, raw=dataclasses.replace(shown.raw, quote=quote))
        value: Any = pcrs(GOOD[platform]).get(index, bytes(32)).hex()
    else:
        fields, value = NOT_JUDGEABLE[pin.member]
        shown = MAKE[platform](**fields)
    verdict = shown.judge(shown.pinned(pin.member, value))
    assert outcomes(verdict)[pin.check] is CheckOutcome.FAILED
    assert not verdict.genuine


@pytest.mark.parametrize(("pin", "platform"), ELSEWHERE, ids=label)
def test_pin_for_another_platform_is_not_applicable_or_an_error(pin: Pin, platform: RawPlatform) -> None:
    own, other = GOOD[platform].policy.value(), GOOD[pin.platforms[0]].policy.value()
    right, wrong = right_and_wrong(pin.member, pin.platforms[0])
    value = right if right is not None else wrong
    with pytest.raises(InputError):
        EvidencePolicy.from_value(put(own, pin.member, value) if "." in pin.member else own)
    both = {
        **other,
        **own,
        "platforms": [platform.value, pin.platforms[0].value],
        **({"azure": {**other.get("azure", {}), **own.get("azure", {})}} if "azure" in {**other, **own} else {}),
    }
    verdict = GOOD[platform].judge(EvidencePolicy.from_value(put(both, pin.member, value)))
    assert verdict.failures == ()
    (check,) = (check for check in verdict.checks if check.name == pin.check)
    assert check.outcome is CheckOutcome.NOT_APPLICABLE
    assert check.reason == f"{pin.member} is for {' and '.join(pin.platforms)}, and this is {platform}"


@pytest.mark.parametrize("platform", TPM)
def test_every_register_counts(platform: RawPlatform) -> None:
    shown, values = GOOD[platform], pcrs(GOOD[platform])
    right = {str(index): value.hex() for index, value in values.items()}
    wrong = dict.fromkeys(map(str, PCRS), OTHER[:64])
    assert shown.judge(shown.pinned("pcrs", right)).failures == ()
    failed = [check.name for check in shown.judge(shown.pinned("pcrs", wrong)).failures]
    assert failed == [f"pcr-{index}" for index in PCRS]


def test_launch_digest_of_another_image_is_never_satisfied() -> None:
    """The policy of the issue: its launch digests were satisfied by a report with another one."""
    shown = snp(measurement=b"\xee" * 48)
    policy = shown.pinned("snp.launch_digests", [OTHER])
    verdict = shown.judge(policy)
    assert [check.name for check in verdict.failures] == ["snp-launch-digest"]
    assert json.loads(json.dumps(verdict.value()))["genuine"] is False


def test_verdict_lists_what_is_not_pinned() -> None:
    shown = GOOD[RawPlatform.SEV_SNP]
    assert any("launch digest" in said for said in shown.judge(shown.policy).not_judged)
    pinned = shown.pinned("snp.launch_digests", [identity(RawPlatform.SEV_SNP)["launch_digest"]])
    assert not any("launch digest" in said for said in shown.judge(pinned).not_judged)


def test_policy_of_the_other_kind_is_an_error() -> None:
    with pytest.raises(PolicyError, match="is for sessions") as caught:
        verify_raw(GOOD[RawPlatform.SEV_SNP].raw, SNP.policy(), report_data=None, at=AT)  # ty: ignore[invalid-argument-type]
    assert "policy --from-evidence FILE" in caught.value.hint
