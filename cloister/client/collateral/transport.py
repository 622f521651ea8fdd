"""One GET, asked until it is answered: what went wrong on the way is tried again, for a bounded number of times.

A service that says how long to wait (429 or 503 with Retry-After) is obeyed if that is not too long. Answers are
bounded, in bytes and in time, and whole; redirects are not followed. The body is not believed for where it comes from.
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

TRIES = 4
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""Seconds before the second try, doubled with every further one; and what a service may ask for at most."""
_TIMEOUT = 20.0
_LONGEST_ANSWER = datetime.timedelta(minutes=2)
"""A service that sends a little now and then is not waited for any longer."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504)

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


class _AgainError(Exception):
    """The question may be asked again, after ``pause`` seconds if the service said so."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class Transport:
    """Asks over HTTP. ``wait`` sleeps for seconds, ``now`` gives the aware time, ``context`` says whom TLS trusts."""

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
        for attempt in range(1, TRIES + 1):
            try:
                return self._once(address, limit, headers or {})
            except _AgainError as error:
                asked = pause if error.pause is None else error.pause
                if attempt == TRIES:
                    raise CollateralUnavailable(
                        f"{address} did not answer in {TRIES} tries: {error}.", hint="Try again later."
                    ) from error
                if asked > _LONGEST_PAUSE:
                    raise CollateralUnavailable(
                        f"{address} asks to come back in {asked:.0f} seconds.", hint="Try again then."
                    ) from error
                self._wait(asked)
                pause *= 2
        raise AssertionError("the last try returns or raises")

    def _once(self, address: str, limit: int, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(address, headers={"User-Agent": "cloister", **headers})
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as response:
                return self._read(address, limit, response)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _AGAIN:
                    pause = self._retry_after(error.headers.get("Retry-After"))
                    raise _AgainError(f"status {error.code}", pause) from error
                raise CollateralUnavailable(f"{address} answered with status {error.code}.") from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise CollateralUnavailable(
                    f"{address} shows a certificate that is not trusted: {error.reason}."
                ) from error
            raise _AgainError(str(error.reason)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _AgainError(str(error) or type(error).__name__) from error

    def _read(self, address: str, limit: int, response: http.client.HTTPResponse) -> Answer:
        if response.status != http.HTTPStatus.OK:
            raise CollateralUnavailable(f"{address} answered with status {response.status}.")
        body, end = bytearray(), self._now() + _LONGEST_ANSWER
        while len(body) <= limit and (piece := response.read1(limit + 1 - len(body))):
            body += piece
            if self._now() > end:
                raise CollateralUnavailable(
                    f"{address} takes more than 2 minutes for its answer.", hint="Try again later."
                )
        if len(body) > limit:
            raise CollateralUnavailable(f"{address} answered with more than {limit} bytes.")
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and len(body) != int(announced):
            raise _AgainError(f"the answer was cut after {len(body)} of {announced} bytes")
        return Answer(bytes(body), {name.lower(): value for name, value in response.headers.items()})

    def _retry_after(self, text: str | None) -> float | None:
        """Seconds: RFC 9110, section 10.2.3, a number or a date; None for anything else."""
        if text is None:
            return None
        if text.strip().isdecimal():
            return float(min(int(text.strip()[:9]), 10**6))
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return max(0.0, (moment - self._now()).total_seconds())
