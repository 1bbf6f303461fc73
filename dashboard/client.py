"""The client of tocsin's HTTP API, and its errors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable
from enum import StrEnum
from threading import Lock
from typing import Any
from urllib.parse import quote

import httpx
from attrs import define, field, frozen

TIMEOUT = httpx.Timeout(10.0, connect=2.0)
"""Timeout of most requests, in seconds."""

PATIENT = httpx.Timeout(60.0, connect=2.0)
"""Timeout, in seconds, of requests that wait for the engine, such as restarting a container."""


class Kind(StrEnum):
    """Why a request has no result."""

    UNREACHABLE = "unreachable"
    UNKNOWN_READER = "unknown-reader"  # the token is missing, wrong, expired or revoked
    NOT_ALLOWED = "not-allowed"
    MISSING = "missing"
    REFUSED = "refused"
    BUSY = "busy"
    AWAY = "away"  # the database of history does not answer
    FAULT = "fault"


_KINDS = {
    401: Kind.UNKNOWN_READER,
    403: Kind.NOT_ALLOWED,
    404: Kind.MISSING,
    429: Kind.BUSY,
    503: Kind.AWAY,
}


class ApiError(Exception):
    """The API refused a request or did not answer.

    Attributes:
        kind: why.
        detail: the API's own sentence.
        retry_after: seconds after which to retry, if the API names them.
    """

    def __init__(self, kind: Kind, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after


@frozen
class Api:
    """The API, accessed with one reader's token."""

    http: httpx.Client
    token: str

    def get(self, path: str, **query: Any) -> Any:
        """Return the answer to a GET request; query parameters that are None are left out.

        Raises:
            ApiError: the API refused the request or did not answer.
        """
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", path, params=given)

    def post(self, path: str, body: Any = None) -> Any:
        """Return the answer to a POST request.

        Raises:
            ApiError: the API refused the request or did not answer.
        """
        return self._ask("POST", path, json={} if body is None else body, timeout=PATIENT)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            answer = self.http.request(method, path, headers=headers, **options)
        except httpx.TimeoutException as error:
            raise ApiError(Kind.UNREACHABLE, "tocsin did not answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise ApiError(Kind.UNREACHABLE, "tocsin does not answer") from error
        try:
            body = answer.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            body = None
        # While tocsin is not healthy, /health answers 503 with a regular document.
        if answer.is_success or (path == "/health" and isinstance(body, dict)):
            return body
        raise _refusal(answer, body)


@define
class _Answer:
    lock: Lock = field(factory=Lock)
    at: float | None = None
    value: Any = None
    error: ApiError | None = None


@define
class Shared:
    """A thread-safe cache of answers that many readers request at about the same time.

    Each answer is requested once: other readers wait for the request in progress and share its
    answer, or its error, for ``kept`` seconds. Answers must not be modified.
    """

    kept: float
    _answers: dict[Hashable, _Answer] = field(factory=dict)
    _lock: Lock = field(factory=Lock)

    def get(self, what: Hashable, ask: Callable[[], Any]) -> Any:
        """Return the cached answer, or request it.

        Args:
            what: key of the request in the cache.
            ask: sends the request and returns its answer.

        Raises:
            ApiError: the request failed, now or within the last ``kept`` seconds.
        """
        with self._lock:
            answer = self._answers.setdefault(what, _Answer())
        with answer.lock:
            if answer.at is None or time.monotonic() >= answer.at + self.kept:
                answer.at, answer.value, answer.error = None, None, None
                self._forget()  # keeps the requests in progress
                try:
                    answer.value = ask()
                except ApiError as error:
                    answer.error = error
                finally:
                    answer.at = time.monotonic()
        if (met := answer.error) is not None:
            raise ApiError(met.kind, met.detail, met.retry_after)
        return answer.value

    def _forget(self) -> None:
        """Drop expired answers."""
        now = time.monotonic()
        with self._lock:
            for what, answer in list(self._answers.items()):
                if answer.at is not None and now >= answer.at + self.kept:
                    del self._answers[what]

    def clear(self) -> None:
        """Drop all answers, because a reader has changed something."""
        with self._lock:
            self._answers.clear()


def _refusal(answer: httpx.Response, body: Any) -> ApiError:
    detail = body.get("detail") if isinstance(body, dict) else None
    kind = _KINDS.get(answer.status_code, Kind.FAULT)
    if kind is Kind.FAULT and answer.status_code < 500:
        kind = Kind.REFUSED
    after = answer.headers.get("Retry-After", "")
    return ApiError(
        kind,
        str(detail or f"tocsin answered with HTTP status {answer.status_code}"),
        float(after) if after.isdigit() else None,
    )


def connect(url: str) -> httpx.Client:
    """Return an HTTP client for all readers; it uses no proxy and follows no redirects."""
    return httpx.Client(
        base_url=url, timeout=TIMEOUT, trust_env=False,
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=16),
    )  # fmt: skip


def path_of(*parts: str) -> str:
    """Return a path below ``/api/v1``; the parts may contain any characters."""
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
