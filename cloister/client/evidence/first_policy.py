"""Starting a party's own policy, from a workspace descriptor or from what a machine showed."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from cloister.attestation.collateral_source import Collateral
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.first_policy import from_evidence, from_raw
from cloister.attestation.first_policy.from_manifest import AdoptedValue, policy_from_manifest
from cloister.attestation.first_policy.placeholders import Placeholder, placeholders
from cloister.attestation.first_policy.strict import explain
from cloister.attestation.policy.either import AnyPolicy
from cloister.attestation.policy.policy import Policy
from cloister.attestation.raw.kinds import Raw
from cloister.attestation.result.verdict import Check
from cloister.attestation.x509.roots import VENDORS, Anchor
from cloister.client.collateral.sources import CollateralSources
from cloister.client.evidence import policy_file
from cloister.client.evidence.evidence_files.loading import load
from cloister.client.evidence.statement_demands import StatementDemands
from cloister.client.files.descriptor_file import find_cvm, load_descriptor
from cloister.client.files.image_file import load_image, load_signed
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Sentences, TextTable, one_line
from cloister.errors import CloisterError, InputError, ProofError
from cloister.userfile import FilePath


@dataclass(frozen=True, repr=False)
class FirstPolicy:
    """A policy to be confirmed by its party.

    ``taken_over`` has every value that rests on someone else's word, in the order of the policy. ``open`` has the
    members that are still placeholders: while there are any, the policy rejects every machine. ``rejected`` has a
    sentence for every check that the evidence itself fails, because a first policy is strict, and for every request to
    a vendor that failed.
    """

    policy: AnyPolicy
    taken_over: tuple[AdoptedValue, ...]
    open: tuple[Placeholder, ...]
    rejected: tuple[str, ...] = ()

    @property
    def session_policy(self) -> Policy | None:
        """The policy if it is one for sessions; None for raw evidence."""
        return self.policy if isinstance(self.policy, Policy) else None

    def __repr__(self) -> str:
        return one_line(f"FirstPolicy: {len(self.taken_over)} values to confirm, {len(self.open)} open")

    def _repr_html_(self) -> str:
        columns = (("Value", "name"), ("", "code"), ("Fingerprint", "code"), ("Confirm with", "text"))
        taken = [(one.member, one.value, one.fingerprint, one.confirm_with) for one in self.taken_over]
        open_columns = (("Open", "name"), ("Meaning", "text"), ("Known by", "text"))
        still = [(one.member, one.meaning, one.provided_by) for one in self.open]
        said = "The policy rejects every machine until the open values are filled in." if still else ""
        return fragment(
            "Your policy takes these values from others. Confirm each",
            TextTable.of(columns, taken),
            *((Sentences((said,), warning=True), TextTable.of(open_columns, still)) if still else ()),
            *(
                (Sentences(("The evidence fails this policy, which is strict.", *self.rejected), warning=True),)
                if self.rejected
                else ()
            ),
        )


def start_policy(
    image: FilePath,
    descriptor: FilePath,
    *,
    cvm: str | None = None,
    allow_local: bool = False,
    allow_debug: bool = False,
    signed: FilePath | None = None,
    statements: StatementDemands | None = None,
) -> FirstPolicy:
    """Start a policy from a workspace descriptor.

    Args:
        image: the manifest of the image that the party trusts.
        descriptor: the workspace descriptor.
        cvm: accept only this CVM of the workspace; None accepts all of them.
        allow_local: accept local machines, which keep nothing secret from their host.
        allow_debug: accept a debug image.
        signed: the statement of its publisher, if machines start the image with Secure Boot.
        statements: who must have stated something about the image; None for no one.

    Returns:
        The policy, which is not written yet.

    Raises:
        InputError: a file cannot be read, or the workspace has no such CVM.
        PolicyError: the files do not make a policy.
    """
    image = Path(image)
    descriptor = Path(descriptor)
    described = load_descriptor(descriptor)
    if cvm is not None:
        described = replace(described, cvms=(find_cvm(described, cvm),))
    policy, taken = policy_from_manifest(
        load_image(image),
        described,
        allow_local=allow_local,
        allow_debug=allow_debug,
        signed=load_signed(signed) if signed is not None else None,
    )
    return _demanding(statements, FirstPolicy(policy, taken, placeholders(policy)))


def policy_from_evidence(
    image: FilePath | None,
    evidence: FilePath | Sequence[FilePath],
    *,
    collateral: CollateralSources | None = None,
    at: datetime.datetime | None = None,
    roots: tuple[Anchor, ...] = VENDORS,
    signed: FilePath | None = None,
    statements: StatementDemands | None = None,
) -> FirstPolicy:
    """Start a policy from evidence, which must be genuine.

    Args:
        image: for a bundle, the manifest of the image that the party trusts; None for a report or quote.
        evidence: a bundle of `attest --save`; or a report or quote, and the files that belong to it.
        collateral: for what the files do not have; None for none.
        at: time of the appraisal, aware; None for now.
        roots: the vendors' roots to trust.
        signed: for a bundle, the statement of the image's publisher, if the machine starts it with Secure Boot.
        statements: for a bundle, who must have stated something about the image; None for no one.

    Returns:
        The policy, which is not written yet: for a report or quote, one for raw evidence.

    Raises:
        InputError: a file cannot be read, or is not evidence.
        PolicyError: the evidence does not make a policy.
        ProofError: the evidence is not genuine.
    """
    paths = [Path(path) for path in ([evidence] if isinstance(evidence, (str, PathLike)) else evidence)]
    moment = at or datetime.datetime.now(datetime.UTC)
    problems: tuple[str, ...] = ()
    try:
        given, with_it = load(paths)
        known, problems = (collateral or CollateralSources()).for_files(given, with_it)
        if isinstance(given, Evidence):
            made = _demanding(statements, _from_bundle(given, image, signed, known, moment, roots))
        else:
            if statements is not None:
                raise InputError(
                    "Builders and publishers make statements about an image of Cloister's. A bare report or quote does "
                    "not show which one runs.",
                    hint="Omit --builder and --publisher. For a session, pass a bundle of `attest --save`.",
                )
            made = _from_raw(given, image, signed, known, moment, roots)
        return replace(made, rejected=(*made.rejected, *problems)) if made.rejected else made
    except MalformedEvidence as error:
        raise InputError(f"{', '.join(map(str, paths))}: {error.message}") from error
    except ProofError as error:  # perhaps because of collateral that could not be fetched
        raise ProofError("\n".join((error.message, *problems)), hint=error.hint) from error


def _demanding(statements: StatementDemands | None, started: FirstPolicy) -> FirstPolicy:
    policy = started.session_policy
    if statements is None or policy is None:
        return started
    demanding, taken = statements.add_to(policy)
    return replace(started, policy=demanding, taken_over=(*started.taken_over, *taken))


def _from_bundle(
    given: Evidence,
    image: FilePath | None,
    signed: FilePath | None,
    known: Collateral,
    at: datetime.datetime,
    roots: tuple[Anchor, ...],
) -> FirstPolicy:
    if image is None:
        raise InputError(
            "A bundle of a machine needs the manifest of the image that the machine should run.",
            hint="Pass --image MANIFEST: of an image that you rebuilt, or that someone signed whom you chose.",
        )
    policy, taken, verdict = from_evidence.policy_from_evidence(
        given,
        load_image(Path(image)),
        at=at,
        collateral=known,
        roots=roots,
        signed=load_signed(signed) if signed is not None else None,
    )
    return FirstPolicy(policy, taken, placeholders(policy), _rejected(verdict.failures))


def _from_raw(
    given: Raw,
    image: FilePath | None,
    signed: FilePath | None,
    known: Collateral,
    at: datetime.datetime,
    roots: tuple[Anchor, ...],
) -> FirstPolicy:
    if image is not None or signed is not None:
        raise InputError(
            "A bare report or quote does not show which image of Cloister's a machine runs.",
            hint="Omit --image and --signed: the policy pins what it shows. For a session, pass a bundle of "
            "`attest --save`.",
        )
    policy, taken, verdict = from_raw.policy_from_raw(given, at=at, collateral=known, roots=roots)
    return FirstPolicy(policy, taken, (), _rejected(verdict.failures))


def _rejected(failures: Sequence[Check]) -> tuple[str, ...]:
    return tuple(explain(check) for check in failures)


def write_first_policy(
    path: FilePath, start: Callable[[], FirstPolicy], confirm: Callable[[FirstPolicy], bool]
) -> FirstPolicy:
    """Start a policy, have its party confirm every value, and only then write it.

    Args:
        path: the new file, which must not exist.
        start: makes the policy, as start_policy and policy_from_evidence do. Not called when the file exists.
        confirm: shows the policy to the party, and returns whether it confirms all of ``taken_over``.

    Returns:
        The policy that was written.

    Raises:
        InputError: the file exists or cannot be written; and what ``start`` raises.
        CloisterError: the party did not confirm. Nothing is written.
    """
    path = Path(path)
    if path.exists():
        raise policy_file.policy_exists(path)
    started = start()
    if not confirm(started):
        raise CloisterError("No policy was written.", hint="Confirm the values, then run the command again.")
    policy_file.save_policy(started.policy, path)
    return started


def open_members(policy: Policy) -> tuple[Placeholder, ...]:
    """The members of a policy that are still placeholders. While there are any, the policy rejects every machine."""
    return tuple(placeholders(policy))
