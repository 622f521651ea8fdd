"""One HTTP GET with a bounded number of attempts.

Retry-After (with 429 or 503) is obeyed unless it is too long. Answers are complete, and bounded in bytes and in time;
redirects are not followed. A body is not trusted because of where it came from.
"""

import datetime
import email.utils
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cloister.errors import UnreachableError
from cloister.protocol.text import decimal

ATTEMPTS = 4
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""Seconds before the second attempt, doubled before each further one; and the longest Retry-After that is obeyed."""
_TIMEOUT = 20.0
_ANSWER_DEADLINE = datetime.timedelta(minutes=2)
"""Limit for the whole answer: a service that only trickles bytes is given up."""
_RETRYABLE = (408, 425, 429, 500, 502, 503, 504)

Clock = Callable[[], datetime.datetime]


class CollateralUnavailable(UnreachableError):
    """A vendor's service did not return the requested collateral."""

    remedy = "Run the command again later, or pass the vendor's files with --collateral."


@dataclass(frozen=True)
class Answer:
    """The body of an answer with status 200, and its header fields by lower-case name."""

    body: bytes
    headers: Mapping[str, str]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


class _RetryableError(Exception):
    """A failure that another attempt may cure, after ``pause`` seconds if the service said so."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class Transport:
    """Sends requests. ``wait`` sleeps for seconds, ``now`` gives the aware time, ``context`` has the TLS roots."""

    def __init__(
        self,
        *,
        wait: Callable[[float], object] = time.sleep,
        now: Clock = lambda: datetime.datetime.now(datetime.UTC),
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._wait = wait
        self._now = now
        https = urllib.request.HTTPSHandler(context=context or ssl.create_default_context())
        self._opener = urllib.request.build_opener(_NoRedirect, https)

    def get(self, address: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer of at most ``limit`` bytes. Raises CollateralUnavailable."""
        pause = _FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(address, limit, headers or {})
            except _RetryableError as error:
                asked = pause if error.pause is None else error.pause
                if attempt == ATTEMPTS:
                    raise CollateralUnavailable(
                        f"{address} did not answer in {ATTEMPTS} attempts: {error}.", hint="Try again later."
                    ) from error
                if asked > _LONGEST_PAUSE:
                    raise CollateralUnavailable(
                        f"{address} is rate limiting; retry after {asked:.0f} s.", hint="Try again then."
                    ) from error
                self._wait(asked)
                pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _once(self, address: str, limit: int, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(address, headers={"User-Agent": "cloister", **headers})
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as response:
                return self._read(address, limit, response)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _RETRYABLE:
                    pause = self._retry_after(error.headers.get("Retry-After"))
                    raise _RetryableError(f"status {error.code}", pause) from error
                raise CollateralUnavailable(f"{address} answered with status {error.code}.") from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise CollateralUnavailable(
                    f"The TLS certificate of {address} is not trusted: {error.reason}."
                ) from error
            raise _RetryableError(str(error.reason)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _RetryableError(str(error) or type(error).__name__) from error

    def _read(self, address: str, limit: int, response: http.client.HTTPResponse) -> Answer:
        if response.status != http.HTTPStatus.OK:
            raise CollateralUnavailable(f"{address} answered with status {response.status}.")
        body, end = bytearray(), self._now() + _ANSWER_DEADLINE
        while len(body) <= limit and (piece := response.read1(limit + 1 - len(body))):
            body += piece
            if self._now() > end:
                raise CollateralUnavailable(f"{address} took more than 2 minutes to answer.", hint="Try again later.")
        if len(body) > limit:
            raise CollateralUnavailable(f"{address} answered with more than {limit} bytes.")
        announced = decimal(response.headers.get("Content-Length", ""))
        if announced is not None and len(body) != announced:
            raise _RetryableError(f"the answer ended after {len(body)} of {announced} bytes")
        return Answer(bytes(body), {name.lower(): value for name, value in response.headers.items()})

    def _retry_after(self, text: str | None) -> float | None:
        """Seconds of a Retry-After field, a number or a date (RFC 9110, section 10.2.3); None for anything else."""
        if text is None:
            return None
        seconds = text.strip()
        if seconds.isascii() and seconds.isdigit():
            return float(min(int(seconds[:9]), 10**6))
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return max(0.0, (moment - self._now()).total_seconds())
