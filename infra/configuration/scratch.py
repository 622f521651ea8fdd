"""The scratch disk of a CVM, and sizes of memory and disks in general."""

from typing import Any

from cloister import units
from cloister.errors import InputError
from infra.configuration.validation import Validator

GIBIBYTE = 1 << 30
_UNITS = {"MiB": 1 << 20, "GiB": GIBIBYTE}
# A guest takes 16 TiB (cloister.protocol.scratch). Microsoft, "Azure managed disk types": a Premium SSD has up to
# 32,767 GiB. Google, "About Persistent Disk": a balanced one has from 10 GiB.
_RANGES = {"local": (GIBIBYTE, 16 << 40), "azure": (4 * GIBIBYTE, 16 << 40), "gcp": (10 * GIBIBYTE, 16 << 40)}


def parse_size(text: Any) -> int:
    """Bytes of a size like ``4GiB`` or ``512MiB``. Raises InputError."""
    size = units.parse_quantity(text, _UNITS)
    if size is None:
        raise InputError(f"invalid size {text!r}; write for example 4GiB or 1536MiB.")
    return size


def parse(validator: Validator, path: str, value: Any, backend: str) -> int:
    """Bytes of the scratch disk; 0 without one. The clouds' disks have whole GiB."""
    if value is None:
        return 0
    size = validator.attempt(f"{path}.scratch", lambda: parse_size(value))
    least, most = _RANGES.get(backend, _RANGES["local"])
    if size is not None and (not least <= size <= most or size % GIBIBYTE):
        validator.add(f"{path}.scratch", f"must be whole GiB, from {least // GIBIBYTE}GiB to {most // GIBIBYTE}GiB.")
    return size or 0
