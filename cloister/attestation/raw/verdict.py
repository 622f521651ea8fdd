"""The verdict on raw evidence. It is of another type than that on a machine's evidence, and accepts no machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloister.attestation.raw.kinds import Judged
from cloister.attestation.result.cause import Cause
from cloister.attestation.result.verdict import Check, CheckOutcome, Skipped, Used
from cloister.attestation.x509.roots import NO_ROOT
from cloister.protocol import canonical


@dataclass(frozen=True)
class RawVerdict:
    """The result of the vendors' layers. ``genuine`` does not mean that a machine is accepted.

    platform: the platform that such evidence comes from.
    identity_root: who vouches for the machine's identity (``x509/roots.py``); ``none`` unless that is shown.
    at: the time of the appraisal, in UTC.
    policy: SHA-256 of the policy's canonical form.
    checks: every check of the vendors' layers and every pin of the policy, in order.
    identity: names, fingerprints and versions in the evidence.
    not_judged: what no check covers, in sentences.
    judged: what was judged, with its SHA-256.
    events: the events of a log that came alone, a line for each; otherwise empty.
    skipped: collateral that was ignored; may be empty.
    used: collateral that the checks relied on; may be empty.
    causes: likely causes of failed checks (``diagnosis``); they explain and decide nothing.
    """

    platform: str
    identity_root: str
    at: datetime
    policy: bytes
    checks: tuple[Check, ...]
    identity: Mapping[str, str]
    not_judged: tuple[str, ...]
    judged: tuple[Judged, ...] = ()
    events: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    used: tuple[Used, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def genuine(self) -> bool:
        """Whether no check failed, and someone vouches for the machine: a quote under a key of unknown origin shows
        none.
        """
        return self.passed and self.identity_root != NO_ROOT

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """All failed checks, in order."""
        return tuple(check for check in self.checks if check.outcome is CheckOutcome.FAILED)

    def value(self) -> dict[str, Any]:
        """The JSON value, as published in docs/schemas/raw-verdict.schema.json."""
        more = {"skipped": self.skipped, "used": self.used, "diagnosis": self.causes}
        return {
            "version": 1,
            "raw": True,
            "platform": self.platform,
            "identity_root": self.identity_root,
            "at": canonical.to_time(self.at),
            "policy": self.policy.hex(),
            "genuine": self.genuine,
            "checks": [check.value() for check in self.checks],
            "identity": dict(self.identity),
            "not_judged": list(self.not_judged),
            "judged": [one.value() for one in self.judged],
            **({"events": list(self.events)} if self.events else {}),
            **{name: [one.value() for one in found] for name, found in more.items() if found},
        }
