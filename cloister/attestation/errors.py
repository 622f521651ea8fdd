"""Errors that prevent a verdict: evidence, policy or collateral that cannot be used."""

from cloister.errors import CloisterError, InputError, ProofError


class AttestationError(ProofError):
    """Evidence that cannot be appraised at all."""

    remedy = "Ask the machine for its evidence again; if it sends the same, do not use that machine."


class MalformedEvidence(AttestationError):
    """Bytes that do not have the format that they should have.

    ``field`` names structure and member, ``offset`` is the position in bytes inside the structure, ``reason`` says what
    is wrong; ``place`` has all three, for the end of a sentence.
    """

    def __init__(self, field: str, offset: int, reason: str) -> None:
        reason = reason.removesuffix(".")  # it may be another error's message
        self.place = f"{field} at byte {offset}: {reason}"
        super().__init__(
            f"The evidence is malformed: {self.place}.",
            hint="Ask the machine for its evidence again; if it sends the same, do not use that machine.",
        )
        self.field = field
        self.offset = offset
        self.reason = reason


class PolicyError(InputError):
    """The party's own policy, or an input that it is made from, is invalid."""

    remedy = "Correct the policy: docs/attestation.md describes its sections."


class CollateralError(InputError):
    """Collateral that the caller brought cannot be used."""

    remedy = "Pass other collateral with --collateral, or fetch it again with --fetch."


class TpmError(CloisterError):
    """A TPM returned an error for a command. ``code`` is its TPM_RC."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(
            f"The TPM refused {command} with code {code:#x}.",
            hint="The code is a TPM_RC: Trusted Platform Module Library, part 2, section 6.6.",
        )
        self.command = command
        self.code = code
