"""What can go wrong with evidence before it can be judged."""

from cloister.errors import CloisterError, InputError, ProofError


class AttestationError(ProofError):
    """Evidence that cannot be judged at all."""

    remedy = "Ask the machine for its evidence again; if it sends the same, do not use that machine."


class MalformedEvidence(AttestationError):
    """Bytes that are not what they claim to be.

    ``field`` names the structure and the member, ``offset`` is the position in bytes inside the structure; ``place`` is
    both with the reason, for the end of a sentence.
    """

    def __init__(self, field: str, offset: int, reason: str) -> None:
        reason = reason.removesuffix(".")  # a sentence of another error, perhaps
        self.place = f"{field} at byte {offset}: {reason}"
        super().__init__(
            f"The evidence is malformed: {self.place}.",
            hint="Ask the machine for its evidence again; if it sends the same, do not use that machine.",
        )
        self.field = field
        self.offset = offset
        self.reason = reason


class PolicyError(InputError):
    """The party's own policy, or what it is made from, cannot be used."""

    remedy = "Correct the policy: docs/attestation.md describes its sections."


class CollateralError(InputError):
    """What the caller brings to judge evidence with cannot be used."""

    remedy = "Pass other collateral with --collateral, or fetch it again with --fetch."


class TpmError(CloisterError):
    """A TPM answered a command with something else than success. ``code`` is its TPM_RC."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(
            f"The TPM refused {command} with code {code:#x}.",
            hint="The code is a TPM_RC: Trusted Platform Module Library, part 2, section 6.6.",
        )
        self.command = command
        self.code = code
