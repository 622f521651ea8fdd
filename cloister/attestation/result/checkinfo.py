"""The text of a check in a verdict: its subject, and what to do after a failure, by the kind of the failure.

A reader needs something else after each kind. Missing collateral and a documented choice are settled by a file or by a
member of the policy, which the advice names. A signature, measurement, debug mode or identity is settled by comparing
something with someone: no advice ever offers the value that was found, because a forger would choose it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Why a check fails, in the order in which a reader should learn of it."""

    PLATFORM = "platform"
    """The evidence is of another platform or product than the policy accepts."""
    SIGNATURE = "signature"
    """The evidence does not come from where it claims to come from, or was changed."""
    REVOKED = "revoked"
    """The vendor has withdrawn a key."""
    DEBUG = "debug"
    """Someone other than the guest may read its memory."""
    BINDING = "binding"
    """The evidence was made for something else: another session, receipt or computation."""
    MEASUREMENT = "measurement"
    """Something else runs."""
    IDENTITY = "identity"
    """It is another machine, owner or signer."""
    OUTDATED = "outdated"
    """Firmware or hardware has known weaknesses."""
    SETTING = "setting"
    """Host or guest have other settings than the policy demands."""
    CHOICE = "choice"
    """The policy has a member for exactly this, whose strict value rejects."""
    COLLATERAL = "collateral"
    """A vendor's certificate, list or statement is missing or has expired."""


COMPARED = frozenset(
    {FailureKind.SIGNATURE, FailureKind.DEBUG, FailureKind.MEASUREMENT, FailureKind.IDENTITY},
)
"""The kinds whose advice says what to compare and with whom, and never names a member that would accept it."""

SETTLED = frozenset({FailureKind.CHOICE, FailureKind.COLLATERAL})
"""The kinds that a member of the policy or a file settles; their advice ends with it."""


@dataclass(frozen=True)
class Failure:
    """One kind of failure of a check.

    kind: why the check fails.
    advice: what to do, in sentences.
    members: the members of the policy that decide this; only for the kinds of ``SETTLED``.
    lacks: the kinds of collateral that are missing or have expired (``collateral_source.COLLATERAL_KINDS``); only for
        ``FailureKind.COLLATERAL``.
    """

    kind: FailureKind
    advice: str
    members: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckInfo:
    """``subject`` begins the sentence about a check. ``failure`` is how it fails, ``others`` are further ways.

    A check that fails in one of the further ways is recorded with that one. One without ``failure`` and ``others``
    never fails: it says something that a reader must know.
    """

    subject: str
    failure: Failure | None = None
    others: tuple[Failure, ...] = ()


def compare(kind: FailureKind, what: str, whom: str, *, first: str = "") -> Failure:
    """A failure of a kind of ``COMPARED``: compare ``what`` with ``whom``; ``first`` is a sentence before that."""
    return Failure(kind, f"{first} Compare {what} with {whom}.".strip())


def choice(advice: str, *members: str) -> Failure:
    """A documented choice; ``members`` are its members in the policy, ``advice`` says what accepting it means."""
    return Failure(FailureKind.CHOICE, f"{advice} To accept it, change {_listed(members)} in your policy.", members)


LOG_ALONE = compare(
    FailureKind.SIGNATURE,
    "its registers",
    "a quote of the same machine: pass that file, too",
    first="No one signs a log, so a log alone shows nothing.",
)
"""How the replay of a log fails that came without a quote."""


def missing(what: str, lacks: Sequence[str], *, member: str = "") -> Failure:
    """Collateral that is missing or has expired. ``member`` is the policy's member that does without it, if any."""
    advice = f"Get {what}: pass --fetch, or add the file, or put it into the folder of --collateral."
    if member:
        advice += f" To do without it, change {member} in your policy."
    return Failure(FailureKind.COLLATERAL, advice, (member,) if member else (), tuple(lacks))


def _listed(members: Sequence[str]) -> str:
    return " or ".join(members)


AGAIN = Failure(
    FailureKind.BINDING,
    "It was made for something else: ask the machine for new evidence; if it fails again, do not use this machine.",
)
"""For evidence that was not made for this session, or not over the data of this question."""

REBUILD = compare(
    FailureKind.MEASUREMENT,
    "the image's manifest in your policy",
    "the team that published the image",
    first="Rebuild the image in a checkout (invoke image.verify): its manifest shows what the image measures.",
)
"""For a machine that runs another image than the policy names."""

FORGED = compare(
    FailureKind.SIGNATURE,
    "the SHA-256 of this evidence",
    "the operator of the machine, who can ask the machine for it again",
    first="Do not use this machine: its evidence does not come from the processor that it names.",
)
"""For a signature of a processor's key that is not valid."""
