"""The receipt: an in-toto statement about the origin of a result, in a DSSE envelope signed by the event-log key.

Source: in-toto Attestation Framework, Statement v1. The envelope is ``dsse.py``.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.errors import ChangedFileError
from cloister.protocol import canonical, dsse, schema, signingkey, text

MAX_SIZE = 8 * 1024 * 1024
PREDICATE_TYPE = "urn:cloister:receipt:v1"


@dataclass(frozen=True)
class Consent:
    """A provider's consent as given: ``transcript`` and ``signature`` as bytes, the rest as in the manifest."""

    asset: str
    digest: str
    party: str
    transcript: bytes
    signature: bytes


@dataclass(frozen=True)
class Receipt:
    """What the agent states about a result. All digests are SHA-256 in hex."""

    files: Mapping[str, str]
    """Path in the result to digest."""
    manifest: str
    """Digest of the manifest."""
    assets: Mapping[str, str]
    """Name of the asset to digest."""
    consents: tuple[Consent, ...]
    boot_configuration: str
    """Digest of the boot configuration."""
    platform: str
    """As in evidence: ``local``, ``azure-snp``, ..."""
    confidential: bool
    """The agent's claim that hardware protects the memory and the image is not a debug image."""
    pcrs: Mapping[int, str]
    """Index to value (hex) in the sha256 bank."""
    log_head: str
    """Digest of the last event before the receipt."""
    salt: str
    """32 random bytes, hex: the digest of the receipt is in the event log, and must not tell the files."""
    created: str
    """RFC 3339 in UTC, as the host reports it."""

    def payload(self) -> bytes:
        """The in-toto statement, canonical JSON."""
        return canonical.encode(
            {
                "_type": dsse.STATEMENT_TYPE,
                "subject": [
                    {"name": name, "digest": {"sha256": digest}} for name, digest in sorted(self.files.items())
                ],
                "predicateType": PREDICATE_TYPE,
                "predicate": {
                    "version": 1,
                    "created": self.created,
                    "salt": self.salt,
                    "manifest": self.manifest,
                    "assets": dict(self.assets),
                    "consents": [
                        {
                            "asset": one.asset,
                            "digest": one.digest,
                            "party": one.party,
                            "transcript": canonical.to_base64(one.transcript),
                            "signature": canonical.to_base64(one.signature),
                        }
                        for one in self.consents
                    ],
                    "boot_configuration": self.boot_configuration,
                    "platform": self.platform,
                    "confidential": self.confidential,
                    "measurements": {"pcrs": {str(index): value for index, value in self.pcrs.items()}},
                    "log_head": self.log_head,
                },
            }
        )

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a statement in canonical JSON. Raises FormatError."""
        what = "The receipt"
        value = canonical.parse_canonical(payload, what=what, limit=MAX_SIZE)
        schema.validate("receipt", value, what=what)
        files = {subject["name"]: subject["digest"]["sha256"] for subject in value["subject"]}
        if len(files) != len(value["subject"]):
            raise canonical.FormatError(f"{what} names a file twice.")
        made = value["predicate"]
        canonical.from_time(made["created"], what=f"{what}: created")
        consented = [one["asset"] for one in made["consents"]]
        if len(set(consented)) != len(consented):
            raise canonical.FormatError(f"{what} has two consents to one asset.")
        return cls(
            files=files,
            manifest=made["manifest"],
            assets=dict(made["assets"]),
            consents=tuple(
                Consent(
                    asset=one["asset"],
                    digest=one["digest"],
                    party=one["party"],
                    transcript=canonical.from_base64(one["transcript"], what=f"{what}: a transcript"),
                    signature=canonical.from_base64(one["signature"], what=f"{what}: a consent"),
                )
                for one in made["consents"]
            ),
            boot_configuration=made["boot_configuration"],
            platform=made["platform"],
            confidential=made["confidential"],
            pcrs={int(index): digest for index, digest in made["measurements"]["pcrs"].items()},
            log_head=made["log_head"],
            salt=made["salt"],
            created=made["created"],
        )


def payload_digest(payload: bytes) -> bytes:
    """SHA-256 of the statement: what the receipt's evidence is taken over, 32 bytes."""
    return hashlib.sha256(payload).digest()


def sign(payload: bytes, key: ed25519.Ed25519PrivateKey) -> bytes:
    """The DSSE envelope (JSON) of a statement."""
    return dsse.sign(payload, key)


def open_envelope(envelope: bytes, event_log_key: bytes) -> bytes:
    """The statement in a DSSE envelope that the event-log key (SPKI) signed.

    Raises FormatError for a malformed envelope or one that is not as :func:`sign` writes it, ProofError when the key
    is not an Ed25519 key or did not sign it.
    """
    what = "The receipt's envelope"
    canonical.parse_canonical(envelope, what=what, limit=2 * MAX_SIZE)
    opened = dsse.Envelope.parse(envelope, what=what, limit=MAX_SIZE)
    try:
        key = signingkey.load_event_log_key(event_log_key)
    except canonical.FormatError as error:
        raise ChangedFileError(f"The evidence has no usable event-log key. {error.message}") from error
    if len(opened.signatures) != 1:
        raise canonical.FormatError(f"{what} has {len(opened.signatures)} signatures; a receipt has one.")
    found, expected = opened.signatures[0].key_id, signingkey.key_id(event_log_key)
    if found != expected:
        raise ChangedFileError(
            f"The receipt is signed by the key {text.printable(found)}; the evidence names {expected}."
        )
    message = dsse.pre_authentication(opened.payload)
    if not signingkey.verify_with(key, opened.signatures[0].value, message):
        raise ChangedFileError("The receipt is not signed by the event-log key in the evidence.")
    return opened.payload
