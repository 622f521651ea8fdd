"""A usage record as rows, for spreadsheets (CSV, RFC 4180) and for reading."""

import csv
import hashlib
import io
from collections.abc import Iterator

from cloister.client.usage.record import UsageRecord

COLUMNS = (
    *("computation", "manifest", "workspace", "cvm", "start", "end", "outcome"),
    *("item", "party", "amount", "unit", "record"),
)
_UNITS = {"time": "seconds", "memory": "bytes", "cpus": "cpus", "processes": "processes", "scratch": "bytes"}


def usage_items(record: UsageRecord) -> Iterator[tuple[str, str, int, str]]:
    """What is declared: item, party (empty for a limit), amount and unit."""
    usage = record.usage
    for name, unit in _UNITS.items():
        yield f"limit {name}", "", usage["limits"][name], unit
    yield "largest result", "", usage["results"]["max"], "bytes"
    for asset in usage["assets"]:
        yield f"asset {asset['name']}", asset["provider"], asset["size"], "bytes"


def usage_table(record: UsageRecord) -> bytes:
    """One line for each item. ``record`` is the SHA-256 of the signed record: the table itself is not signed."""
    usage = record.usage
    digest = hashlib.sha256(record.encode()).hexdigest()
    common = (
        *(usage["computation"][name] for name in ("name", "manifest")),
        *(usage["machine"][name] for name in ("workspace", "cvm")),
        *(usage["run"][name] or "" for name in ("start", "end")),
        usage["outcome"],
    )
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(COLUMNS)
    writer.writerows((*common, *item, digest) for item in usage_items(record))
    return made.getvalue().encode()
