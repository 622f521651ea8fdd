"""Google's launch endorsement, and the instance named by vTPM certificates: strictly parsed, else malformed."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.gcp.certificates import InstanceInfo
from cloister.attestation.gcp.endorsement import MAX_SIZE, LaunchEndorsement, SnpFirmware, TdxFirmware
from cloister.attestation.instances import GcpInstance
from cloister.attestation.testkit.google import FIRMWARE, MACHINE, SVN, Google, instance_info
from cloister.attestation.x509.certificate import Certificate, find_path, issuers_among
from cloister.attestation.x509.roots import GOOGLE_VTPM, VENDORS
from tests.attestation.clouds import AT, recorded
from tests.attestation.flips import flipped

GOOGLE = Google.create(AT)
ENDORSEMENT = GOOGLE.endorse()
INFO = instance_info()


def test_endorsed_measurements_are_parsed() -> None:
    endorsement = LaunchEndorsement.parse(ENDORSEMENT)
    assert endorsement.signed()
    assert endorsement.snp == SnpFirmware(SVN, {4: FIRMWARE}, 0)
    assert endorsement.tdx == TdxFirmware(SVN, (FIRMWARE,))
    assert endorsement.build == "612345678"
    assert [one.der for one in endorsement.issuers] == [GOOGLE.firmware_root]


def test_signature_by_another_key_or_scheme_is_rejected() -> None:
    other = rsa.generate_private_key(65537, 2048)
    assert not LaunchEndorsement.parse(GOOGLE.endorse(key=other)).signed()
    assert not LaunchEndorsement.parse(GOOGLE.endorse(scheme=padding.PKCS1v15())).signed()


def test_truncated_endorsements_are_malformed() -> None:
    for size in range(len(ENDORSEMENT)):
        with pytest.raises(MalformedEvidence):
            LaunchEndorsement.parse(ENDORSEMENT[:size])


def test_flipped_bit_in_any_byte_is_malformed_or_breaks_the_signature() -> None:
    accepted = []
    for place in range(len(ENDORSEMENT)):
        try:
            if LaunchEndorsement.parse(flipped(ENDORSEMENT, place)).signed():
                accepted.append(place)
        except MalformedEvidence:
            pass
    assert accepted == []


def outer(golden: bytes, signature: bytes = b"s") -> bytes:
    return field(1, golden) + field(2, signature)


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*data, value))


GOLDEN = field(4, GOOGLE.signing)
SNP = field(2, field(1, 4) + field(2, FIRMWARE))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        field(1, GOLDEN),
        field(1, GOLDEN) * 2 + field(2, b"s"),
        outer(b""),
        outer(field(4, b"no certificate")),
        outer(field(4, 7)),
        outer(GOLDEN + field(2, b"text")),
        outer(GOLDEN + field(2, 1) * 2),
        outer(GOLDEN + field(6, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
        outer(GOLDEN + field(6, b"-----BEGIN CERTIFICATE-----\n" * 9)),
        outer(GOLDEN + field(7, SNP) + field(7, SNP)),
        outer(GOLDEN + field(7, SNP * 2)),
        outer(GOLDEN + field(7, field(2, field(1, 4) + field(2, FIRMWARE[:47])))),
        outer(GOLDEN + field(7, field(2, field(1, 4)))),
        outer(GOLDEN + field(7, field(2, 4))),
        outer(GOLDEN + field(8, field(2, field(3, FIRMWARE + b"\0")))),
        outer(GOLDEN + varint(3 << 3 | 3)),
        outer(GOLDEN + b"\0\0"),
        outer(GOLDEN + varint(9 << 3) + b"\xff" * 10),
        outer(GOLDEN + varint(9 << 3) + b"\xff" * 9 + b"\x02"),
        outer(GOLDEN + field(99, 1) * 4096),
        outer(GOLDEN).ljust(MAX_SIZE + 1, b"\0"),
    ],
)
def test_invalid_endorsements_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedEvidence):
        LaunchEndorsement.parse(data)


def test_unknown_endorsement_fields_are_ignored() -> None:
    more = field(77, b"new") + field(78, 1) + varint(79 << 3 | 1) + bytes(8) + varint(80 << 3 | 5) + bytes(4)
    endorsement = LaunchEndorsement.parse(outer(GOLDEN + field(3, b"\xab\xcd") + more))
    assert (endorsement.snp, endorsement.tdx, endorsement.build) == (None, None, "abcd")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_an_endorsement_or_malformed(data: bytes) -> None:
    for one in (data, outer(data), outer(GOLDEN + data), outer(GOLDEN + field(7, data) + field(8, data))):
        try:
            LaunchEndorsement.parse(one)
        except MalformedEvidence:
            pass


def certificate(name: str) -> Certificate:
    return Certificate.parse(load_pem_x509_certificate(recorded(name)).public_bytes(Encoding.DER))


def test_real_google_vtpm_certificate_leads_to_the_root_and_names_its_machine() -> None:
    leaf = certificate("tpm/pca_tpm_rsa_sign_cert.pem")
    pool = [Certificate.parse(recorded(f"tpm/gcp_ek_ak_ca_{name}.crt")) for name in ("intermediate_v3", "root")]
    (anchor,) = (anchor for anchor in VENDORS if anchor.identity_root == GOOGLE_VTPM)
    path, why = find_path(leaf, pool, anchor.spki_sha256)
    assert path == (leaf, *pool), why
    assert find_path(leaf, pool[:1], anchor.spki_sha256)[0] is None
    assert issuers_among(leaf, pool) == tuple(pool)
    assert not leaf.is_ca and leaf.usages == ()
    assert InstanceInfo.of(leaf) == InstanceInfo(
        zone="us-central1-a",
        project_number=0x1B5A475C69,
        project="google.com:wuale-gcp-testing",
        instance_id=218557372616137117,
        instance_name="cs-debug-pca",
        production=True,
    )
    assert InstanceInfo.of(pool[0]) is None


def test_members_about_a_machine_are_parsed() -> None:
    info = InstanceInfo.parse(INFO)
    assert (info.project, info.zone, info.instance_id, info.instance_name, info.production) == (
        MACHINE.project,
        MACHINE.zone,
        MACHINE.instance_id,
        MACHINE.instance_name,
        True,
    )
    assert not InstanceInfo.parse(instance_info(production=False)).production
    assert str(info) == "project trial-project, zone europe-west4-a, main (4570452845155348778)"


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ((), False),
        ((GcpInstance("trial-project"),), True),
        ((GcpInstance("trial"),), False),
        ((GcpInstance("trial-project", zone="europe-west4-a"),), True),
        ((GcpInstance("trial-project", zone="europe-west4-b"),), False),
        ((GcpInstance("trial-project", instance_id=4570452845155348778),), True),
        ((GcpInstance("trial-project", instance_id=1),), False),
        ((GcpInstance("trial-project", instance_name="other"),), False),
        ((GcpInstance("other"), MACHINE), True),
    ],
)
def test_machine_must_be_in_the_policy(allowed: tuple[GcpInstance, ...], expected: bool) -> None:
    assert InstanceInfo.parse(INFO).is_one_of(allowed) is expected


def test_truncated_instances_are_malformed() -> None:
    for size in range(len(INFO)):
        with pytest.raises(MalformedEvidence):
            InstanceInfo.parse(INFO[:size])
    with pytest.raises(MalformedEvidence):
        InstanceInfo.parse(INFO + b"\0")


@given(st.binary(max_size=120), st.integers(0, len(INFO) - 1), st.integers(0, 255))
def test_arbitrary_bytes_are_an_instance_or_malformed(data: bytes, place: int, byte: int) -> None:
    changed = bytearray(INFO)
    changed[place] = byte
    for one in (data, bytes(changed)):
        try:
            InstanceInfo.parse(one)
        except MalformedEvidence:
            pass


def test_endorsement_by_an_expired_signer_is_still_parsed() -> None:
    old = GOOGLE.signer(not_before=AT - timedelta(days=9), not_after=AT - timedelta(days=8))
    assert LaunchEndorsement.parse(GOOGLE.endorse(certificate=old)).signed()
