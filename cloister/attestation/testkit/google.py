"""A simulated Google: a root for firmware, an authority for vTPMs, and machines. Change a field to cause a rejection.

Long because both of Google's platforms share its keys and encoders.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.collateral_source import CERTIFICATE, CRL, CollateralItem
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.gcp import certificates
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.gcp.technology import NON_HOST_INFO, TECHNOLOGY_SNP
from cloister.attestation.instances import GcpInstance, Instances
from cloister.attestation.policy.policy import Policy
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.testkit.amd import Processor
from cloister.attestation.testkit.event_log import BootEvent
from cloister.attestation.testkit.intel import Intel
from cloister.attestation.testkit.key_usage import AUTHORITY, SIGNER, key_usage
from cloister.attestation.testkit.machine import BOOT_EVENTS, TpmMachine
from cloister.attestation.testkit.td import Td
from cloister.attestation.testkit.tpm import RsaTpm, SoftwareTpm
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.roots import GOOGLE_VTPM, Anchor

FIRMWARE = hashlib.sha384(b"Google's firmware").digest()
"""The launch measurement of the simulated firmware with four virtual CPUs, and its MRTD."""

SVN = 3
"""Its security version."""

MACHINE = GcpInstance("trial-project", "europe-west4-a", 4570452845155348778, "main")
"""The machine that the simulated certificates name."""

_LIFETIME = timedelta(days=3650)
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)


def boot_events(technology: int = TECHNOLOGY_SNP) -> tuple[BootEvent, ...]:
    """A boot of Google's firmware, which measures the memory protection."""
    event = NON_HOST_INFO + bytes([technology]) + bytes(15)
    version = "GCE Virtual Firmware v2\0".encode("utf-16-le")
    return (BootEvent(0, 0x8, version), BootEvent(0, 0x11, event), *BOOT_EVENTS[1:])


@dataclass(frozen=True)
class Google:
    """Keys and certificates (DER): of the firmware's root and signing key, and of the vTPMs' root and intermediate."""

    since: datetime
    firmware_root_key: rsa.RSAPrivateKey
    firmware_root: bytes
    signing_key: rsa.RSAPrivateKey
    signing: bytes
    vtpm_root: bytes
    vtpm_key: rsa.RSAPrivateKey
    vtpm_intermediate: bytes

    @classmethod
    def create(cls, at: datetime) -> Self:
        """New keys, valid from a day before ``at``."""
        since = at - timedelta(days=1)
        keys = [rsa.generate_private_key(65537, 2048) for _ in range(4)]
        root, signing, vtpm_root, vtpm = keys
        return cls(
            since=since,
            firmware_root_key=root,
            firmware_root=_certify("GCE-cc-tcb-root", root.public_key(), "GCE-cc-tcb-root", root, since, ca=True),
            signing_key=signing,
            signing=_certify("GCE-uefi-signer", signing.public_key(), "GCE-cc-tcb-root", root, since),
            vtpm_root=_certify("EK/AK CA Root", vtpm_root.public_key(), "EK/AK CA Root", vtpm_root, since, ca=True),
            vtpm_key=vtpm,
            vtpm_intermediate=_certify(
                "EK/AK CA Intermediate", vtpm.public_key(), "EK/AK CA Root", vtpm_root, since, ca=True
            ),
        )

    def anchor(self) -> Anchor:
        """The anchor to pass to the verifier to have the vTPMs' certificates accepted."""
        return Anchor(GOOGLE_VTPM, Certificate.parse(self.vtpm_root).fingerprint(), simulated=True)

    def firmware_pin(self) -> bytes:
        """Return the value that a policy pins for the firmware, 32 bytes."""
        return Certificate.parse(self.firmware_root).fingerprint()

    def certify(
        self,
        key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        *,
        info: bytes | None = None,
        usages: tuple[str, ...] = ("digital_signature",),
        is_ca: bool = False,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> bytes:
        """The certificate of a vTPM's key; ``info`` is the content of the extension that names the machine."""
        return _certify(
            "4570452845155348778",
            key,
            "EK/AK CA Intermediate",
            self.vtpm_key,
            not_before or self.since,
            not_after=not_after,
            ca=is_ca,
            usages=usages,
            info=instance_info() if info is None else info,
        )

    def endorse(
        self,
        *,
        svn: int = SVN,
        measurements: Mapping[int, bytes] | None = None,
        mrtds: Iterable[bytes] = (FIRMWARE,),
        key: rsa.RSAPrivateKey | None = None,
        certificate: bytes | None = None,
        scheme: Any = _PSS,
        hardware: Iterable[str] = ("snp", "tdx"),
    ) -> bytes:
        """A VMLaunchEndorsement for ``hardware``; ``key`` signs instead of the one in ``certificate``."""
        snp = _number(1, svn)
        for vcpus, digest in ({4: FIRMWARE} if measurements is None else measurements).items():
            snp += _bytes(2, _number(1, vcpus) + _bytes(2, digest))
        tdx = _number(1, svn) + b"".join(_bytes(2, _number(1, 16) + _bytes(3, mrtd)) for mrtd in mrtds)
        bundle = x509.load_der_x509_certificate(self.firmware_root).public_bytes(serialization.Encoding.PEM)
        golden = (
            _bytes(1, _number(1, 1_750_000_000))
            + _number(2, 612345678)
            + _bytes(4, certificate or self.signing)
            + _bytes(5, hashlib.sha384(b"OVMF.fd").digest())
            + _bytes(6, bundle)
            + (_bytes(7, snp) if "snp" in hardware else b"")
            + (_bytes(8, tdx) if "tdx" in hardware else b"")
        )
        signature = (key or self.signing_key).sign(golden, scheme, hashes.SHA256())
        return _bytes(1, golden) + _bytes(2, signature)

    def signer(self, *, not_before: datetime, not_after: datetime) -> bytes:
        """Another certificate of the key that signs endorsements."""
        return _certify(
            "GCE-uefi-signer",
            self.signing_key.public_key(),
            "GCE-cc-tcb-root",
            self.firmware_root_key,
            not_before,
            not_after=not_after,
        )


def instance_info(machine: GcpInstance = MACHINE, *, production: bool = True) -> bytes:
    """The content of the extension that names a machine."""
    properties = _der(0xA0, _der_integer(0)) + _der(0xA1, _der(1, b"\xff" if production else b"\0"))
    return _der(
        0x30,
        _der(0x0C, (machine.zone or "").encode())
        + _der_integer(117426699369)
        + _der(0x0C, machine.project.encode())
        + _der_integer(machine.instance_id or 0)
        + _der(0x0C, (machine.instance_name or "").encode())
        + _der(0xA0, _der(0x30, properties)),
    )


@dataclass(frozen=True, kw_only=True)
class GcpSnpMachine(TpmMachine):
    """A machine at Google with SEV-SNP; ``fields`` replace members of the report before it is signed.

    ``crls`` are AMD's revocation lists that the evidence carries.
    """

    google: Google
    processor: Processor
    certificate: bytes
    endorsement: bytes | None
    crls: tuple[bytes, ...]
    boot_events: tuple[BootEvent, ...] = field(default_factory=boot_events)
    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def create(cls, at: datetime, *, manifest_digest: bytes | None = None, vtpm: SoftwareTpm | RsaTpm) -> Self:
        """A machine on a new processor, certified as of ``at``."""
        google, processor = Google.create(at), Processor.create(at)
        return cls(
            tpm=vtpm,
            google=google,
            processor=processor,
            certificate=google.certify(vtpm.key.public_key()),
            endorsement=google.endorse(),
            crls=(processor.amd.crl(),),
            manifest_digest=manifest_digest,
        )

    def roots(self) -> tuple[Anchor, ...]:
        """The anchors to pass to the verifier to have this machine accepted."""
        return (self.processor.amd.anchor(), self.google.anchor())

    def policy(self, **changes: Any) -> Policy:
        """A policy that accepts this machine; ``changes`` replace members of it."""
        policy = Policy(
            platforms=(Platform.GCP_SNP,),
            images=(self.image(),),
            boot_configuration=self.configuration_policy(),
            snp=SnpPolicy({self.processor.amd.line: dict.fromkeys(TCB_KINDS, self.processor.tcb)}),
            gcp=GcpPolicy(self.google.firmware_pin(), snp_min_svn=SVN),
            instances=Instances(gcp=(MACHINE,)),
        )
        return dataclasses.replace(policy, **changes)

    def platform(self) -> Platform:
        """``gcp-snp``."""
        return Platform.GCP_SNP

    def complete(self, evidence: Evidence) -> Evidence:
        """With the report, Google's endorsement and all certificates."""
        fields = {"report_data": evidence.report_data(), "measurement": FIRMWARE, **self.fields}
        return dataclasses.replace(
            evidence,
            snp_report=self.processor.report(**fields),
            snp_certificates=self.processor.table(),
            ak_certificates=(self.certificate, self.google.vtpm_intermediate),
            launch_endorsement=self.endorsement,
            collateral=(
                CollateralItem(CERTIFICATE, self.google.vtpm_root),
                *(CollateralItem(CRL, one) for one in self.crls),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class GcpTd(Td):
    """A machine at Google with TDX. The caller must bring Intel's collateral."""

    google: Google
    endorsement: bytes | None

    @classmethod
    def create(cls, at: datetime, *, manifest_digest: bytes | None = None) -> Self:
        """On a new platform of a new Intel."""
        google = Google.create(at)
        return cls(intel=Intel.create(at), google=google, endorsement=google.endorse(), manifest_digest=manifest_digest)

    def roots(self) -> tuple[Anchor, ...]:
        """The anchors to pass to the verifier to have this machine accepted."""
        return (self.intel.anchor(),)

    def policy(self, **changes: Any) -> Policy:
        """A policy that accepts this machine; ``changes`` replace members of it."""
        policy = Policy(
            platforms=(Platform.GCP_TDX,),
            images=(self.image(),),
            boot_configuration=super().policy().boot_configuration,
            tdx=TdxPolicy(),
            gcp=GcpPolicy(self.google.firmware_pin(), tdx_min_svn=SVN),
        )
        return dataclasses.replace(policy, **changes)

    def evidence(
        self,
        binding: SessionBinding | ReceiptBinding,
        changes: Mapping[str, Any] | None = None,
        *,
        qe_report: Mapping[str, bytes] | None = None,
    ) -> Evidence:
        """Evidence for any binding. ``changes`` replace members of the TD report, ``qe_report`` of the enclave's."""
        members = {"mr_td": FIRMWARE, "mr_config_id": bytes(48), **(changes or {})}
        evidence = super().evidence(binding, members, qe_report=qe_report)
        return dataclasses.replace(evidence, platform=Platform.GCP_TDX, launch_endorsement=self.endorsement)


def _certify(
    subject: str,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issuer: str,
    issuer_key: rsa.RSAPrivateKey,
    since: datetime,
    *,
    not_after: datetime | None = None,
    ca: bool = False,
    usages: tuple[str, ...] = (),
    info: bytes | None = None,
) -> bytes:
    usages = usages or (AUTHORITY if ca else SIGNER)
    builder = (
        x509.CertificateBuilder()
        .issuer_name(_name(issuer))
        .subject_name(_name(subject))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(not_after or since + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(key_usage(*usages), critical=True)
    )
    if info is not None:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(certificates.OID), info)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256(), rsa_padding=_PSS).public_bytes(serialization.Encoding.DER)


def _name(common: str) -> x509.Name:
    attributes = ((x509.NameOID.ORGANIZATION_NAME, "Google LLC"), (x509.NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*data, value))


def _number(field_: int, value: int) -> bytes:
    """A protobuf field with a number."""
    return _varint(field_ << 3) + _varint(value)


def _bytes(field_: int, value: bytes) -> bytes:
    """A protobuf field with bytes or a message."""
    return _varint(field_ << 3 | 2) + _varint(len(value)) + value


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes((tag, size) if size < 0x80 else (tag, 0x81, size)) + content


def _der_integer(value: int) -> bytes:
    return _der(2, value.to_bytes(value.bit_length() // 8 + 1))
