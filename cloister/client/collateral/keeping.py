"""A folder of collateral that a party keeps, for a machine without internet: ``--collateral DIR`` reads it.

Each item is one file, named after what it is and its digest; other files in the folder are kept as they are. Nothing is
deleted: an expired revocation list can still revoke, and a reader sees in ``list`` what has expired.
"""

import base64
import datetime
import hashlib
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.collateral.description import describe
from cloister.attestation.collateral.usable import OTHER_MACHINES
from cloister.attestation.collateral_source import (
    CERTIFICATE,
    CRL,
    LAUNCH_ENDORSEMENT,
    QE_IDENTITY,
    STATEMENT,
    TCB_INFO,
    CollateralItem,
)
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.statements.statement import ImageStatement
from cloister.attestation.tdx.tcb_info import QeIdentity, TcbInfo
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList
from cloister.client.collateral import content
from cloister.client.collateral.folder import ENDORSEMENT, MAX_FILES, folder_items
from cloister.errors import InputError
from cloister.protocol import canonical
from cloister.userfile import FilePath

_SUFFIXES = {
    CERTIFICATE: ".pem",
    CRL: ".crl",
    TCB_INFO: ".json",
    QE_IDENTITY: ".json",
    LAUNCH_ENDORSEMENT: ENDORSEMENT,
    STATEMENT: ".json",
}
_PARSERS = {
    CRL: RevocationList,
    TCB_INFO: TcbInfo,
    QE_IDENTITY: QeIdentity,
    LAUNCH_ENDORSEMENT: LaunchEndorsement,
    STATEMENT: ImageStatement,
}
_SLUG = re.compile("[^A-Za-z0-9]+")
_NAME = 60
_LINE = 64
_DIGITS = 32  # of the digest in a file's name: no one makes a second item that would take its place


@dataclass(frozen=True)
class KeptCollateral:
    """One item in a folder. ``until`` is when it expires (aware), None if it does not."""

    path: Path
    kind: str
    name: str
    until: datetime.datetime | None

    def expired_at(self, moment: datetime.datetime) -> bool:
        """Whether it must not be used any more."""
        return self.until is not None and self.until < moment

    def value(self, moment: datetime.datetime) -> dict[str, Any]:
        """The JSON value as of ``moment``."""
        until = {"until": canonical.to_time(self.until)} if self.until is not None else {}
        return {
            "file": str(self.path),
            "kind": self.kind,
            "name": self.name,
            **until,
            "expired": self.expired_at(moment),
        }


def list_collateral(folder: FilePath) -> tuple[KeptCollateral, ...]:
    """What a folder has, by file. Raises InputError for a folder that ``load_collateral`` would refuse."""
    return tuple(_kept(path, item) for path, item in folder_items(Path(folder)))


def keep_collateral(folder: FilePath, items: Iterable[CollateralItem]) -> tuple[KeptCollateral, ...]:
    """Write items into a folder, which is made if need be, each in a file of its own.

    Args:
        folder: the folder.
        items: what to keep; what the folder has already is not written again.

    Returns:
        What was written.

    Raises:
        InputError: the folder has something else than collateral, would have too many files, or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise userfile.unwritable(folder, error) from error
    held = folder_items(folder)
    known = {(item.kind, item.content) for _, item in held}
    new = [item for item in dict.fromkeys(items) if (item.kind, item.content) not in known]
    count = len({path for path, _ in held}) + len(new)
    if count > MAX_FILES:
        raise InputError(
            f"{folder} would have {count} files; at most {MAX_FILES} are supported.",
            hint="Keep them in several folders, or only what your machines need. Nothing was written.",
        )
    written: list[KeptCollateral] = []
    for item in new:
        name, _ = _described(item)
        digest = hashlib.sha256(item.content).hexdigest()[:_DIGITS]
        path = folder / f"{_SLUG.sub('-', name)[:_NAME].strip('-')}-{digest}{_SUFFIXES[item.kind]}"
        userfile.write_file(path, _file(item))
        written.append(_kept(path, item))
    return tuple(written)


def read_items(path: FilePath) -> tuple[CollateralItem, ...]:
    """The items in one file. Raises InputError."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder.", hint="Name the files in it.")
    return tuple(item for _, item in folder_items(path))


def _kept(path: Path, item: CollateralItem) -> KeptCollateral:
    name, until = _described(item)
    return KeptCollateral(path, item.kind, name, until)


def _described(item: CollateralItem) -> tuple[str, datetime.datetime | None]:
    """Name and expiry time. What this version cannot parse, such as Intel's TCB info of SGX, is named by kind."""
    try:
        if item.kind != CERTIFICATE:
            return describe(_PARSERS[item.kind].parse(item.content))
        parser = EndorsementCertificate if is_endorsement(item.content) else Certificate
        return describe(parser.parse(item.content))
    except MalformedEvidence as error:
        why = "not for SEV-SNP or TDX" if error.field in OTHER_MACHINES else f"which cannot be read: {error.reason}"
        return f"{item.kind}, {why}", content.dated(item, item.kind).until


def _file(item: CollateralItem) -> bytes:
    if item.kind != CERTIFICATE:
        return item.content
    lines = textwrap.wrap(base64.b64encode(item.content).decode(), _LINE)
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", "")).encode()
