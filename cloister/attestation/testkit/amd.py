"""A simulated AMD: a key service with root, signing keys and revocation list, and processors that sign reports.

A verifier accepts its evidence only if the caller passes ``Amd.anchor()``; the verdict then says that the identity root
is simulated. RSA keys have 2048 bits instead of AMD's 4096, because every test generates new ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from cloister.attestation.collateral_source import CERTIFICATE, CRL, InMemory
from cloister.attestation.snp import extensions, table
from cloister.attestation.snp.products import CHIP_ID_SIZES, ProductLine, TcbVersion
from cloister.attestation.snp.report import FIELDS, SIGNED_SIZE, SIZE, SigningKey
from cloister.attestation.testkit.key_usage import key_usage
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.roots import AMD, Anchor

_HASH = hashes.SHA384()
_PSS = padding.PSS(padding.MGF1(_HASH), _HASH.digest_size)
_LIFETIME = timedelta(days=3650)
_LIST_LIFETIME = timedelta(days=180)
_CPUID = {ProductLine.MILAN: (0x19, 0x01, 1), ProductLine.GENOA: (0x19, 0x11, 1), ProductLine.TURIN: (0x1A, 0x02, 1)}
_VERSIONS = {ProductLine.MILAN: 3, ProductLine.GENOA: 3, ProductLine.TURIN: 5}
_LEVELS = {"boot_loader": 4, "tee": 0, "snp": 24, "microcode": 219}


@dataclass(frozen=True)
class Amd:
    """The key service for one product line; certificates are DER. ``signers`` are ASK and ASVK by what they sign."""

    line: ProductLine
    since: datetime
    root_key: rsa.RSAPrivateKey
    root: bytes
    signers: Mapping[SigningKey, tuple[rsa.RSAPrivateKey, bytes]]

    @classmethod
    def create(cls, at: datetime, line: ProductLine = ProductLine.MILAN) -> Self:
        """New keys, valid from a day before ``at``."""
        since = at - timedelta(days=1)
        root_key = rsa.generate_private_key(65537, 2048)
        root_name = f"ARK-{line}"
        root = _authority(root_name, root_key, root_name, root_key, since, 0x10000)
        names = {SigningKey.VCEK: f"SEV-{line}", SigningKey.VLEK: f"SEV-VLEK-{line}"}
        signers = {}
        for number, (kind, name) in enumerate(names.items()):
            key = rsa.generate_private_key(65537, 2048)
            signers[kind] = (key, _authority(name, key, root_name, root_key, since, 0x10001 + 0x100 * number))
        return cls(line, since, root_key, root, signers)

    def anchor(self) -> Anchor:
        """The anchor to pass to the verifier to have this service's evidence accepted."""
        spki = Certificate.parse(self.root).fingerprint()
        return Anchor(AMD, spki, f"ARK-{self.line}", "the test kit", simulated=True)

    def with_signer(self, kind: SigningKey, *, is_ca: bool = True, signs_certificates: bool = True) -> Self:
        """The same service, with another certificate of the signing key for ``kind``, which has other rights."""
        key, certificate = self.signers[kind]
        subject = x509.load_der_x509_certificate(certificate)
        (name,) = subject.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        other = _authority(
            str(name.value),
            key,
            f"ARK-{self.line}",
            self.root_key,
            self.since,
            subject.serial_number,
            is_ca=is_ca,
            signs_certificates=signs_certificates,
        )
        return replace(self, signers={**self.signers, kind: (key, other)})

    def certify(
        self,
        key: ec.EllipticCurvePublicKey,
        tcb: TcbVersion,
        *,
        kind: SigningKey = SigningKey.VCEK,
        hwid: bytes = b"",
        csp_id: str = "CN=cloud.example",
        product_name: str = "",
        issuer: SigningKey | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        changes: Mapping[str, bytes | None] | None = None,
    ) -> bytes:
        """The certificate of a VCEK or VLEK, serial number 0; ``changes`` replaces or removes extensions by OID.

        ``issuer`` says which signing key signs; None is that for ``kind``.
        """
        signing_key, certificate = self.signers[kind if issuer is None else issuer]
        since = not_before or self.since
        builder = (
            x509.CertificateBuilder()
            .issuer_name(x509.load_der_x509_certificate(certificate).subject)
            .subject_name(_name(f"SEV-{kind.name}"))
            .public_key(key)
            .serial_number(1)
            .not_valid_before(since)
            .not_valid_after(not_after or since + _LIFETIME)
        )
        version = 1 if self.line is ProductLine.TURIN else 0
        contents: dict[str, bytes | None] = {
            extensions.STRUCT_VERSION: _integer(version),
            extensions.PRODUCT_NAME: _ia5(product_name or self.line),
            **{extensions.LEVELS[version][name]: _integer(value) for name, value in tcb.components().items()},
            **{oid: _integer(0) for oid in extensions.RESERVED[version]},
        }
        if kind is SigningKey.VCEK:
            contents[extensions.HWID] = hwid
        else:
            contents[extensions.CSP_ID] = _ia5(csp_id)
        for oid, content in (contents | dict(changes or {})).items():
            if content is not None:
                value = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), content)
                builder = builder.add_extension(value, critical=False)
        return _serial_zero(builder.sign(signing_key, _HASH, rsa_padding=_PSS), signing_key)

    def crl(
        self,
        *,
        revoked: Iterable[int] = (),
        this_update: datetime | None = None,
        next_update: datetime | None = None,
        key: rsa.RSAPrivateKey | None = None,
    ) -> bytes:
        """The root's revocation list; ``key`` signs instead of the root's."""
        made = this_update or self.since
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name(f"ARK-{self.line}"))
            .last_update(made)
            .next_update(next_update or made + _LIST_LIFETIME)
        )
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(made).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(key or self.root_key, _HASH, rsa_padding=_PSS).public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True)
class Processor:
    """A chip with the key that signs its reports: a VCEK of its own or a cloud's VLEK. ``certificate`` is the key's.

    ``fields`` replace members of every report (names of ``SnpReport``), for a guest with another launch.
    """

    amd: Amd
    key: ec.EllipticCurvePrivateKey
    kind: SigningKey
    chip_id: bytes
    tcb: TcbVersion
    certificate: bytes
    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def create(
        cls,
        at: datetime,
        line: ProductLine = ProductLine.MILAN,
        *,
        kind: SigningKey = SigningKey.VCEK,
        amd: Amd | None = None,
        chip_id: bytes | None = None,
    ) -> Self:
        """A new chip of ``line``, certified by ``amd`` or by a service of its own; ``chip_id`` tells several apart."""
        amd = amd or Amd.create(at, line)
        key = ec.generate_private_key(ec.SECP384R1())
        chip_id = chip_id or bytes(range(1, CHIP_ID_SIZES[line] + 1))
        tcb = TcbVersion(**_LEVELS, fmc=1 if line is ProductLine.TURIN else None)
        certificate = amd.certify(key.public_key(), tcb, kind=kind, hwid=chip_id)
        return cls(amd, key, kind, chip_id, tcb, certificate)

    def report(self, **fields: Any) -> bytes:
        """A signed report of a guest without SMT and DEBUG; ``fields`` replace members, on top of the processor's."""
        line = self.amd.line
        tcb = self.tcb.encode(line)
        version = {**self.fields, **fields}.get("version", _VERSIONS[line])
        family, model, stepping = _CPUID[line] if version > 2 else (0, 0, 0)
        values: dict[str, Any] = {
            "version": version,
            "guest_svn": 1,
            "policy": 1 << 17,
            "signature_algorithm": 1,
            "platform_info": 1 << 2 | 1 << 5,
            "key_info": self.kind << 2,
            "report_id": b"\x11" * 32,
            "report_id_ma": b"\xff" * 32,
            "family": family,
            "model": model,
            "stepping": stepping,
            "chip_id": self.chip_id if self.kind is SigningKey.VCEK else b"",
            **dict.fromkeys(("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb"), tcb),
            **{
                f"{state}_{part}": value
                for state in ("current", "committed")
                for part, value in (("major", 1), ("minor", 55), ("build", 29))
            },
            **self.fields,
            **fields,
        }
        data = bytearray(SIZE)
        for name, offset, size in FIELDS:
            value = values.pop(name.lstrip("*"), 0 if name[0] != "*" else b"")
            content = value.ljust(size, b"\0") if isinstance(value, bytes) else value.to_bytes(size, "little")
            data[offset : offset + size] = content
        if values:
            raise ValueError(f"A report has no field {', '.join(values)}.")
        return self.signed(bytes(data))

    def signed(self, data: bytes) -> bytes:
        """The report ``data`` with a new signature."""
        r, s = utils.decode_dss_signature(self.key.sign(data[:SIGNED_SIZE], ec.ECDSA(_HASH)))
        signature = r.to_bytes(72, "little") + s.to_bytes(72, "little")
        return data[:SIGNED_SIZE] + signature + bytes(SIZE - SIGNED_SIZE - len(signature))

    def table(self) -> bytes:
        """The host's certificate table: the key's certificate, its signer and the root."""
        leaf = table.VCEK if self.kind is SigningKey.VCEK else table.VLEK
        _, signer = self.amd.signers[self.kind]
        return table.CertificateTable({leaf: self.certificate, table.ASK: signer, table.ARK: self.amd.root}).encode()

    def collateral(self) -> InMemory:
        """The same certificates and the revocation list, as fetched from the key service."""
        _, signer = self.amd.signers[self.kind]
        return InMemory({CERTIFICATE: (self.certificate, signer, self.amd.root), CRL: (self.amd.crl(),)})


def _authority(
    name: str,
    key: rsa.RSAPrivateKey,
    issuer: str,
    issuer_key: rsa.RSAPrivateKey,
    since: datetime,
    serial: int,
    *,
    is_ca: bool = True,
    signs_certificates: bool = True,
) -> bytes:
    root = name == issuer
    usages = [*(["key_cert_sign"] if signs_certificates else []), *(["crl_sign"] if root else [])]
    builder = (
        x509.CertificateBuilder()
        .issuer_name(_name(issuer))
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(since)
        .not_valid_after(since + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None if root or not is_ca else 0), critical=True)
        .add_extension(key_usage(*usages), critical=True)
    )
    return builder.sign(issuer_key, _HASH, rsa_padding=_PSS).public_bytes(serialization.Encoding.DER)


def _name(common: str) -> x509.Name:
    """As AMD writes it; the common name is last."""
    attributes = (
        (x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
        (x509.NameOID.COUNTRY_NAME, "US"),
        (x509.NameOID.LOCALITY_NAME, "Santa Clara"),
        (x509.NameOID.STATE_OR_PROVINCE_NAME, "CA"),
        (x509.NameOID.ORGANIZATION_NAME, "Advanced Micro Devices"),
        (x509.NameOID.COMMON_NAME, common),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def _serial_zero(certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> bytes:
    """``certificate`` (serial number 1) with the serial number 0, which the library does not write, signed again."""
    one = bytes.fromhex("a003020102 020101")  # [0] version 3, then the serial number
    tbs = certificate.tbs_certificate_bytes.replace(one, one[:-1] + b"\0", 1)
    der = certificate.public_bytes(serialization.Encoding.DER)
    start = der.index(certificate.tbs_certificate_bytes) + len(tbs)
    end = der.rindex(certificate.signature)
    algorithm_and_tag = der[start:end]
    signature = key.sign(tbs, _PSS, _HASH)
    return der[: der.index(certificate.tbs_certificate_bytes)] + tbs + algorithm_and_tag + signature


def _integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1)
    return b"\x02" + bytes((len(content),)) + content


def _ia5(text: str) -> bytes:
    return b"\x16" + bytes((len(text),)) + text.encode("ascii")
