"""The verdict on a running machine, with the evidence that it is on."""

from dataclasses import dataclass, replace
from pathlib import Path

from cloister import userfile
from cloister.attestation.evidence import Evidence
from cloister.attestation.result.verdict import Check, Verdict
from cloister.client.connection.opening import Target, attest
from cloister.client.evidence.ear import sign_ear
from cloister.client.evidence.explanation import Explanation
from cloister.client.evidence.typed_bytes import NONCE_SIZE
from cloister.client.evidence.verdict import show_verdict, verdict_lines
from cloister.client.files.keys import Key
from cloister.errors import InputError
from cloister.userfile import FilePath


@dataclass(frozen=True, repr=False)
class MachineVerdict:
    """What a party's policy says of the machine that it asked.

    verdict: the verdict, with all checks and claims.
    evidence: what the machine showed.
    problems: a sentence for each request to a vendor's service that failed; empty when none did.
    """

    verdict: Verdict
    evidence: Evidence
    problems: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether no check failed."""
        return self.verdict.accepted

    @property
    def confidential(self) -> bool:
        """Whether it is shown that only the image can read the machine's memory."""
        return self.verdict.confidential

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks, in order."""
        return self.verdict.checks

    @property
    def failures(self) -> tuple[Check, ...]:
        """All failed checks, in order."""
        return self.verdict.failures

    def require_accepted(self) -> None:
        """Raise ProofError, with a sentence for every failure, unless the machine is accepted."""
        self.verdict.require_accepted()

    def explained(self, explanation: Explanation) -> "MachineVerdict":
        """The same with likely causes of measurements that differ, by what the party knows."""
        return replace(self, verdict=explanation.of(self.verdict, self.evidence))

    def save(self, path: FilePath) -> None:
        """Write the evidence, for an audit and to start a policy from. Raises InputError."""
        userfile.write_file(Path(path), self.evidence.encode_json())

    def ear(self, key: Key) -> str:
        """The verdict as an EAT Attestation Result, signed with ``key``, for a system that trusts its holder."""
        return sign_ear(self.verdict, key)

    def __str__(self) -> str:
        return "\n".join(verdict_lines(self.verdict))

    def __repr__(self) -> str:
        return repr(self.verdict)

    def _repr_html_(self) -> str:
        return show_verdict(self.verdict, self.problems)


def judge(target: Target, nonce: bytes | None = None) -> MachineVerdict:
    """Ask a machine for evidence, appraise it, and end the session again. Raises as :func:`attest`.

    ``nonce`` is what the evidence must be made over, such as that of a reader of the verdict; None for random bytes.
    Raises InputError if it has another size than a session's.
    """
    if nonce is not None and len(nonce) != NONCE_SIZE:
        raise InputError(f"The nonce has {len(nonce)} bytes; a session's nonce has {NONCE_SIZE}.")
    with attest(target, nonce) as opening:
        return MachineVerdict(opening.verdict, opening.evidence, opening.problems)
