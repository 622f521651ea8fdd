"""All collateral for one verdict: what the evidence carries, then what the caller brings, as far as it can be read.

What cannot be read is never of use to a machine, so that alone is no reason to judge nothing: whoever made the
evidence could have left such an item out, and a certificate or an endorsement that the caller brings can only help a
machine to be accepted. Such items are left out and named in the verdict. It is another matter with what a caller
brings to have machines refused: a revocation list, TCB info or identity. Whoever holds one that cannot be read must
not be answered as if there were none, so that is an error, unless it is about another kind of machine.

Who signed an item is seen where it is used: one that can be read and that its vendor did not sign has no say, whoever
brought it. Of the caller's, the verdict then names it (``unsigned.py``).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cloister.attestation.collateral_source import Collateral
from cloister.attestation.errors import CollateralError, MalformedEvidence
from cloister.attestation.evidence import CERTIFICATE, CRL, LAUNCH_ENDORSEMENT, QE_IDENTITY, TCB_INFO, CollateralItem
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.tdx.collateral import QeIdentity, TcbInfo
from cloister.attestation.x509.crl import RevocationList
from cloister.attestation.x509.x509 import Certificate

_ONLY_HELPFUL = (CERTIFICATE, LAUNCH_ENDORSEMENT)
# Intel's statements on SGX look the same but for their id, and lie in the same folders.
_OTHER_MACHINES = ("TCB info.id", "QE identity.id")


@dataclass(frozen=True)
class Skipped:
    """An item that had no say: its kind and SHA-256, whether the caller brought it, and what is wrong."""

    kind: str
    digest: bytes
    brought: bool
    reason: str

    def value(self) -> dict[str, str]:
        """The JSON value."""
        source = "caller" if self.brought else "evidence"
        return {"kind": self.kind, "sha256": self.digest.hex(), "source": source, "reason": self.reason}


class Sources:
    """The items of both sources by kind, each looked at once."""

    def __init__(self, carried: Sequence[CollateralItem], brought: Collateral | None) -> None:
        self._carried = carried
        self._brought = brought
        self._usable: dict[str, tuple[bytes, ...]] = {}
        self._callers: dict[str, tuple[bytes, ...]] = {}
        self._skipped: list[Skipped] = []

    def items(self, kind: str) -> tuple[bytes, ...]:
        """All collateral of ``kind`` that can be read. Raises CollateralError."""
        if kind not in self._usable:
            items = [(item.content, False) for item in self._carried if item.kind == kind]
            if self._brought is not None:
                items += [(content, True) for content in self._brought.items(kind)]
            usable = [(content, brought) for content, brought in items if self._is_usable(kind, content, brought)]
            self._usable[kind] = tuple(content for content, _ in usable)
            self._callers[kind] = tuple(content for content, brought in usable if brought)
        return self._usable[kind]

    def brought(self, kind: str) -> tuple[bytes, ...]:
        """The caller's own of ``kind`` that can be read; none when nobody has asked for that kind."""
        return self._callers.get(kind, ())

    def leave_out(self, kind: str, content: bytes, reason: str) -> None:
        """Name an item of the caller's that turned out to have no say."""
        self._skipped.append(Skipped(kind, hashlib.sha256(content).digest(), True, reason))

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What was left out so far."""
        return tuple(self._skipped)

    def _is_usable(self, kind: str, content: bytes, brought: bool) -> bool:
        try:
            _READ[kind](content)
        except MalformedEvidence as error:
            if brought and kind not in _ONLY_HELPFUL and error.field not in _OTHER_MACHINES:
                raise CollateralError(
                    f"The collateral that you brought cannot be read: {kind}, {error.field}: {error.reason}.",
                    hint="It may say that this machine is to be refused: get it again, or leave it away knowingly.",
                ) from error
            self._skipped.append(
                Skipped(kind, hashlib.sha256(content).digest(), brought, f"{error.field}: {error.reason}")
            )
            return False
        return True


def _read_certificate(data: bytes) -> object:
    # AMD's certificates of chips have the serial number 0, which the library of all others is about to refuse.
    return EndorsementCertificate.parse(data) if is_endorsement(data) else Certificate.parse(data)


_READ: Mapping[str, Callable[[bytes], object]] = MappingProxyType(
    {
        CERTIFICATE: _read_certificate,
        CRL: RevocationList.parse,
        TCB_INFO: TcbInfo.parse,
        QE_IDENTITY: QeIdentity.parse,
        LAUNCH_ENDORSEMENT: LaunchEndorsement.parse,
    }
)
