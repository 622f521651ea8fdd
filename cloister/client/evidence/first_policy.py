"""Starting a party's own policy, from a workspace descriptor or from what a machine showed."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.first_policy import from_evidence
from cloister.attestation.first_policy.from_manifest import AdoptedValue, policy_from_manifest
from cloister.attestation.first_policy.placeholders import Placeholder, placeholders
from cloister.attestation.policy.policy import Policy
from cloister.attestation.roots import VENDORS, Anchor
from cloister.client.collateral.sources import CollateralSources
from cloister.client.evidence import evidence_files, policy_file
from cloister.client.files.descriptor_file import find_cvm, load_descriptor
from cloister.client.files.image_file import load_image
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Sentences, TextTable, one_line
from cloister.errors import CloisterError, InputError, ProofError
from cloister.userfile import FilePath


@dataclass(frozen=True, repr=False)
class FirstPolicy:
    """A policy to be confirmed by its party.

    ``taken_over`` has every value that rests on someone else's word, in the order of the policy. ``open`` has the
    members that are still placeholders: while there are any, the policy rejects every machine.
    """

    policy: Policy
    taken_over: tuple[AdoptedValue, ...]
    open: tuple[Placeholder, ...]

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
        )


def start_policy(
    image: FilePath,
    descriptor: FilePath,
    *,
    cvm: str | None = None,
    allow_local: bool = False,
    allow_debug: bool = False,
) -> FirstPolicy:
    """Start a policy from a workspace descriptor.

    Args:
        image: the manifest of the image that the party trusts.
        descriptor: the workspace descriptor.
        cvm: accept only this CVM of the workspace; None accepts all of them.
        allow_local: accept local machines, which keep nothing secret from their host.
        allow_debug: accept a debug image.

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
    policy, taken = policy_from_manifest(load_image(image), described, allow_local=allow_local, allow_debug=allow_debug)
    return FirstPolicy(policy, taken, placeholders(policy))


def policy_from_evidence(
    image: FilePath,
    evidence: FilePath,
    *,
    collateral: CollateralSources | None = None,
    at: datetime.datetime | None = None,
    roots: tuple[Anchor, ...] = VENDORS,
) -> FirstPolicy:
    """Start a policy from a bundle of evidence, which must be genuine.

    Args:
        image: the manifest of the image that the party trusts.
        evidence: a bundle of `attest --save`.
        collateral: for what the bundle does not carry; None for none.
        at: time of the appraisal, aware; None for now.
        roots: the vendors' roots to trust.

    Returns:
        The policy, which is not written yet.

    Raises:
        InputError: a file cannot be read, or is a bare report or quote.
        PolicyError: the evidence does not make a policy.
        ProofError: the evidence is not genuine.
    """
    image = Path(image)
    evidence = Path(evidence)
    try:
        given, with_it = evidence_files.load([evidence])
        if not isinstance(given, Evidence):
            raise InputError(
                f"{evidence} is a bare report or quote, which names no machine.",
                hint="Pass a bundle of `attest --save`; `verify-evidence` appraises reports and quotes.",
            )
        known, problems = (collateral or CollateralSources()).for_files(given, with_it)
        manifest = load_image(image)
        try:
            policy, taken, _ = from_evidence.policy_from_evidence(
                given, manifest, at=at or datetime.datetime.now(datetime.UTC), collateral=known, roots=roots
            )
        except MalformedEvidence:
            raise
        except ProofError as error:  # perhaps because of collateral that could not be fetched
            raise ProofError("\n".join((error.message, *problems)), hint=error.hint) from error
    except MalformedEvidence as error:
        raise InputError(f"{evidence}: {error.message}") from error
    return FirstPolicy(policy, taken, placeholders(policy))


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
