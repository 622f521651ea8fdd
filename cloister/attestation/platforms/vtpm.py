"""The proof in a quote of a vTPM: the key, the quote, the boot event log and the registers.

The same for every platform whose image is identified by PCRs; each platform has its own anchor for the key.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509 import KeyUsage

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.platforms.appraisal import check_debug
from cloister.attestation.policy.images import IMAGE_PCRS, ZERO, ZERO_PCRS, ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.tpm import runtimelog, structures
from cloister.attestation.tpm.eventlog import EventLog
from cloister.attestation.tpm.rsa import ALG_RSA, RsaPublic, RsaSignature
from cloister.attestation.x509.certificate import TCG_AIK, Certificate, find_path
from cloister.protocol import canonical, transcript

# PCR 10 belongs to the running kernel (IMA), 15 to the agent: the firmware's log has neither.
REPLAYED = (*range(10), *range(11, 15))

_DRIVER_PCR = 2
# What a boot without drivers and option ROMs leaves in PCR 2: the separator alone, four zero bytes (TCG PC Client PFP
# 1.06, section 3.3.4). The check uses the value, not the log's events: an event's type is not in its digest, and a
# driver that has run can write to the log.
_NO_DRIVERS = hashlib.sha256(ZERO + hashlib.sha256(bytes(4)).digest()).digest()
# TPM 2.0 Library, part 1, Qualified Name: for a primary key it is computed over the hierarchy's handle.
_ENDORSEMENT = (0x4000000B).to_bytes(4)
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


@dataclass(frozen=True)
class VtpmEvidence:
    """The parsed parts of evidence that a vTPM contributes.

    attest_bytes: the signed TPMS_ATTEST; ``attest`` is the same, parsed.
    signature: over ``attest_bytes``; of the same algorithm as the key.
    ak_public: the public area of the attestation key; ``key`` is its public key.
    pcrs: PCR 0 to 15 (SHA-256 bank).
    certificates: of the attestation key, leaf first; may be empty where they are not required.
    event_log: the boot event log.
    """

    attest_bytes: bytes
    attest: structures.Attest
    signature: structures.EcdsaSignature | RsaSignature
    ak_public: structures.EccPublic | RsaPublic
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
    pcrs: tuple[bytes, ...]
    certificates: tuple[Certificate, ...]
    event_log: EventLog

    @classmethod
    def parse(cls, evidence: Evidence, *, certified: bool = True) -> Self | None:
        """None if one of the parts is absent. ``certified``: the key's certificate is one of them.

        Raises MalformedEvidence.
        """
        quote, log = evidence.tpm_quote, evidence.boot_event_log
        if quote is None or log is None or (certified and not evidence.ak_certificates):
            return None
        public: structures.EccPublic | RsaPublic
        signature: structures.EcdsaSignature | RsaSignature
        if quote.ak_public.startswith(ALG_RSA.to_bytes(2)):
            public = RsaPublic.parse(quote.ak_public)
            signature = RsaSignature.parse(quote.signature)
        else:
            public = structures.EccPublic.parse(quote.ak_public)
            signature = structures.EcdsaSignature.parse(quote.signature)
        return cls(
            attest_bytes=quote.attest,
            attest=structures.Attest.parse(quote.attest),
            signature=signature,
            ak_public=public,
            key=key_of(public),
            pcrs=quote.pcrs,
            certificates=tuple(
                Certificate.parse(der, f"ak_certificates[{index}]")
                for index, der in enumerate(evidence.ak_certificates)
            ),
            event_log=EventLog.parse(log),
        )

    def fingerprint(self) -> bytes:
        """SHA-256 of the attestation key's SubjectPublicKeyInfo, 32 bytes."""
        spki = self.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).digest()


def check_attestation_key(
    checks: Recorder,
    vtpm: VtpmEvidence,
    issuers: Sequence[Certificate],
    anchor: bytes,
    at: datetime,
    *,
    names_usage: bool = True,
) -> None:
    """The key's certificate leads to ``anchor`` (SHA-256 of an SPKI), and certificate and key are for attestation.

    ``issuers`` are certificates besides those in the evidence. If the vendor's certificates have no extended key usage
    for attestation (``names_usage`` false), their key usage must be signing only.
    """
    leaf = vtpm.certificates[0]
    path, why = find_path(leaf, (*vtpm.certificates[1:], *issuers), anchor)
    checks.record("ak-path", path is not None, f"a path to the authority with the key {anchor.hex()}", why or "found")
    if path is None:
        checks.not_applicable("ak-validity", "there is no path whose certificates could be checked")
    else:
        worst = next((one for one in path if not one.valid_at(at)), leaf)
        period = f"valid from {canonical.to_time(worst.not_before)} to {canonical.to_time(worst.not_after)}"
        checks.record("ak-validity", worst.valid_at(at), f"valid at {canonical.to_time(at)}", period)
    checks.record("ak-not-ca", not leaf.is_ca, "no certificate authority", "an authority" if leaf.is_ca else "none")
    if names_usage:
        found = ", ".join(leaf.usages) or "absent"
        checks.record("ak-usage", leaf.usages == (TCG_AIK,), f"{TCG_AIK} (attestation) alone", found)
    else:
        usages = (*key_usages(leaf), *leaf.usages)
        checks.record("ak-usage", usages == ("digital_signature",), "digital_signature alone", ", ".join(usages))
    checks.equal("ak-key", vtpm.fingerprint(), leaf.fingerprint())
    check_attributes(checks, vtpm)


def check_attributes(checks: Recorder, vtpm: VtpmEvidence) -> None:
    """The key signs only what its TPM made, and never leaves it."""
    check_key_attributes(checks, vtpm.ak_public.attributes)


def check_key_attributes(checks: Recorder, attributes: int) -> bool:
    """The same for TPMA_OBJECT of a key. Returns whether they are proper."""
    proper = attributes & (structures.AK_REQUIRED | structures.OBJECT_DECRYPT) == structures.AK_REQUIRED
    wanted = (
        f"{structures.AK_REQUIRED:#010x} (fixedTPM, fixedParent, sensitiveDataOrigin, restricted, sign) without decrypt"
    )
    return checks.record("ak-attributes", proper, wanted, f"{attributes:#010x}")


def check_quote(checks: Recorder, vtpm: VtpmEvidence, report_data: bytes) -> None:
    """It is a quote, signed by the key, over ``report_data`` (64 bytes) and the registers in the evidence."""
    check_signed_quote(
        checks,
        vtpm.attest_bytes,
        vtpm.signature,
        vtpm.key,
        dict(zip(structures.QUOTED_PCRS, vtpm.pcrs, strict=True)),
        transcript.tpm_qualifying_data(report_data),
    )
    checks.equal("quote-signer", qualified_name(vtpm.ak_public), vtpm.attest.qualified_signer)


def check_signed_quote(
    checks: Recorder,
    attest_bytes: bytes,
    signature: structures.EcdsaSignature | RsaSignature,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    pcrs: Mapping[int, bytes],
    qualifying: bytes | None,
) -> None:
    """It is a quote, signed by ``key``, over ``qualifying`` and exactly ``pcrs`` of the SHA-256 bank.

    ``qualifying`` None skips that check. Raises MalformedEvidence.
    """
    attest = structures.Attest.parse(attest_bytes)
    checks.record(
        "quote-magic",
        attest.magic == structures.GENERATED_VALUE,
        f"{structures.GENERATED_VALUE:#x}",
        f"{attest.magic:#x}",
    )
    checks.record(
        "quote-type", attest.kind == structures.ST_ATTEST_QUOTE, f"{structures.ST_ATTEST_QUOTE:#x}", f"{attest.kind:#x}"
    )
    signed = is_signed(attest_bytes, signature, key)
    found = "valid" if signed else "not valid"
    checks.record("quote-signature", signed, "valid under the attestation key", found)
    if qualifying is None:
        checks.not_applicable("quote-binding", "you named no data", attest.extra_data.hex())
    else:
        checks.equal("quote-binding", qualifying, attest.extra_data)
    if attest.quote is None:
        checks.not_applicable("quote-selection", "the attested structure is not a quote")
        checks.not_applicable("quote-pcr-digest", "the attested structure is not a quote")
        return
    wanted = (structures.PcrSelection(structures.ALG_SHA256, tuple(sorted(pcrs))),)
    selections = attest.quote.selections
    checks.record("quote-selection", selections == wanted, _selections(wanted), _selections(selections))
    values = b"".join(pcrs[index] for index in sorted(pcrs))
    checks.equal("quote-pcr-digest", hashlib.sha256(values).digest(), attest.quote.pcr_digest)


def check_event_log(checks: Recorder, vtpm: VtpmEvidence) -> None:
    """Replaying the firmware's log gives the registers."""
    replayed = vtpm.event_log.replay(REPLAYED)
    wrong = [index for index in REPLAYED if replayed[index] != vtpm.pcrs[index]]
    found = "the values of all of them"
    if wrong:
        found = "; ".join(f"PCR {i}: {replayed[i].hex()} instead of {vtpm.pcrs[i].hex()}" for i in wrong)
    checks.record("boot-event-log", not wrong, "the quoted values of PCR 0 to 9 and 11 to 14", found)


def check_registers(
    checks: Recorder, pcrs: Sequence[bytes], policy: Policy, runtime_log: Iterable[runtimelog.Measurement]
) -> ImageReference | None:
    """Every register has exactly one check. Returns the image whose values the machine has, or None."""
    image, matches = _closest(policy.images, pcrs)
    for index in IMAGE_PCRS:
        checks.equal(f"pcr-{index}", image.pcrs[index], pcrs[index])
    for index in ZERO_PCRS:
        checks.equal(f"pcr-{index}", ZERO, pcrs[index])
    checks.equal(f"pcr-{runtimelog.PCR}", runtimelog.replay(runtime_log), pcrs[runtimelog.PCR])
    for index in structures.QUOTED_PCRS:
        if index in (*IMAGE_PCRS, *ZERO_PCRS, runtimelog.PCR):
            continue
        if index in policy.platform_pcrs:
            checks.equal(f"pcr-{index}", policy.platform_pcrs[index], pcrs[index])
        elif index == _DRIVER_PCR:
            checks.equal(f"pcr-{index}", _NO_DRIVERS, pcrs[index])
        else:
            reason = "it belongs to the platform, and the policy pins no value"
            checks.not_applicable(f"pcr-{index}", reason, pcrs[index].hex())
    return check_debug(checks, image if matches else None, policy)


def _closest(images: Sequence[ImageReference], pcrs: Sequence[bytes]) -> tuple[ImageReference, bool]:
    """The image that matches in most registers, and whether it matches in all. Failures are reported against it."""

    def agreement(image: ImageReference) -> int:
        return sum(image.pcrs[index] == pcrs[index] for index in IMAGE_PCRS)

    best = max(images, key=agreement)
    return best, agreement(best) == len(IMAGE_PCRS)


def key_of(public: structures.EccPublic | RsaPublic) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    """The key of a public area. Raises MalformedEvidence for numbers that are not a key."""
    try:
        if isinstance(public, RsaPublic):
            return rsa.RSAPublicNumbers(public.exponent, int.from_bytes(public.modulus)).public_key()
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.point)
    except ValueError as error:
        raise MalformedEvidence("TPMT_PUBLIC.unique", 0, "is not a public key of its kind") from error


def key_usages(certificate: Certificate) -> tuple[str, ...]:
    """The certificate's key usage, by the names of RFC 5280, section 4.2.1.3."""
    for extension in certificate.parsed.extensions:
        if isinstance(extension.value, KeyUsage):
            return tuple(name for name in KEY_USAGES if getattr(extension.value, name))
    return ()


def qualified_name(public: structures.EccPublic | RsaPublic) -> bytes:
    """TPM2B_NAME's content for a primary key of the endorsement hierarchy."""
    algorithm = public.name_algorithm.to_bytes(2)
    name = algorithm + hashlib.sha256(public.marshal()).digest()
    return algorithm + hashlib.sha256(_ENDORSEMENT + name).digest()


def is_signed(
    attest: bytes,
    signature: structures.EcdsaSignature | RsaSignature,
    key: CertificatePublicKeyTypes,
) -> bool:
    """Whether ``key``, RSA or P-256, made the signature; a key of another kind made none."""
    try:
        if isinstance(key, rsa.RSAPublicKey) and isinstance(signature, RsaSignature):
            key.verify(signature.signature, attest, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(signature, structures.EcdsaSignature):
            key.verify(utils.encode_dss_signature(signature.r, signature.s), attest, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


def _selections(selections: Iterable[structures.PcrSelection]) -> str:
    texts = [f"bank {one.bank:#06x} PCR {', '.join(map(str, one.indices)) or 'none'}" for one in selections]
    return "; ".join(texts) or "none"
