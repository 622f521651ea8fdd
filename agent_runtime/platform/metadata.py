"""The metadata service of a cloud: small answers over HTTP, on an address that leads to the host and no further.

The service is the host's. What it says is bounded here and judged elsewhere; that it says nothing costs a start.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

from agent_runtime.errors import AgentError

ADDRESS = "169.254.169.254"
"""Azure Instance Metadata Service, "Overview"; Google Compute Engine, "About VM metadata". Link-local at both."""

MAX_SIZE = 128 * 1024
"""Bytes of an answer's body: a boot configuration of 64 KiB in base64, with room."""

_OK = 200
_RETRYABLE = (410, 429)
"""Azure answers 410 for up to 70 seconds while the service is renewed, both answer 429 to whoever asks too often."""

_SERVER_FAULTS = range(500, 600)
"""Of these Azure documents 500 and Google 503, both to be tried again."""

_BACKOFF_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[6.0] * 14)
"""Seconds before each further try: 90 in all, more than the 70 of a renewal."""

_TIMEOUT_SECONDS = 10.0


def _no_check(headers: Mapping[str, str]) -> None:
    """Nothing in the answer's headers says where it came from."""


@dataclass(frozen=True)
class MetadataClient:
    """A client of one metadata service: never through a proxy, never to where a redirect points.

    ``headers`` go with every request. ``check`` raises AgentError for an answer whose headers are not the service's.
    """

    headers: Mapping[str, str]
    check: Callable[[Mapping[str, str]], None] = _no_check
    address: str = ADDRESS
    port: int = 80
    sleep: Callable[[float], None] = field(default=time.sleep)

    def get(self, path: str, *, what: str, attempts: int = len(_BACKOFF_SECONDS) + 1) -> bytes:
        """The body of the answer to GET. Raises AgentError, whose sentence names ``what``."""
        return self._request("GET", path, None, {}, what, attempts)

    def post(self, path: str, body: bytes, *, what: str, attempts: int = 5) -> bytes:
        """The body of the answer to POST of a JSON document. Raises AgentError, whose sentence names ``what``."""
        return self._request("POST", path, body, {"Content-Type": "application/json"}, what, attempts)

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], what: str, attempts: int
    ) -> bytes:
        why = "it was not asked"
        for number in range(attempts):
            if number:
                self.sleep(_BACKOFF_SECONDS[min(number, len(_BACKOFF_SECONDS)) - 1])
            try:
                status, answer = self._request_once(method, path, body, headers)
            except (OSError, HTTPException) as error:
                # The network may come up later than the agent, and the service be renewed under it.
                why = f"it could not be asked ({type(error).__name__})"
                continue
            if status == _OK:
                return answer
            why = f"it answered with status {status}"
            if status not in _RETRYABLE and status not in _SERVER_FAULTS:
                break
        raise AgentError(f"The platform's metadata service gave no {what}: {why}.")

    def _request_once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Status and body of one answer; the body of a refusal is not read."""
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
            raise HTTPException("the answer was cut off")
        return _OK, data
