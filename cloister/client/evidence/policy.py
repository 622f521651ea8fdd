"""The party's own policy: starting one, and reading it before anything is trusted."""

import datetime
from dataclasses import replace
from pathlib import Path

from cloister import userfile
from cloister.attestation.collateral_source import CERTIFICATE, Collateral
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.first_policy.from_evidence import policy_from_evidence
from cloister.attestation.first_policy.from_manifest import AdoptedValue, policy_from_manifest
from cloister.attestation.policy.policy import MAX_SIZE, Policy
from cloister.attestation.roots import VENDORS, Anchor
from cloister.client.collateral import folder, wanted
from cloister.client.collateral.network import VendorServices
from cloister.client.collateral.wanted import Services
from cloister.client.evidence import evidence_files
from cloister.client.evidence.examination import Several
from cloister.client.files import descriptor_file, document_type, exclusive
from cloister.errors import InputError, ProofError
from cloister.protocol import imagemanifest
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.imagemanifest import ImageManifest

KEEP = "Keep this one: it proves what was fetched under it."


def load(path: Path) -> Policy:
    """The policy at ``path``, JSON or YAML. Raises InputError."""
    try:
        return Policy.parse(userfile.read(path, MAX_SIZE))
    except OSError as error:
        raise InputError(f"The policy {path} cannot be read: {error.strerror}.", hint="`policy` writes one.") from error
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error


def start(
    image: Path, descriptor: Path, *, cvm: str | None = None, allow_local: bool = False, allow_debug: bool = False
) -> tuple[Policy, tuple[AdoptedValue, ...]]:
    """A first policy, and every value that it takes on somebody's word. Raises InputError.

    ``cvm`` narrows it to one CVM of the workspace.
    """
    described = descriptor_file.load(descriptor)
    if cvm is not None:
        described = _narrowed(described, cvm)
    return policy_from_manifest(_manifest(image), described, allow_local=allow_local, allow_debug=allow_debug)


def observe(
    image: Path,
    evidence: Path,
    *,
    collateral: Path | None = None,
    network: VendorServices | None = None,
    services: Services | None = None,
    at: datetime.datetime,
    roots: tuple[Anchor, ...] = VENDORS,
) -> tuple[Policy, tuple[AdoptedValue, ...]]:
    """A first policy from a bundle of evidence, which must be genuine. Without ``network`` no vendor is asked what it
    states of the machine. Raises InputError, ProofError.
    """
    try:
        given, beside = evidence_files.load([evidence])
        if not isinstance(given, Evidence):
            raise InputError(
                f"{evidence} is a bare report or quote, which names no machine.",
                hint="A policy is made of a bundle of `attest --save`; `verify-evidence` judges reports and quotes.",
            )
        sources: list[Collateral] = [beside, *([folder.load(collateral)] if collateral else [])]
        problems: tuple[str, ...] = ()
        if network is not None:
            known = tuple(Several(sources).items(CERTIFICATE))
            fetched = network.fetch(wanted.questions(given, known, services))
            sources.append(fetched.collateral)
            problems = fetched.problems
        try:
            policy, taken, _ = policy_from_evidence(
                given, _manifest(image), at=at, collateral=Several(sources), roots=roots
            )
        except MalformedEvidence:
            raise
        except ProofError as error:  # which may be for want of what was asked for
            raise ProofError("\n".join((error.message, *problems)), hint=error.hint) from error
    except MalformedEvidence as error:
        raise InputError(f"{evidence}: {error.message}") from error
    return policy, taken


def _manifest(path: Path) -> ImageManifest:
    try:
        data = userfile.read(path, imagemanifest.MAX_SIZE)
    except OSError as error:
        raise InputError(
            f"The image manifest {path} cannot be read: {error.strerror}.",
            hint="`invoke image.build` makes it, and the platform team hands it out.",
        ) from error
    try:
        return ImageManifest.parse(data)
    except InputError as error:
        raise document_type.mistaken(path, data, document_type.IMAGE, error) from error


def _narrowed(descriptor: Descriptor, cvm: str) -> Descriptor:
    return replace(descriptor, cvms=(descriptor_file.find(descriptor, cvm),))


def write(policy: Policy, path: Path) -> None:
    """Write a new policy. Raises InputError when there is a file already: somebody may have confirmed it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        exclusive.write(path, policy.encode() + b"\n")
    except FileExistsError as error:
        raise InputError(f"{path} exists; a policy is not overwritten.", hint=f"Name another. {KEEP}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
