"""The approvals of a result: whether every party that its manifest names has given one, and where they are kept."""

from collections.abc import Iterable

from cloister.errors import ChangedFileError
from cloister.protocol import canonical
from cloister.protocol.approval import Approval
from cloister.protocol.events import EventKind, Record
from cloister.protocol.manifest import Manifest


def require_approvals(given: Iterable[Approval], manifest: Manifest, payload_digest: bytes) -> str:
    """The parties that approved the result with this receipt. Raises ProofError unless they are those of the manifest.

    Args:
        given: the approvals, of which none is trusted.
        manifest: the proven manifest.
        payload_digest: SHA-256 of the receipt's payload.
    """
    left = {one.party: one for one in given}
    for party in manifest.results.approvers:
        one = left.pop(party, None)
        if one is None:
            raise ChangedFileError(
                f"The approval of {party} is missing. If the result was fetched before, the event log has it: "
                "--approvals LOG."
            )
        if not one.is_signed(manifest.parties[party], manifest_digest=manifest.digest(), payload_digest=payload_digest):
            raise ChangedFileError(f"The approval of {party} is not signed by {party} for this result.")
    if left:
        raise ChangedFileError(f"The manifest does not demand the approval of {', '.join(sorted(left))}.")
    return ", ".join(manifest.results.approvers)


def approvals_in(records: Iterable[Record]) -> tuple[Approval, ...]:
    """The approvals in an event log: each proves itself, whatever the log is worth. Raises FormatError."""
    return tuple(
        Approval(
            record.event.detail.get("party", ""),
            canonical.from_base64(record.event.detail.get("transcript", ""), what="A transcript in the log"),
            canonical.from_base64(record.event.detail.get("approval", ""), what="An approval in the log"),
        )
        for record in records
        if record.event.kind is EventKind.APPROVED
    )
