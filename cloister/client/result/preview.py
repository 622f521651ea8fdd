"""Whether the result that waits for an approver's decision is the one that it has read."""

from pathlib import Path

from cloister.attestation.policy.policy import Policy
from cloister.client.collateral.sources import CollateralSources
from cloister.client.computation.decisions import ResultPreview
from cloister.client.result.proof import verify_result
from cloister.errors import ProofError
from cloister.protocol.receipt import payload_digest


def require_read(
    preview: ResultPreview, result: Path, policy: Policy, *, collateral: CollateralSources | None = None
) -> None:
    """Require that a result that an approver has read is proven, and is the one that waits.

    A machine that was reset in between may have computed another result of the same manifest.

    Args:
        preview: what :func:`~cloister.client.preview_result` returned.
        result: the file as `result` wrote it, before the decision.
        policy: the party's policy.
        collateral: for what the evidence does not carry; None for none.

    Raises:
        InputError: the file cannot be read.
        ProofError: it is not proven, or another result waits.
    """
    found = verify_result(result, policy, collateral=collateral, preview=True)
    found.require_accepted()
    read = b"" if found.documents is None else payload_digest(found.documents.receipt.payload())
    if read != preview.receipt:
        raise ProofError(
            f"{result} is not the result that waits (its receipt: {read.hex()}, the one that waits: "
            f"{preview.receipt.hex()}).",
            hint="Fetch the result that waits with `result` and read it before you decide.",
        )
