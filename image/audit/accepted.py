"""The vulnerabilities that a team has decided to live with: a TOML file with a reason and an end for each."""

import datetime
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from image.audit.errors import DataError
from image.inputs.table import RecipeError, Table

_LARGEST = 1024 * 1024


@dataclass(frozen=True)
class Acceptance:
    """One decision: the vulnerability's identifier, the package (source package or wheel), why, and its last day."""

    id: str
    package: str
    reason: str
    until: datetime.date

    def ended(self, today: datetime.date) -> bool:
        return today > self.until


def read(path: Path) -> tuple[Acceptance, ...]:
    """The decisions in the file. Raises DataError, also for a key that is unknown, missing or of another type."""
    try:
        value = tomllib.loads(userfile.read(path, _LARGEST).decode())
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid TOML: {error}.", hint="Correct the file.") from error
    try:
        return tuple(_decisions(Table(value, str(path)), path))
    except RecipeError as error:
        raise DataError(error.message, hint="Correct the file. docs/audit.md has an example.") from error


def _decisions(table: Table, path: Path) -> Iterator[Acceptance]:
    entries = table.tables("accept")
    table.reject_unknown()
    for entry in entries:
        one = Acceptance(
            id=entry.take("id", str),
            package=entry.take("package", str),
            reason=entry.take("reason", str),
            until=entry.take("until", datetime.date),
        )
        entry.reject_unknown()
        if not one.reason.strip() or isinstance(one.until, datetime.datetime):
            raise DataError(
                f"{path}: the entry for {one.id} needs a reason, and a date such as 2027-01-31 for 'until'.",
                hint="Correct the file.",
            )
        yield one


def find(accepted: Sequence[Acceptance], names: Sequence[str], package: str) -> Acceptance | None:
    """The decision on one of a vulnerability's names in a package; the one that lasts longest."""
    fitting = [one for one in accepted if one.id in names and one.package == package]
    return max(fitting, key=lambda one: one.until, default=None)
