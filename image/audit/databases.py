"""The files of data about vulnerabilities: brought by the team, or fetched from addresses that it has configured."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from image.audit import fetch, osv, tracker
from image.audit.errors import DataError


@dataclass(frozen=True)
class Databases:
    """The file of each database; None for one without a file."""

    tracker: Path | None = None
    osv: Path | None = None

    @classmethod
    def gather(cls, debian: str, osv: str, *, fetch: bool, say: Callable[[str], None]) -> Self:
        """The named files; with ``fetch``, those at the configured addresses for what is not named.

        Raises DataError when nothing is configured.
        """
        named = {"tracker": Path(debian) if debian else None, "osv": Path(osv) if osv else None}
        if fetch:
            named |= {name: _fetched(variable, say) for name, variable in _VARIABLES.items() if named[name] is None}
            if not any(named.values()):
                raise DataError(
                    f"--fetch has no address: neither {' nor '.join(_VARIABLES.values())} is set.",
                    hint="Set one to the address of its file (docs/audit.md), or bring the file.",
                )
        return cls(**named)

    @property
    def files(self) -> dict[str, Path]:
        return {name: path for name, path in ((tracker.NAME, self.tracker), (osv.NAME, self.osv)) if path is not None}

    def require(self) -> None:
        """Raise DataError without any."""
        if not self.files:
            raise DataError(
                "There is no data about vulnerabilities.",
                hint="Bring Debian's with --debian FILE and OSV's with --osv FILE, or fetch them with --fetch.",
            )


_VARIABLES = {"tracker": fetch.TRACKER, "osv": fetch.OSV}


def _fetched(variable: str, say: Callable[[str], None]) -> Path | None:
    return fetch.fetch(variable, say=say)
