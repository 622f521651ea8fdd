"""A client of a cloud's metadata service: small answers over HTTP, from an address that only the host serves.

The host runs the service, so its answers are not trusted: they are bounded here and verified elsewhere.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from agent_runtime.errors import AgentError

ADDRESS = "169.254.169.254"
"""Azure Instance Metadata Service, "Overview"; Google Compute Engine, "About VM metadata". Link-local on both."""

MAX_SIZE = 128 * 1024
"""Bytes of an answer's body: a boot configuration of 64 KiB in base64, with reserve."""

_OK = 200
_RETRYABLE = (410, 429)
"""Azure answers 410 for up to 70 seconds during an update; both clouds answer 429 to limit the rate."""

_SERVER_FAULTS = range(500, 600)
"""Azure documents 500 and Google 503 as temporary."""

_BACKOFF_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[6.0] * 14)
"""Seconds before each further attempt: 90 in total, more than the 70 of an update."""

_TIMEOUT_SECONDS = 10.0


def _no_check(headers: Mapping[str, str]) -> None:
    """Accept any headers."""


@dataclass(frozen=True)
class MetadataClient:
    """A client of one metadata service. Uses no proxy and follows no redirect."""

    headers: Mapping[str, str]
    """Sent with every request."""

    check: Callable[[Mapping[str, str]], None] = _no_check
    """Called with an answer's headers, in lower case. Raises AgentError if they are not the service's."""

    address: str = ADDRESS
    port: int = 80
    sleep: Callable[[float], None] = field(default=time.sleep)

    def get(self, path: str, *, what: str, attempts: int = len(_BACKOFF_SECONDS) + 1) -> bytes:
        """The body of the answer to GET. Raises AgentError with ``what`` in its message."""
        return self._request("GET", path, None, {}, what, attempts)

    def post(self, path: str, body: bytes, *, what: str, attempts: int = 5) -> bytes:
        """The body of the answer to POST of a JSON document. Raises AgentError with ``what`` in its message."""
        return self._request("POST", path, body, {"Content-Type": "application/json"}, what, attempts)

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], document: str, attempts: int
    ) -> bytes:
        why = "no attempt was made"
        for number in range(attempts):
            if number:
                self.sleep(_BACKOFF_SECONDS[min(number, len(_BACKOFF_SECONDS)) - 1])
            try:
                status, answer = self._request_once(method, path, body, headers)
            except (OSError, HTTPException) as error:
                # The network may start after the agent, and the service may restart.
                why = f"cannot connect ({type(error).__name__})"
                continue
            if status == _OK:
                return answer
            why = f"status {status}"
            if status not in _RETRYABLE and status not in _SERVER_FAULTS:
                break
        raise AgentError(f"The platform's metadata service did not return the {document}: {why}.")

    def _request_once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Status and body of one answer. The body of an error is not read."""
        connection = HTTPConnection(self.address, self.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, {**self.headers, **headers, "Connection": "close"})
            answer = connection.getresponse()
            if answer.status != _OK:
                return answer.status, b""
            self.check({name.lower(): value for name, value in answer.getheaders()})
            data = answer.read(MAX_SIZE + 1)
        finally:
            connection.close()
        if len(data) > MAX_SIZE:
            raise AgentError(f"The platform's metadata service answered with more than {MAX_SIZE} bytes.")
        if answer.length:
            raise HTTPException("the answer is truncated")
        return _OK, data
