"""A file that is being read, for the sentence that refuses it."""

from dataclasses import dataclass, replace
from pathlib import Path

from cloister.attestation.errors import MalformedEvidence
from cloister.errors import InputError
from cloister.protocol.canonical import FormatError

DAMAGED = "The file was truncated or changed: get it again from where it was recorded."


@dataclass(frozen=True)
class EvidenceFile:
    """``looks`` names what the file looks like, with its article; empty while that is not known."""

    path: Path
    looks: str = ""

    def like(self, looks: str) -> "EvidenceFile":
        """The same file, recognised."""
        return replace(self, looks=f"{looks} ({self.looks})" if self.looks else looks)

    def refuse(self, problem: str, hint: str) -> InputError:
        """The error for a file that cannot be used: what it looks like, what is wrong, what to do."""
        if not self.looks:
            return InputError(f"{self.path} {problem}.", hint=hint)
        return InputError(f"{self.path} looks like {self.looks}, but {problem}.", hint=hint)

    def damaged(self, error: MalformedEvidence | FormatError) -> InputError:
        """The error for a file that was recognised and cannot be read."""
        found = error.place if isinstance(error, MalformedEvidence) else error.message.removesuffix(".")
        return self.refuse(f"it is malformed: {found}", DAMAGED)
