"""What comes with a report or quote: bytes after it, and a preimage of its report data."""

import hashlib
from collections.abc import Mapping

from cloister.attestation.result.checkinfo import CheckInfo
from cloister.attestation.result.verdict import Recorder

UNSIGNED, PREIMAGE = "unsigned-bytes", "preimage"

ATTACHMENT_CHECKS: Mapping[str, CheckInfo] = {
    UNSIGNED: CheckInfo("The bytes after the report or quote"),
    PREIMAGE: CheckInfo("The preimage of the report data"),
}
"""The checks of what comes with a report or quote, beside those of other verdicts. They never fail: what is not judged
cannot help a machine.
"""

_HASHES = ("sha256", "sha384", "sha512")
_REPORT_DATA = 64
_SHOWN = 64


def check_unsigned(checks: Recorder, count: int) -> None:
    """How many bytes came after what was judged: no one signed them, and they are not judged."""
    if count:
        checks.not_applicable(UNSIGNED, f"no one signed the {count} bytes that follow", f"{count} bytes")
    else:
        checks.record(UNSIGNED, True, "none", "none")


def check_preimage(checks: Recorder, preimage: bytes, report_data: bytes) -> dict[str, str]:
    """Whether the report data is a hash of ``preimage``; only then does it count. Returns the claim that it makes."""
    for name in _HASHES:
        if hashlib.new(name, preimage).digest().ljust(_REPORT_DATA, b"\0") == report_data:
            algorithm = f"SHA-{name[3:]}"
            checks.record(PREIMAGE, True, "the report data, hashed", f"{algorithm} of it, {len(preimage)} bytes")
            return {"report_data_of": f"{algorithm} of {preimage[:_SHOWN].hex()}{'...' * (len(preimage) > _SHOWN)}"}
    hashes = " or ".join(f"SHA-{name[3:]}" for name in _HASHES)
    checks.not_applicable(PREIMAGE, f"the report data is not its {hashes}, so it says nothing")
    return {}
