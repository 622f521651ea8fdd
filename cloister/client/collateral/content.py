"""The kind of a piece of collateral, and when it expires: from its bytes, never from its file name."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloister.attestation.collateral_source import (
    CERTIFICATE,
    CRL,
    LAUNCH_ENDORSEMENT,
    QE_IDENTITY,
    STATEMENT,
    TCB_INFO,
    CollateralItem,
)
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.statements.statement import ImageStatement
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList
from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError

MAX_SIZE = 1024 * 1024
"""Bytes of one file or answer."""

_HEX = re.compile("(?:[0-9A-Fa-f]{2})*")
_HEX_FILE = re.compile(rb"30(?:[0-9A-Fa-f]{2})+\s*", re.ASCII)
PEM = b"-----BEGIN "
"""What every block of PEM begins with."""

_BLOCK = re.compile(
    rb"\s*-----BEGIN ([A-Z0-9 ]{1,32})-----[ \t]*\r?\n([A-Za-z0-9+/=\s]+)-----END \1-----[ \t]*(?:\r?\n|\Z)"
)
_REST = re.compile(rb"\s*\Z")
_LABELS = {b"CERTIFICATE": CERTIFICATE, b"X509 CRL": CRL}
_PUBLIC_KEY = b"PUBLIC KEY"
_NUMBERS = "tcbEvaluationDataNumbers"
_DSSE = "payloadType"
_SIGNED = {TCB_INFO: "tcbInfo", QE_IDENTITY: "enclaveIdentity"}
_CHAINS = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain", "pck_certificate_chain")
_CRLS = ("root_ca_crl", "pck_crl")
# Intel's libraries and others keep a whole set in one document (sgx_ql_qve_collateral_t), with the signed text and its
# signature as separate strings.
_SETS = {TCB_INFO: ("tcb_info", "tcb_info_signature"), QE_IDENTITY: ("qe_identity", "qe_identity_signature")}


@dataclass(frozen=True)
class DatedItem:
    """One item with the time until which it may be used (aware); None when it does not expire."""

    item: CollateralItem
    until: datetime | None


def read(data: bytes, what: str) -> tuple[CollateralItem, ...]:
    """The items in a file: PEM (several), DER, a revocation list in hex, a signed statement about images, Intel's JSON,
    or a set of it in one document.

    Nothing is in Intel's list of TCB evaluation numbers, which no check reads. ``what`` names the file in errors.
    Raises MalformedEvidence for anything else, also for endorsements, which cannot be recognised by their bytes.
    """
    if len(data) > MAX_SIZE:
        raise MalformedEvidence(what, 0, f"has {len(data)} bytes, at most {MAX_SIZE} are allowed")
    if data.lstrip()[:1] == b"{":
        return _from_json(data, what)
    if PEM in data and b"\0" not in data:  # a quote has its certificates as PEM, too
        return tuple(_from_pem(data, what))
    if _HEX_FILE.fullmatch(data):  # as Intel's caching service gives revocation lists
        item = CollateralItem(CRL, bytes.fromhex(data.decode("ascii")))
        dated(item, what)
        return (item,)
    for kind in (CERTIFICATE, CRL):
        item = CollateralItem(kind, data)
        try:
            dated(item, what)
        except MalformedEvidence:
            continue
        return (item,)
    raise MalformedEvidence(what, 0, "is not a certificate, revocation list, TCB info, identity or statement")


def is_collateral(value: Any) -> bool:
    """Whether a JSON value is Intel's collateral: one document, a set of it, or the list of evaluation numbers."""
    names = (*_SIGNED.values(), *(text for text, _ in _SETS.values()), _NUMBERS)
    return isinstance(value, dict) and any(name in value for name in names)


def public_key(data: bytes) -> bytes | None:
    """The SubjectPublicKeyInfo (DER) in PEM of exactly one public key; None for any other file."""
    block = _BLOCK.fullmatch(data.rstrip() + b"\n")
    return _body(block[2], "public key") if block is not None and block[1] == _PUBLIC_KEY else None


def dated(item: CollateralItem, what: str) -> DatedItem:
    """``item`` with its expiry time. Raises MalformedEvidence when its content is not of its kind."""
    if item.kind == CERTIFICATE:
        # AMD's chip certificates have the serial number 0, which the X.509 library is going to refuse.
        kind = EndorsementCertificate if is_endorsement(item.content) else Certificate
        return DatedItem(item, kind.parse(item.content, what).not_after)
    if item.kind == CRL:
        return DatedItem(item, RevocationList.parse(item.content, what).next_update)
    if item.kind in _SIGNED:
        return DatedItem(item, _next_update(item, what))
    if item.kind == STATEMENT:
        return DatedItem(item, ImageStatement.parse(item.content, what).until)
    if item.kind == LAUNCH_ENDORSEMENT:
        return DatedItem(item, None)
    raise MalformedEvidence(what, 0, f"is of the unknown kind {item.kind}")


def certificates(pem: bytes, what: str) -> tuple[CollateralItem, ...]:
    """The certificates of a PEM chain, at least one and nothing else. Raises MalformedEvidence."""
    found = tuple(_from_pem(pem, what))
    if not found or any(item.kind != CERTIFICATE for item in found):
        raise MalformedEvidence(what, 0, "is not a chain of certificates")
    return found


def endorsement(data: bytes) -> CollateralItem:
    """The item for bytes that are known to be an endorsement."""
    return CollateralItem(LAUNCH_ENDORSEMENT, data)


def _from_pem(data: bytes, what: str) -> Iterator[CollateralItem]:
    """Blocks, with nothing but white space between them."""
    place = 0
    while not _REST.match(data, place):
        block = _BLOCK.match(data, place)
        if block is None:
            raise MalformedEvidence(what, place, "is PEM that is truncated, or has other text around its blocks")
        if block[1] not in _LABELS:
            raise MalformedEvidence(what, place, f"is PEM of the unsupported type {block[1].decode()}")
        item = CollateralItem(_LABELS[block[1]], _body(block[2], what))
        dated(item, what)
        yield item
        place = block.end()


def _body(text: bytes, what: str) -> bytes:
    """The bytes between the lines of one PEM block."""
    joined = b"".join(text.split())
    try:
        data = base64.b64decode(joined, validate=True)
    except binascii.Error as error:
        raise MalformedEvidence(what, 0, "is malformed PEM") from error
    if base64.b64encode(data) != joined:
        raise MalformedEvidence(what, 0, "is PEM with unused bits that are not zero")
    return data


def _from_json(data: bytes, what: str) -> tuple[CollateralItem, ...]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedEvidence(what, 0, "is malformed JSON") from error
    for kind, member in {STATEMENT: _DSSE, **_SIGNED}.items():
        if member in value:
            item = CollateralItem(kind, data)
            dated(item, what)
            return (item,)
    if any(text in value for text, _ in _SETS.values()):
        return tuple(_from_set(value, what))
    if isinstance(value.get(_NUMBERS), dict) and "signature" in value:
        return ()  # which evaluations there are: no check reads it
    raise MalformedEvidence(what, 0, "is JSON, but not collateral")


def _from_set(value: dict[str, Any], what: str) -> Iterator[CollateralItem]:
    for name in _CHAINS:
        if value.get(name):
            yield from certificates(_text(value, name, what).encode(), f"{what}: {name}")
    for name in _CRLS:
        if value.get(name):
            yield from _list(_text(value, name, what), f"{what}: {name}")
    for kind, (body, signature) in _SETS.items():
        if value.get(body):
            text, signed = _text(value, body, what), _hex(value, signature, what).hex()
            item = CollateralItem(kind, f'{{"{_SIGNED[kind]}":{text},"signature":"{signed}"}}'.encode())
            dated(item, f"{what}: {body}")
            yield item


def _list(text: str, what: str) -> tuple[CollateralItem, ...]:
    """A revocation list in a set: hex, or PEM."""
    items = read(text.encode(), what)
    if [item.kind for item in items] != [CRL]:
        raise MalformedEvidence(what, 0, "is not a revocation list in hex or PEM")
    return items


def _text(value: dict[str, Any], name: str, what: str) -> str:
    text = value.get(name)
    if not isinstance(text, str) or not text.isascii():
        raise MalformedEvidence(f"{what}: {name}", 0, "is not ASCII text")
    return text


def _hex(value: dict[str, Any], name: str, what: str) -> bytes:
    text = _text(value, name, what)
    if not _HEX.fullmatch(text):
        raise MalformedEvidence(f"{what}: {name}", 0, "is not hexadecimal")
    return bytes.fromhex(text)


def _next_update(item: CollateralItem, what: str) -> datetime:
    """The nextUpdate of a document that Intel signed."""
    try:
        value = json.loads(item.content)
        text = value[_SIGNED[item.kind]]["nextUpdate"]
        return canonical.from_time(text, what=f"{what}: nextUpdate")
    except (ValueError, RecursionError, KeyError, TypeError, FormatError) as error:
        raise MalformedEvidence(what, 0, f"is not a signed document of the kind {item.kind}") from error
