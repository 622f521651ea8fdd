"""A TPM's quote that comes without a machine's hardware report: what it shows alone.

A quote shows what a key signed. Whose key that is, only its certificate can say: a key that came in the same file as
the quote shows nothing, and a key that the caller names shows what the caller knows of it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.platforms import vtpm
from cloister.attestation.platforms.appraisal import Appraisal
from cloister.attestation.raw.checks import UNTIED
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.snp.certificates import is_endorsement
from cloister.attestation.tpm.eventlog import EventLog
from cloister.attestation.tpm.rsa import RsaPublic, RsaSignature
from cloister.attestation.tpm.structures import ALG_RSASSA, Attest, EccPublic, EcdsaSignature
from cloister.attestation.x509.certificate import TCG_AIK, Certificate, find_path, issuers_among
from cloister.attestation.x509.roots import AZURE_VTPM, GOOGLE_VTPM, NO_ROOT, Anchor
from cloister.protocol import canonical

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

QUOTE_NAMES = (
    "quote-magic",
    "quote-type",
    "quote-signature",
    "quote-binding",
    "quote-selection",
    "quote-pcr-digest",
)
"""The checks of a quote under a key that is known."""

TPM_NAMES = (
    *QUOTE_NAMES,
    "quote-signer",
    "ak-path",
    "ak-validity",
    "ak-not-ca",
    "ak-usage",
    "ak-key",
    "ak-attributes",
    "boot-event-log",
)
"""The checks of a quote that comes with its key or the key's certificate."""

_OF_CERTIFICATE = ("ak-path", "ak-validity", "ak-not-ca", "ak-usage", "ak-key")
_MAX_CERTIFICATES = 16
_ENDORSERS = (GOOGLE_VTPM, AZURE_VTPM)


@dataclass(frozen=True)
class SignedRegisters:
    """A TPM's quote: TPMS_ATTEST, TPMT_SIGNATURE, and the quoted values of the SHA-256 bank by register."""

    attest: bytes
    signature: bytes
    pcrs: Mapping[int, bytes]


@dataclass(frozen=True)
class TpmKey:
    """An attestation key.

    ``public`` is its public area, None where only the key itself is known. ``named``: the caller named it; otherwise
    it came with the quote.
    """

    key: PublicKey
    public: EccPublic | RsaPublic | None
    named: bool

    @classmethod
    def of_public(cls, public: EccPublic | RsaPublic, *, named: bool) -> "TpmKey":
        """From a public area. Raises MalformedEvidence."""
        return cls(vtpm.key_of(public), public, named)


@dataclass(frozen=True)
class RawTpm:
    """A TPM's quote with its key, or with certificates (DER) among which is the key's; and its boot event log."""

    quote: SignedRegisters
    key: TpmKey | None = None
    certificates: tuple[bytes, ...] = ()
    event_log: bytes | None = None


@dataclass(frozen=True)
class RawFinding:
    """What was found besides the outcomes of the checks.

    root: who vouches for the key or the processor, if the checks of ``checks.VOUCHED_BY`` pass; ``none`` if no one can.
    identity: names, fingerprints and values by name.
    not_judged: what no check covers, in sentences.
    """

    root: str
    identity: Mapping[str, str]
    not_judged: tuple[str, ...]


def check_tpm(appraisal: Appraisal, raw: RawTpm, qualifying: bytes | None) -> RawFinding:
    """Records every check of ``TPM_NAMES``. ``qualifying`` None skips that check. Raises MalformedEvidence."""
    checks = appraisal.checks
    attest = Attest.parse(raw.quote.attest)
    signature = parse_signature(raw.quote.signature)
    leaf, others = _leaf(raw, signature)
    key = raw.key.key if raw.key is not None else leaf.parsed.public_key() if leaf is not None else None
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise MalformedEvidence("TPM quote", 0, "comes with no key, and with no certificate of one that signs quotes")
    vtpm.check_signed_quote(checks, raw.quote.attest, signature, key, raw.quote.pcrs, qualifying)
    bound = _check_name(checks, raw.key.public if raw.key else None, attest)
    root = _check_certificate(appraisal, raw.key, key, leaf, others)
    check_log(checks, raw.event_log, raw.quote.pcrs)
    identity = {
        "ak": fingerprint(key).hex(),
        "ak_subject": leaf.parsed.subject.rfc4514_string() if leaf is not None else "",
        "qualifying_data": attest.extra_data.hex(),
        "tpm_firmware": f"{attest.firmware_version:#018x}",
        "tpm_resets": str(attest.reset_count),
        **registers(raw.quote.pcrs),
    }
    not_judged = ["the image that was booted: the registers are signed, but compared with nothing"]
    if root == NO_ROOT:
        not_judged.append("whose key that is, and that a TPM holds it: no certificate of a known vendor came with it")
    if not bound:
        not_judged.append("that the key signs only what its TPM made: no signed name ties the key's attributes to it")
    if raw.event_log is None:
        not_judged.append("which events led to the registers: no log came with the quote")
    return RawFinding(root, identity, tuple(not_judged))


def check_without_quote(checks: Recorder, qualifying: bytes | None) -> None:
    """Records ``QUOTE_NAMES`` where no quote came: nothing is made over ``qualifying``, if it is named."""
    for name in QUOTE_NAMES:
        if name == "quote-binding" and qualifying is not None:
            checks.record(name, False, qualifying.hex(), "no quote of the vTPM, which alone is made over it")
        else:
            checks.not_applicable(name, "no quote of the vTPM came with the report")


def check_pcrs(checks: Recorder, pcrs: Mapping[int, bytes], pinned: Mapping[int, bytes]) -> None:
    """Each register that the policy pins has that value. One that did not come with the quote fails."""
    for index, wanted in sorted(pinned.items()):
        found = pcrs[index].hex() if index in pcrs else "absent from the quote"
        checks.record(f"pcr-{index}", pcrs.get(index) == wanted, wanted.hex(), found)


def parse_signature(data: bytes) -> EcdsaSignature | RsaSignature:
    """A TPMT_SIGNATURE of a supported kind. Raises MalformedEvidence."""
    return RsaSignature.parse(data) if data[:2] == ALG_RSASSA.to_bytes(2) else EcdsaSignature.parse(data)


def check_untied_pcrs(checks: Recorder, pcrs: Mapping[int, bytes], pinned: Mapping[int, bytes]) -> None:
    """No register shows anything of a machine whose processor nothing ties to the TPM: each that is pinned fails."""
    for index, wanted in sorted(pinned.items()):
        found = pcrs[index].hex() if index in pcrs else "no value"
        expected = f"{wanted.hex()}, in a TPM that the hardware names"
        checks.fail(f"pcr-{index}", expected, f"{found}, in a TPM that nothing ties to the processor", UNTIED)


def check_log(checks: Recorder, log: bytes | None, pcrs: Mapping[int, bytes]) -> None:
    """Records ``boot-event-log``: the log gives the quoted values of the firmware's registers. Raises
    MalformedEvidence.
    """
    if log is None:
        checks.not_applicable("boot-event-log", "no boot event log came with the quote")
        return
    quoted = [index for index in vtpm.REPLAYED if index in pcrs]
    values = EventLog.parse(log, filled=True).replay(quoted)
    if not quoted:  # every log leads to none of them
        checks.not_applicable("boot-event-log", "the quote is over no register of the firmware, so it shows no log")
        return
    wrong = [f"PCR {i}: {values[i].hex()} instead of {pcrs[i].hex()}" for i in quoted if values[i] != pcrs[i]]
    named = ", ".join(map(str, quoted))
    checks.record("boot-event-log", not wrong, f"the quoted values of PCR {named}", "; ".join(wrong) or "all of them")


def registers(pcrs: Mapping[int, bytes]) -> dict[str, str]:
    """The values of registers by name."""
    return {f"pcr{index}": value.hex() for index, value in sorted(pcrs.items())}


def fingerprint(key: PublicKey) -> bytes:
    """SHA-256 of the key's SubjectPublicKeyInfo, 32 bytes."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def _leaf(raw: RawTpm, signature: EcdsaSignature | RsaSignature) -> tuple[Certificate | None, list[Certificate]]:
    """The certificate whose key signed the quote, or else the first that is not an authority's; and the others."""
    parsed = list(_parsed(raw.certificates[:_MAX_CERTIFICATES]))
    candidates = [one for one in parsed if not one.is_ca]
    signer = next((one for one in candidates if vtpm.is_signed(raw.quote.attest, signature, one.parsed.public_key())),
                  next(iter(candidates), None))  # fmt: skip
    return signer, [one for one in parsed if one is not signer]


def _parsed(certificates: Sequence[bytes]) -> Iterator[Certificate]:
    """Those that can be parsed: a certificate only ever helps. AMD's are of no TPM."""
    for der in certificates:
        try:
            if not is_endorsement(der):
                yield Certificate.parse(der)
        except MalformedEvidence:
            continue


def _check_name(checks: Recorder, public: EccPublic | RsaPublic | None, attest: Attest) -> bool:
    """The signed name is that of the key's public area, so that its attributes count. Returns whether it is."""
    if public is None:
        checks.not_applicable("quote-signer", "the key's public area did not come", attest.qualified_signer.hex())
        checks.not_applicable("ak-attributes", "the key's public area did not come")
        return False
    if vtpm.qualified_name(public) != attest.qualified_signer:
        reason = "the key is not a primary key of the endorsement hierarchy, so its name cannot be computed again"
        checks.not_applicable("quote-signer", reason, attest.qualified_signer.hex())
        checks.not_applicable("ak-attributes", "no signed name ties them to the key", f"{public.attributes:#010x}")
        return False
    checks.equal("quote-signer", vtpm.qualified_name(public), attest.qualified_signer)
    return vtpm.check_key_attributes(checks, public.attributes)


def _check_certificate(
    appraisal: Appraisal, given: TpmKey | None, key: PublicKey, leaf: Certificate | None, others: list[Certificate]
) -> str:
    """Who vouches for the key: one of the vendors of cloud TPMs, or ``none``."""
    checks = appraisal.checks
    if leaf is None:
        named = given is not None and given.named
        if named:
            checks.not_applicable("ak-path", "you named the key, and no certificate came with it")
        else:
            wanted = "a certificate of the key, or a key that you name in a file of its own"
            checks.record("ak-path", False, wanted, "a key that came with the quote, which anyone can make")
        for name in _OF_CERTIFICATE[1:]:
            checks.not_applicable(name, "no certificate of the key came")
        return NO_ROOT
    issuers = (*others, *appraisal.collateral.certificates())
    anchors = [one for vendor in _ENDORSERS for one in appraisal.anchors(vendor)]
    path, anchor, why = _path(leaf, issuers, anchors)
    wanted = "a path to the root of a cloud's TPMs: " + (" or ".join(one.name for one in anchors) or "none is known")
    checks.record("ak-path", path is not None, wanted, why)
    if path is None:
        checks.not_applicable("ak-validity", "there is no path whose certificates could be checked")
    else:
        worst = next((one for one in path if not one.valid_at(appraisal.at)), leaf)
        period = f"valid from {canonical.to_time(worst.not_before)} to {canonical.to_time(worst.not_after)}"
        checks.record(
            "ak-validity", worst.valid_at(appraisal.at), f"valid at {canonical.to_time(appraisal.at)}", period
        )
    checks.record("ak-not-ca", not leaf.is_ca, "no certificate authority", "an authority" if leaf.is_ca else "none")
    uses = (*vtpm.key_usages(leaf), *leaf.usages)
    proper = leaf.usages == (TCG_AIK,) or uses == ("digital_signature",)
    checks.record("ak-usage", proper, f"{TCG_AIK} (attestation), or digital_signature alone", ", ".join(uses) or "none")
    checks.equal("ak-key", fingerprint(key), leaf.fingerprint())
    return anchor.verdict_root if anchor is not None else NO_ROOT


def _path(
    leaf: Certificate, issuers: Sequence[Certificate], anchors: Sequence[Anchor]
) -> tuple[tuple[Certificate, ...] | None, Anchor | None, str]:
    """The path to the first anchor that there is one to; or None and why not."""
    why = "no vendor of TPMs is trusted"
    pool = issuers_among(leaf, issuers)
    for anchor in anchors:
        path, reason = find_path(leaf, pool, anchor.spki_sha256)
        if path is not None:
            return tuple(path), anchor, f"found, to {anchor.name or anchor.spki_sha256.hex()}"
        why = reason or why
    return None, None, why
