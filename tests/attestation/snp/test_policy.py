"""The section ``snp`` of a policy has strict defaults, and contradictions are errors."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import Platform
from cloister.attestation.policy.policy import Policy
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.snp.report import PlatformBit, PolicyBit
from cloister.attestation.testkit import LocalMachine, Processor, SnpMachine
from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError

LEVELS = {"boot_loader": 4, "tee": 0, "snp": 24, "microcode": 219}
NEWER = {**LEVELS, "microcode": 220}
MINIMUM = {"minimum_tcb": {"Milan": {"reported": LEVELS}}}
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MACHINE = SnpMachine.create(Processor.create(AT))


def parsed(**changes: Any) -> Policy:
    """The machine's policy with members of the section replaced; None removes a member."""
    value = MACHINE.policy().value()
    section = {**value["snp"], **changes}
    value["snp"] = {name: member for name, member in section.items() if member is not None}
    return Policy.parse(canonical.encode(value))


def test_omitted_members_have_strict_defaults() -> None:
    section = SnpPolicy.from_value(MINIMUM)
    level = TcbVersion(**LEVELS)
    assert section == SnpPolicy({ProductLine.MILAN: dict.fromkeys(TCB_KINDS, level)})
    assert not any((section.allow_smt, section.allow_cxl, section.allow_tio, section.allow_vlek))
    assert section.require_crl


def test_every_member_round_trips() -> None:
    section = SnpPolicy(
        minimum_tcb={
            ProductLine.MILAN: {**dict.fromkeys(TCB_KINDS, TcbVersion(**LEVELS)), "launch": TcbVersion(**NEWER)},
            ProductLine.TURIN: dict.fromkeys(TCB_KINDS, TcbVersion(**LEVELS, fmc=1)),
        },
        minimum_report_version=3,
        allow_smt=True,
        allow_cxl=True,
        allow_tio=True,
        allow_vlek=True,
        require_crl=False,
        max_crl_age_days=30,
        require_guest_policy=(PolicyBit.SINGLE_SOCKET, PolicyBit.CIPHERTEXT_HIDING_DRAM),
        require_platform_info=(PlatformBit.ECC_EN, PlatformBit.ALIAS_CHECK_COMPLETE),
        minimum_abi=(1, 55),
        minimum_firmware=(1, 55, 29),
        minimum_guest_svn=4,
        id_key_digests=(b"i" * 48,),
        author_key_digests=(b"a" * 48,),
        vlek_clouds=("CN=cloud.example",),
    )
    policy = MACHINE.policy(snp=section)
    assert Policy.parse(policy.encode()) == policy
    assert all(getattr(section, one.name) != one.default for one in dataclasses.fields(SnpPolicy))


def test_omitted_tcb_kind_defaults_to_reported() -> None:
    section = SnpPolicy.from_value({"minimum_tcb": {"Milan": {"reported": LEVELS, "current": NEWER}}})
    levels = {kind: version.components() for kind, version in section.minimum_tcb[ProductLine.MILAN].items()}
    assert levels == {"reported": LEVELS, "committed": LEVELS, "launch": LEVELS, "current": NEWER}


REQUIRABLE = {
    "require_guest_policy": (
        "single_socket",
        "mem_aes_256_xts",
        "rapl_dis",
        "ciphertext_hiding_dram",
        "page_swap_disable",
    ),
    "require_platform_info": (
        "tsme_en",
        "ecc_en",
        "rapl_dis",
        "ciphertext_hiding_dram_en",
        "alias_check_complete",
        "iommu_write_safe",
    ),
}
"""The bits that restrict the host, and those that report a protection."""


@pytest.mark.parametrize(("member", "name"), [(member, name) for member, names in REQUIRABLE.items() for name in names])
def test_required_protection_bit_is_checked(member: str, name: str) -> None:
    policy = parsed(**{member: [name]})
    (bit,) = getattr(policy.snp, member)
    assert bit.name.lower() == name
    assert Policy.parse(policy.encode()) == policy


@pytest.mark.parametrize(
    "changes",
    [
        {"minimum_tcb": None},
        {"minimum_tcb": {"Rome": {"reported": LEVELS}}},
        {"minimum_tcb": {"Milan": {"current": LEVELS}}},
        {"minimum_tcb": {"Milan": {"reported": {**LEVELS, "tee": 256}}}},
        {"minimum_tcb": {"Milan": {"reported": {**LEVELS, "other": 1}}}},
        {"minimum_tcb": {"Milan": {"reported": {"boot_loader": 1}}}},
        {"allow_debug": True},
        {"vmpl": 1},
        {"require_crl": "no"},
        {"max_crl_age_days": 0},
        {"require_guest_policy": ["debug"]},
        {"require_guest_policy": ["smt"]},
        {"require_platform_info": ["smt_en"]},
        {"minimum_abi": [1]},
        {"minimum_firmware": [1, 2]},
        {"id_key_digests": ["00"]},
        {"vlek_clouds": [""]},
    ],
)
def test_unknown_member_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        parsed(**changes)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"minimum_tcb": {"Milan": {"reported": {**LEVELS, "fmc": 1}}}}, "exactly boot_loader, microcode, snp, tee"),
        ({"minimum_tcb": {"Turin": {"reported": LEVELS}}}, "exactly boot_loader, fmc"),
        ({"vlek_clouds": ["CN=cloud.example"]}, "does not set allow_vlek"),
        ({"allow_vlek": True}, "names no cloud in vlek_clouds"),
        ({"allow_vlek": True, "vlek_clouds": []}, "names no cloud in vlek_clouds"),
        ({"id_key_digests": ["00" * 48]}, "has zeros as a key digest"),
        ({"author_key_digests": ["11" * 48, "00" * 48]}, "has zeros as a key digest"),
    ],
)
def test_contradictory_policies_are_rejected(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(PolicyError, match=match):
        parsed(**changes)


def test_empty_minimum_differs_from_an_omitted_one() -> None:
    policy = parsed(minimum_tcb={})
    assert policy.snp == MACHINE.section(minimum_tcb={})
    assert Policy.parse(policy.encode()) == policy


def test_minimum_tcb_has_every_kind_of_version() -> None:
    versions = MACHINE.section().minimum_tcb[ProductLine.MILAN]
    for kind in TCB_KINDS:
        others = {name: version for name, version in versions.items() if name != kind}
        with pytest.raises(PolicyError, match=f"Milan.{kind} must have exactly"):
            SnpPolicy({ProductLine.MILAN: others})


def test_key_digest_may_contain_zeros() -> None:
    digest = b"k" * 47 + b"\0"
    section = MACHINE.section(id_key_digests=(digest,), author_key_digests=(digest,))
    assert section.id_key_digests == section.author_key_digests == (digest,)


def test_snp_section_needs_its_platforms() -> None:
    with pytest.raises(PolicyError, match="exactly when"):
        MACHINE.policy(snp=None)
    with pytest.raises(PolicyError, match="exactly when"):
        LocalMachine.create(AT).policy(snp=MACHINE.section())
    assert MACHINE.policy().platforms == (Platform.SEV_SNP,)


def test_image_is_either_debug_or_not() -> None:
    debug = dataclasses.replace(MACHINE.image("debug", debug=True), pcrs=dict.fromkeys((4, 9, 11), b"d" * 32))
    with pytest.raises(PolicyError, match="same launch digest"):
        MACHINE.policy(images=(MACHINE.image(), debug), allow_debug=True)
