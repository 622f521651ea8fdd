"""Fetch the databases from the addresses that the team has configured. Nothing is fetched unless it is asked for."""

import http.client
import ipaddress
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

from cloister import userfile
from cloister.errors import UnreachableError
from image import cache
from image.audit.errors import DataError
from image.errors import reason

TRACKER, OSV = "CLOISTER_DEBIAN_TRACKER", "CLOISTER_OSV"
"""The environment variables with the addresses of the files."""

_LARGEST = 1 << 30
_CHUNK = 1 << 20


def fetch(
    variable: str, environment: Mapping[str, str] = os.environ, *, say: Callable[[str], None] = print
) -> Path | None:
    """Fetch the file at the address that ``variable`` has into the user's cache; None if it has none.

    Raises DataError for an address that others could answer for, and UnreachableError.
    """
    address = environment.get(variable, "")
    if not address:
        return None
    _check(address, variable)
    say(f"Fetching {address} ...")
    path = cache.root() / "audit" / variable.lower()
    with userfile.replacing(path) as part, part.open("xb") as file:
        for chunk in _chunks(address, variable):
            file.write(chunk)
    return path


def _chunks(address: str, variable: str) -> Iterator[bytes]:
    """What the address answers, whole. Raises UnreachableError, never an OSError: that would be one of the disk."""
    try:
        with urllib.request.build_opener(_Redirects(variable)).open(address, timeout=60) as response:
            expected, size = response.headers.get("Content-Length", ""), 0
            while chunk := response.read(_CHUNK):
                size += len(chunk)
                if size > _LARGEST:
                    raise DataError(f"{address} has more than {_LARGEST} bytes.", hint=f"Check {variable}.")
                yield chunk
            if expected.isdecimal() and size < int(expected):
                raise ConnectionError(f"the connection ended after {size} of {expected} bytes")
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise UnreachableError(
            f"Cannot fetch {address}: {reason(error)}.", hint=f"Check the network and {variable}, or bring the file."
        ) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address only if that may be fetched, too."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        _check(newurl, self._variable)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(address: str, variable: str) -> None:
    """The data is not signed: only TLS says whose it is."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_local(parts.hostname or "")):
        return
    raise DataError(
        f"{variable} leads to {address}, but the data is not signed, so it must come by https.",
        hint="Set another address, or bring the file.",
    )


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
