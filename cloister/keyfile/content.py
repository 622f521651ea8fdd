"""The content of a key's file, from its bytes."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from cloister.keyfile import der, openssh, refusal
from cloister.keyfile.refusal import KeySource

MAX_SIZE = 64 * 1024

PRIVATE = {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", openssh.LABEL}
PUBLIC = {"PUBLIC KEY", "RSA PUBLIC KEY", openssh.LINE}
CERTIFICATES = {"CERTIFICATE", openssh.CERTIFICATE_LINE}
_BESIDE = {"EC PARAMETERS", "DH PARAMETERS", "DSA PARAMETERS"}
"""Lines that may surround a key and are ignored."""

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}\Z")
_FINGERPRINT = re.compile(rb"([0-9a-f]{64}|([0-9a-f]{2}:){15,31}[0-9a-f]{2})\Z", re.IGNORECASE)
_JWK = re.compile(rb'\s*\{.{0,4096}?"(kty|keys)"\s*:', re.DOTALL)
_INLINE = re.compile(
    r"----|ssh-|ecdsa-sha2-|sk-(?:ssh|ecdsa)-|PuTTY-User-Key-File|SHA256:|\{|M[A-Za-z0-9+/_-]{55,}=*\s*\Z"
)
_KEY_WORD = re.compile(r"(?:ssh-|ecdsa-sha2-|sk-(?:ssh|ecdsa)-)[\w@.-]*\Z")


@dataclass(frozen=True)
class Content:
    """One key as its file holds it.

    ``form`` is the PEM label of its structure, or one of the forms of OpenSSH. ``data`` is DER, OpenSSH's binary form,
    or a line. ``text`` is the PEM when OpenSSL encrypted it in its own way, with headers; else empty.
    """

    form: str
    data: bytes
    text: bytes = b""


def is_inline(text: str) -> bool:
    """Return whether a text is a key, or was meant as one, and not the path of a file."""
    text = text.strip()
    word, _, rest = text.partition(" ")
    return bool(_INLINE.match(text)) and not (_KEY_WORD.match(word) and not rest)


def read(data: bytes, source: KeySource) -> list[Content]:
    """The keys and certificates in ``data``; at least one. Raises InputError that names the kind of anything else."""
    data = _text(data)
    plain = data.strip()
    if not plain:
        raise source.empty()
    for prefix, refused in refusal.PREFIXES.items():
        if plain.startswith(prefix):
            raise refused(source)
    if b"-----BEGIN" in data:
        return _pem(data, source)
    if openssh.mentions_key(plain):
        return _lines(plain, source)
    if form := der.form_of(data):
        return [_usable(Content(form, data), source)]
    joined = b"".join(plain.split())
    if _FINGERPRINT.match(joined):
        raise source.a_fingerprint()
    if _BASE64.match(joined) and (decoded := _decoded(joined)) is not None:
        if decoded.startswith(openssh.MAGIC):
            return [Content(openssh.LABEL, decoded)]
        if form := der.form_of(decoded):
            return [_usable(Content(form, decoded), source)]
    if _JWK.match(plain):
        raise source.jwk()
    raise source.pgp() if _is_pgp(data) else source.unknown()


def select(found: list[Content], forms: set[str], source: KeySource) -> Content | None:
    """The one content of the given forms; None when there is no such. Raises InputError for several."""
    chosen = [one for one in found if one.form in forms]
    if len(chosen) > 1:
        certificates = all(one.form in CERTIFICATES for one in chosen)
        raise source.several_certificates(len(chosen)) if certificates else source.several(len(chosen))
    return chosen[0] if chosen else None


def _text(data: bytes) -> bytes:
    """UTF-8 without a byte order mark, of text as PowerShell writes it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data.removeprefix(b"\xef\xbb\xbf")


def _usable(found: Content, source: KeySource) -> Content:
    if found.form in PRIVATE | PUBLIC | CERTIFICATES:
        return found
    if (refused := refusal.LABELS.get(found.form)) is not None:
        raise refused(source)
    raise source.unsupported_label(found.form)


def _pem(data: bytes, source: KeySource) -> list[Content]:
    blocks = list(_blocks(data, source))
    if any(label not in _BESIDE for label, _ in blocks):
        blocks = [(label, body) for label, body in blocks if label not in _BESIDE]
    return [_block(label, body, source) for label, body in blocks]


def _blocks(data: bytes, source: KeySource) -> Iterator[tuple[str, bytes]]:
    """Label and body of each block; at least one."""
    position = 0
    while (begin := _BEGIN.search(data, position)) is not None:
        end = data.find(b"-----END %s-----" % begin[1], begin.end())
        other = data.find(b"-----BEGIN", begin.end())
        if end < 0 or -1 < other < end:
            raise source.incomplete()
        yield begin[1].decode(), data[begin.end() : end]
        position = end
    if not position:
        raise source.incomplete()


def _block(label: str, body: bytes, source: KeySource) -> Content:
    label = label.removeprefix("X509 ") if label == "X509 CERTIFICATE" else label
    if label not in PRIVATE | PUBLIC | CERTIFICATES:
        _usable(Content(label, b""), source)
    if b"Proc-Type:" in body and b"ENCRYPTED" in body:
        begin, end = b"-----BEGIN %s-----" % label.encode(), b"-----END %s-----\n" % label.encode()
        return Content(label, b"", begin + body.replace(b"\r\n", b"\n") + end)
    decoded = _decoded(b"".join(body.split()))
    if decoded is None:
        raise source.damaged()
    form = openssh.LABEL if decoded.startswith(openssh.MAGIC) else der.form_of(decoded)
    if not form:
        raise source.damaged()
    found = _usable(Content(form, decoded), source)
    if form != label:
        raise source.mislabelled(label, form)
    return found


def _lines(plain: bytes, source: KeySource) -> list[Content]:
    """OpenSSH's public keys: one to a line, and comments."""
    lines = [line.strip() for line in plain.decode("utf-8", "replace").splitlines()]
    return [_line(line, source) for line in lines if line and not line.startswith("#")]


def _line(line: str, source: KeySource) -> Content:
    if not openssh.starts_with_key(line):
        raise source.line_options()
    try:
        kind, blob = openssh.split_line(line)
        key = openssh.key_line(kind, blob)
    except ValueError as error:
        raise source.damaged_line() from error
    if kind.startswith("sk-"):
        raise source.security_key()
    if openssh.is_dsa(kind):
        raise source.dsa()
    return Content(openssh.CERTIFICATE_LINE if openssh.is_certificate(kind) else openssh.LINE, key)


def _decoded(text: bytes) -> bytes | None:
    """The bytes of base64 in either alphabet, with or without padding; None for other text."""
    standard = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        return None


def _is_pgp(data: bytes) -> bool:
    """Whether the first packet is a secret or public key of version 3 to 6 (RFC 9580, section 4.2)."""
    is_key = data[:1] in (b"\x95", b"\x99", b"\x94", b"\x98", b"\xc5", b"\xc6")
    return is_key and any(version in range(3, 7) for version in data[2:4])
