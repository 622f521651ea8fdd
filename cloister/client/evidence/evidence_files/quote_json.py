"""JSON around one quote: dstack's GetQuote, Intel Trust Authority's requests, and attestation envelopes like them.

Sources: Dstack-TEE/dstack, sdk (GetQuoteResponse, TdxQuoteResponse) and verifier/fixtures;
intel/trustauthority-client-for-go, go-connector/token.go, go-tdx/tdx_adapter.go, go-aztdx/aztdx_adapter.go,
go-tpm/adapter.go.
"""

from cloister.attestation.tpm.structures import Attest
from cloister.client.evidence.evidence_files import binary, tpm_tools
from cloister.client.evidence.evidence_files.members import WrapperMembers
from cloister.client.evidence.evidence_files.parts import Parts

_DSTACK = ("quote", "event_log", "report_data", "vm_config", "hash_algorithm", "prefix", "attestation", "debug")
_AUTHORITY = (
    "quote", "verifier_nonce", "runtime_data", "user_data", "event_log", "policy_ids", "token_signing_alg",
    "policy_must_match",
)  # fmt: skip
_NONCE = ("val", "iat", "signature")
_AUTHORITY_TPM = (
    "quote", "signature", "pcrs", "user_data", "ima_logs", "uefi_event_logs", "verifier_nonce", "ak_certificate_der",
)  # fmt: skip


def add_dstack(parts: Parts, found: WrapperMembers) -> None:
    """The quote alone: dstack's event log has no events of the firmware, only their digests as it states them."""
    found.only(*_DSTACK)
    if found.value.get("attestation"):
        raise found.source.refuse(
            "it also has a versioned attestation, a second piece of evidence",
            "Remove one of the two members; only `quote` is supported.",
        )
    binary.add_quote(parts, found.binary("quote"), found.source)
    log = found.value.get("event_log")
    if log and not (isinstance(log, str) and log.lstrip().startswith("[")):
        binary.add_log(parts, found.binary("event_log"), found.source)


def add_authority(parts: Parts, found: WrapperMembers) -> None:
    """The quote, the log, and what its report data is the hash of: nonce, then runtime data or user data.

    At Azure, ``runtime_data`` are the paravisor's claims, and their SHA-256 is the report data.
    """
    found.only(*_AUTHORITY)
    binary.add_quote(parts, found.binary("quote"), found.source)
    nonce = b""
    if "verifier_nonce" in found:
        values = found.object("verifier_nonce")
        values.only(*_NONCE)
        nonce = values.binary("val") + values.binary("iat")
    held = found.optional("runtime_data") or b""
    is_claims = held.lstrip()[:1] == b"{" and b"HCLAkPub" in held
    preimage = held if is_claims else nonce + (held or found.optional("user_data") or b"")
    if preimage:
        parts.put("preimage", preimage, found.source)
    if log := found.optional("event_log"):
        binary.add_log(parts, log, found.source)


def add_authority_tpm(parts: Parts, found: WrapperMembers) -> None:
    """A TPM's quote as Intel Trust Authority takes it: the values of the quoted PCRs one after another."""
    found.only(*_AUTHORITY_TPM)
    attest = tpm_tools.attest(found.binary("quote"))
    signature, values = found.binary("signature"), found.binary("pcrs")
    quote = Attest.parse(attest).quote
    registers = tpm_tools.values(values, quote) if quote is not None else None
    if registers is None:
        raise found.source.refuse(
            "its PCRs are not those that the quote selects", "Get the file again from the tool that wrote it."
        )
    bare = tpm_tools.is_plain_signature(signature)
    parts.put("tpm_attest", attest, found.source)
    parts.put("tpm_signature", tpm_tools.plain_signature(signature) if bare else signature, found.source)
    parts.put("tpm_registers", registers, found.source)
    if certificate := found.optional("ak_certificate_der"):
        parts.certificates([certificate])
    if log := found.optional("uefi_event_logs"):
        binary.add_log(parts, log, found.source)


def add_composite(parts: Parts, found: WrapperMembers) -> None:
    """What Intel Trust Authority takes of one machine: a TDX quote, and a quote of its TPM."""
    found.only("tdx", "tpm", "policy_ids", "policy_must_match", "token_signing_alg")
    if "tdx" in found:
        add_authority(parts, found.object("tdx"))
    if "tpm" in found:
        add_authority_tpm(parts, found.object("tpm"))
