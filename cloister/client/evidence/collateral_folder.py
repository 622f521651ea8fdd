"""Filling a folder of collateral for a site without internet: from the vendors, or from what is here already."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloister.attestation.collateral_source import BROUGHT_KINDS, CERTIFICATE, Collateral, CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.client.collateral.cache import Cache
from cloister.client.collateral.evidence_requests import Services, general_requests, requests_for
from cloister.client.collateral.keeping import KeptCollateral, keep_collateral, read_items
from cloister.client.collateral.network import VendorServices
from cloister.client.evidence.evidence_files.loading import load
from cloister.errors import InputError, UnreachableError
from cloister.userfile import FilePath


@dataclass(frozen=True)
class FilledFolder:
    """What was written into a folder, and a sentence for each request to a vendor's service that failed."""

    written: tuple[KeptCollateral, ...]
    problems: tuple[str, ...] = ()

    def require_complete(self) -> None:
        """Raise UnreachableError unless every request was answered."""
        if self.problems:
            raise UnreachableError(
                f"{len(self.problems)} of the requests to the vendors' services failed; the rest was kept.",
                hint="Run the command again: what is in the folder is not written twice.",
            )


def fetch_collateral(
    folder: FilePath,
    evidence: Sequence[FilePath] = (),
    *,
    network: VendorServices | None = None,
    services: Services | None = None,
) -> FilledFolder:
    """Fetch collateral from the vendors into a folder, for `--collateral` on a machine without internet.

    Args:
        folder: the folder, which is made if need be.
        evidence: one piece of evidence and the files that belong to it; its own collateral is fetched, too. Without
            any, only what is the same for every machine.
        network: asks the services; None for the default one with its cache.
        services: the addresses of the services; None for the vendors' own.

    Returns:
        What was written, and what could not be fetched.

    Raises:
        InputError: a file is not evidence, or the folder has something else than collateral or cannot be written.
    """
    asked = list(general_requests(services))
    own: list[CollateralItem] = []
    if evidence:
        given, with_it = load([Path(path) for path in evidence])
        own = _all_items(with_it)
        carried = given.collateral if isinstance(given, Evidence) else ()
        known = [item.content for item in (*carried, *own) if item.kind == CERTIFICATE]
        try:
            asked += requests_for(given, tuple(known), services)
        except MalformedEvidence as error:
            raise InputError(f"The evidence is malformed: {error.place}.") from error
    fetched = (network or VendorServices()).fetch({one.address: one for one in asked}.values())
    written = keep_collateral(folder, [*own, *_all_items(fetched.collateral)])
    return FilledFolder(written, fetched.problems)


def pack_collateral(
    folder: FilePath,
    files: Sequence[FilePath] = (),
    *,
    cache: Cache | None = None,
    now: datetime.datetime | None = None,
) -> FilledFolder:
    """Copy collateral that is on this machine into a folder: the cache of earlier `--fetch`, and files.

    Args:
        folder: the folder, which is made if need be.
        files: files with certificates, revocation lists or statements of the vendors.
        cache: the cache; None for the user's.
        now: what has expired then is not taken from the cache, aware; None for now.

    Returns:
        What was written.

    Raises:
        InputError: a file is not collateral, or the folder has something else than collateral or cannot be written.
    """
    items = [item for path in files for item in read_items(path)]
    moment = now or datetime.datetime.now(datetime.UTC)
    items += [item for _, entry in (cache or Cache()).all(moment) for item in entry.items]
    return FilledFolder(keep_collateral(folder, items))


def _all_items(source: Collateral) -> list[CollateralItem]:
    return [CollateralItem(kind, content) for kind in BROUGHT_KINDS for content in source.items(kind)]
