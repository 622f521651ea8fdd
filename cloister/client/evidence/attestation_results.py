"""Recognises attestation results: what a verifier concluded. They are never evidence, signed or not."""

import base64
import binascii
import json
import re
from typing import Any

_TOKEN = re.compile(rb"\s*(eyJ[A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*\s*\Z")
_BEARER = b"Bearer "
_PROFILES = ("rats/ear", "/ear", "trustee")
# COSE_Sign1, bare or as a CWT (RFC 9052, section 4.2; RFC 8392, section 6), with a profile of EAR in its payload.
_COSE = (b"\xd2\x84", b"\xd8\x3d\xd2\x84")
_COSE_PROFILES = (b":rats/ear#", b":veraison/ear")
_CLAIMS = ("ear_status", "ear.status", "ear_verifier_id", "ear.verifier-id", "ear_trustworthiness_vector")
_VERDICT = ("checks", "policy", "platform")


def kind_of_result(data: bytes) -> str | None:
    """What kind of attestation result a file is, for the middle of a sentence; None if it does not look like one."""
    text = data.strip().removeprefix(_BEARER)
    if (token := _TOKEN.match(text)) is not None:
        claims = _parsed(_decoded(token[2]))
        if _parsed(_decoded(token[1])) is None or claims is None:
            return None
        return "an EAT Attestation Result (EAR)" if _is_ear(claims) else "a signed token (JWT)"
    if data.startswith(_COSE) and any(profile in data for profile in _COSE_PROFILES):
        return "an EAT Attestation Result (EAR) as a CWT"
    if not text.startswith(b"{"):
        return None
    value = _parsed(text)
    if value is None:
        return None
    if _is_ear(value):
        return "the claims of an EAT Attestation Result (EAR)"
    if all(name in value for name in _VERDICT) and isinstance(value["checks"], list):
        return "a verdict of Cloister's"
    return None


def _is_ear(claims: dict[str, Any]) -> bool:
    profile = str(claims.get("eat_profile", "")).lower()
    return any(name in profile for name in _PROFILES) or any(name in claims for name in _CLAIMS)


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b""


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
