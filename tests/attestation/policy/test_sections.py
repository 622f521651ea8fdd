"""A policy has exactly the sections of its platforms, and cannot contradict itself."""

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from cloister.attestation.azure.policy import AzurePolicy, AzureSnpPolicy, AzureTdxPolicy
from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import Platform
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.instances import GcpInstance, Instances
from cloister.attestation.policy.document import MAX_SIZE
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import ConfigurationPolicy, Policy
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.tdx.policy import TdxPolicy, TdxReference
from cloister.attestation.tdx.tcb_info import TcbStatus
from cloister.attestation.tdx.tcb_status import Evaluation
from cloister.attestation.testkit import LocalMachine
from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError

LOCAL = LocalMachine.create(datetime(2026, 3, 1, tzinfo=UTC)).policy()
SNP = SnpPolicy({ProductLine.MILAN: dict.fromkeys(TCB_KINDS, TcbVersion(3, 0, 8, 115))})
AZURE_SNP, AZURE_TDX = AzureSnpPolicy((b"k" * 48,), 1), AzureTdxPolicy((b"m" * 48,), (b"s" * 48,))
IMAGE = ImageReference(
    "base",
    False,
    b"i" * 32,
    {index: bytes([index]) * 32 for index in (4, 9, 11)},
    (b"l" * 48,),
    TdxReference((b"m" * 48,), {1: b"1" * 48, 2: b"2" * 48}),
)
BARE = dataclasses.replace(IMAGE, launch_digests=(), tdx=None)

NEEDED: dict[Platform, dict[str, Any]] = {
    Platform.LOCAL: {"allow_local": True, "local": LOCAL.local},
    Platform.SEV_SNP: {"snp": SNP},
    Platform.TDX: {"tdx": TdxPolicy()},
    Platform.AZURE_SNP: {"snp": SNP, "azure": AzurePolicy(snp=AZURE_SNP)},
    Platform.AZURE_TDX: {"tdx": TdxPolicy(), "azure": AzurePolicy(tdx=AZURE_TDX)},
    Platform.GCP_SNP: {"snp": SNP, "gcp": GcpPolicy(b"g" * 32, snp_min_svn=1)},
    Platform.GCP_TDX: {"tdx": TdxPolicy(), "gcp": GcpPolicy(b"g" * 32, tdx_min_svn=1)},
}


def made(*platforms: Platform, images: tuple[ImageReference, ...] = (IMAGE,), **members: Any) -> Policy:
    configuration = ConfigurationPolicy("trial", ("main",), ("00" * 32,))
    return Policy(platforms, images, configuration, **members)


@pytest.mark.parametrize("rtmrs", [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2, 3), (0, 1, 2, 3)])
def test_tdx_image_needs_rtmr_1_and_2(rtmrs: tuple[int, ...]) -> None:
    with pytest.raises(PolicyError, match="RTMR 1 and 2"):
        TdxReference((b"m" * 48,), dict.fromkeys(rtmrs, b"r" * 48))


@pytest.mark.parametrize("rtmrs", [(1, 2), (0, 1, 2)])
def test_tdx_image_needs_firmware_measurements(rtmrs: tuple[int, ...]) -> None:
    values = dict.fromkeys(rtmrs, b"r" * 48)
    assert TdxReference((b"m" * 48,), values).rtmrs == values
    with pytest.raises(PolicyError, match="must have an MRTD"):
        TdxReference((), values)


@pytest.mark.parametrize("platform", Platform)
def test_policy_has_exactly_the_sections_of_its_platforms(platform: Platform) -> None:
    policy = made(platform, **NEEDED[platform])
    assert Policy.parse(policy.encode()) == policy
    for section in NEEDED[platform]:
        without = {name: value for name, value in NEEDED[platform].items() if name != section}
        with pytest.raises(PolicyError):
            made(platform, **without)


@pytest.mark.parametrize("platform", [platform for platform in Platform if platform is not Platform.LOCAL])
@pytest.mark.parametrize("other", [platform for platform in Platform if platform is not Platform.LOCAL])
def test_section_of_an_unaccepted_platform_is_rejected(platform: Platform, other: Platform) -> None:
    """Two platforms may be combined, but the sections of one are errors with only the other."""
    both: dict[str, Any] = {**NEEDED[platform], **NEEDED[other]}
    azure, gcp = {}, {}
    for one in {platform, other}:
        azure |= {Platform.AZURE_SNP: {"snp": AZURE_SNP}, Platform.AZURE_TDX: {"tdx": AZURE_TDX}}.get(one, {})
        gcp |= {Platform.GCP_SNP: {"snp_min_svn": 1}, Platform.GCP_TDX: {"tdx_min_svn": 1}}.get(one, {})
    both |= {"azure": AzurePolicy(**azure)} if azure else {}
    both |= {"gcp": GcpPolicy(b"g" * 32, **gcp)} if gcp else {}

    assert made(*sorted({platform, other}), **both).platforms == tuple(sorted({platform, other}))
    if both != NEEDED[platform]:
        with pytest.raises(PolicyError, match="exactly when it accepts"):
            made(platform, **both)


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize(
    "pins", [{"platform_pcrs": {7: b"7" * 32}, "secure_boot": True}, {"platform_pcrs": {0: b"0" * 32}}]
)
def test_pcr_pins_need_a_vtpm_on_every_platform(platform: Platform, pins: dict[str, Any]) -> None:
    if platform in {Platform.LOCAL, Platform.AZURE_SNP, Platform.AZURE_TDX, Platform.GCP_SNP}:
        assert made(platform, **NEEDED[platform], **pins).platform_pcrs
        return
    with pytest.raises(PolicyError, match=f"accepts {platform}, whose evidence has no PCRs"):
        made(platform, **NEEDED[platform], **pins)
    beside = {"snp": SNP, "tdx": TdxPolicy(), "azure": AzurePolicy(AZURE_SNP, AZURE_TDX)}
    if platform is not Platform.GCP_TDX:
        with pytest.raises(PolicyError, match="whose evidence has no PCRs"):
            made(Platform.AZURE_SNP, Platform.AZURE_TDX, platform, **beside, **pins)


NAMED = {
    "chip_ids": ((b"c" * 64,), {Platform.SEV_SNP, Platform.AZURE_SNP, Platform.GCP_SNP}),
    "ppids": ((b"p" * 16,), {Platform.TDX, Platform.AZURE_TDX, Platform.GCP_TDX}),
    "azure_vm_ids": (("911B0EF8-9DBA-48B0-B275-4E4DF2D39252",), {Platform.AZURE_SNP, Platform.AZURE_TDX}),
    "gcp": ((GcpInstance("trial"),), {Platform.GCP_SNP}),
}


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("name", NAMED)
def test_instances_are_allowed_only_for_platforms_that_name_them(platform: Platform, name: str) -> None:
    named, platforms = NAMED[name]
    instances = Instances(**{name: named})
    if platform in platforms:
        assert made(platform, **NEEDED[platform], instances=instances).instances == instances
    else:
        with pytest.raises(PolicyError, match=f"instances.{name}"):
            made(platform, **NEEDED[platform], instances=instances)


@pytest.mark.parametrize(
    ("platform", "section", "add"),
    [
        (Platform.AZURE_SNP, "azure", "Add azure.snp, or remove azure-snp from platforms."),
        (Platform.GCP_TDX, "gcp", "Add gcp.tdx_min_svn, or remove gcp-tdx from platforms."),
    ],
)
def test_hint_says_what_to_add_or_remove(platform: Platform, section: str, add: str) -> None:
    with pytest.raises(PolicyError) as caught:
        made(platform, **{name: value for name, value in NEEDED[platform].items() if name != section})
    assert caught.value.hint == add
    hardware = Platform.SEV_SNP if "snp" in NEEDED[platform] else Platform.TDX
    with pytest.raises(PolicyError) as caught:
        made(hardware, **NEEDED[platform])
    assert caught.value.hint.startswith("Remove ")


@pytest.mark.parametrize("platform", Platform)
def test_hardware_measurements_of_an_image_are_optional(platform: Platform) -> None:
    """Then the verdict rejects every machine on those platforms."""
    policy = made(platform, images=(BARE,), **NEEDED[platform])
    assert Policy.parse(policy.encode()).images == (BARE,)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("what", ["pcrs", "launch_digests", "tdx"])
def test_same_image_cannot_be_debug_and_not_debug(what: str, debug: bool) -> None:
    """In either order; images with different values may differ in this."""
    other = ImageReference(
        "other",
        True,
        b"o" * 32,
        dict.fromkeys((4, 9, 11), b"o" * 32),
        (b"o" * 48,),
        TdxReference((b"o" * 48,), {1: b"o" * 48, 2: b"o" * 48}),
    )
    platforms: tuple[Platform, ...] = (Platform.SEV_SNP, Platform.TDX)
    sections = {"snp": SNP, "tdx": TdxPolicy()}
    assert len(made(*platforms, images=(IMAGE, other), **sections).images) == 2
    same = dataclasses.replace(other, **{what: getattr(IMAGE, what)})
    with pytest.raises(PolicyError, match="both as a debug image"):
        made(*platforms, images=(same, IMAGE) if debug else (IMAGE, same), **sections)
    twice = dataclasses.replace(same, debug=False)
    assert len(made(*platforms, images=(IMAGE, twice), **sections).images) == 2


def test_images_that_share_one_rtmr_are_distinct() -> None:
    other = dataclasses.replace(IMAGE, debug=True, pcrs={4: b"o" * 32, 9: b"o" * 32, 11: b"o" * 32}, launch_digests=())
    assert other.tdx is not None
    for index in (1, 2):
        rtmrs = {**other.tdx.rtmrs, index: b"o" * 48}
        changed = dataclasses.replace(other, tdx=TdxReference(other.tdx.mrtds, rtmrs))
        assert len(made(Platform.TDX, images=(IMAGE, changed), tdx=TdxPolicy()).images) == 2


@pytest.mark.parametrize("value", [b"\0" * 31 + b"\1", b"\xff" * 32])
@pytest.mark.parametrize("index", [12, 13])
def test_host_input_registers_must_be_zero(index: int, value: bytes) -> None:
    image = dataclasses.replace(IMAGE, pcrs={**IMAGE.pcrs, index: value})
    with pytest.raises(PolicyError, match="other than zero"):
        made(Platform.TDX, images=(image,), tdx=TdxPolicy())


@pytest.mark.parametrize("others", [(Platform.AZURE_SNP,), (Platform.SEV_SNP, Platform.TDX), ()])
def test_local_excludes_other_platforms(others: tuple[Platform, ...]) -> None:
    for platforms in ((Platform.LOCAL, *others), (*others, Platform.LOCAL), others):
        if platforms == (Platform.LOCAL,):
            continue
        with pytest.raises(PolicyError) as caught:
            made(*platforms, **NEEDED[Platform.LOCAL])
        assert f"({', '.join(others) or 'none'})" in caught.value.message


def test_certificate_of_a_local_authority_may_be_omitted() -> None:
    assert LOCAL.local is not None and LOCAL.local.certificate is not None
    policy = dataclasses.replace(LOCAL, local=dataclasses.replace(LOCAL.local, certificate=None))
    assert Policy.parse(policy.encode()) == policy


def test_policy_size_is_limited() -> None:
    policy = made(Platform.TDX, tdx=TdxPolicy()).encode()
    assert MAX_SIZE == 2**20
    assert Policy.parse(policy + b" " * (MAX_SIZE - len(policy)))
    for data in (policy + b" " * (MAX_SIZE - len(policy) + 1), b"#" * (MAX_SIZE + 1)):
        with pytest.raises(FormatError):
            Policy.parse(data)


def test_strict_tdx_policy_allows_exactly_these_attributes() -> None:
    """Bits of TD attributes (TDX Module ABI, table "ATTRIBUTES"): 28 SEPT_VE_DISABLE, 30 PKS, 31 KL."""
    strict = TdxPolicy()
    assert (strict.attributes_required, strict.attributes_allowed) == (0x1000_0000, 0xD000_0000)


@pytest.mark.parametrize(("days", "accepted"), [(-1, False), (0, True), (1, True), (400, True)])
def test_advisories_published_after_the_policy_date_are_tolerated(days: int, accepted: bool) -> None:
    section = TdxPolicy(up_to_date_as_of=date(2026, 1, 11), grace_days=10)
    since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
    platform = Evaluation(TcbStatus.OUT_OF_DATE, out_of_date_since=since, status_without_update=TcbStatus.UP_TO_DATE)
    assert section.accepts(platform) is accepted


def test_missing_tcb_date_gets_no_grace() -> None:
    section = TdxPolicy(up_to_date_as_of=date(2026, 1, 11))
    assert not section.accepts(Evaluation(TcbStatus.OUT_OF_DATE, status_without_update=TcbStatus.UP_TO_DATE))


def test_date_that_does_not_exist_is_rejected() -> None:
    value = made(Platform.TDX, tdx=TdxPolicy()).value()
    value["tdx"] |= {"up_to_date_as_of": "2026-02-30"}
    with pytest.raises(PolicyError, match="up_to_date_as_of is not a valid date"):
        Policy.parse(canonical.encode(value))


def test_days_and_grace_are_limited() -> None:
    assert TdxPolicy(up_to_date_as_of=date(2018, 1, 1), grace_days=3650).grace_days == 3650
    for day, grace in ((date(2017, 12, 31), 0), (date(2026, 1, 1), 3651), (date(2026, 1, 1), -1)):
        with pytest.raises(PolicyError):
            TdxPolicy(up_to_date_as_of=day, grace_days=grace)


def test_sept_ve_disable_is_optional_for_a_paravisor_only() -> None:
    section = TdxPolicy(attributes_required=0x5000_0000).for_paravisor()
    assert (section.attributes_required, section.attributes_allowed) == (0x4000_0000, 0xD000_0000)
