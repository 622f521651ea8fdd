"""Reads a policy's document, JSON or YAML, and says which kind of policy it is.

A policy for sessions has no member ``kind``. A policy for raw evidence has ``"kind": "evidence"``; it accepts no
machine, and is of another type, so that neither can take the place of the other.
"""

from enum import StrEnum
from typing import Any

from cloister.attestation.errors import PolicyError
from cloister.protocol import canonical, text

WHAT = "The policy"
MAX_SIZE = 1024 * 1024

FROM_EVIDENCE = "`policy --from-evidence FILE` writes one from the evidence itself."
"""What to do without a policy for raw evidence."""

_SHOWN = 40


class PolicyKind(StrEnum):
    """What a policy is for."""

    SESSION = "session"
    EVIDENCE = "evidence"


def read(data: bytes) -> tuple[PolicyKind, Any]:
    """The kind and the value of a document of at most 1 MiB. The value has not passed a schema.

    Raises FormatError, and PolicyError for a kind that does not exist.
    """
    if data.lstrip()[:1] == b"{":
        value = canonical.parse(data, what=WHAT, limit=MAX_SIZE)
    else:
        from cloister.protocol.document import Document  # imports PyYAML, which nothing else in the verifier needs

        value = Document.parse(WHAT, data).value
    if not isinstance(value, dict) or "kind" not in value:
        return PolicyKind.SESSION, value
    kind = value["kind"]
    if kind != PolicyKind.EVIDENCE.value:
        kind = text.printable(str(kind)[:_SHOWN])
        raise PolicyError(
            f"{WHAT} has the kind {kind!r}, which does not exist.",
            hint="Omit kind in a policy for sessions; in one for raw evidence it is evidence.",
        )
    return PolicyKind.EVIDENCE, value


def read_kind(data: bytes, wanted: PolicyKind) -> Any:
    """The value of a document of the kind ``wanted``. Raises FormatError, and PolicyError for the other kind."""
    kind, value = read(data)
    if kind is not wanted:
        raise not_for_evidence() if wanted is PolicyKind.EVIDENCE else not_for_sessions()
    return value


def not_for_sessions() -> PolicyError:
    """The error for a policy for raw evidence in place of one that judges a machine."""
    return PolicyError(
        f"{WHAT} is for raw evidence (kind: evidence): it names no image and no boot configuration, and accepts no "
        "machine.",
        hint="Pass your policy for sessions; `policy --image MANIFEST --workspace FILE` starts one.",
    )


def not_for_evidence() -> PolicyError:
    """The error for a policy for sessions in place of one that judges raw evidence."""
    return PolicyError(
        f"{WHAT} is for sessions: it names images and boot configurations, which raw evidence does not show.",
        hint=f"Raw evidence is judged under a policy of its own (kind: evidence); {FROM_EVIDENCE}",
    )
