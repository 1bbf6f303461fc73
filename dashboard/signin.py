"""Readers who have signed in: their token stays on this side, their browser keeps a cookie.

The cookie is random, HttpOnly and good for a day; it is set in exchange for a code that is good
once, since a Streamlit script cannot set one. All of it is in memory: a restart signs out.
"""

from __future__ import annotations

import secrets
import threading
import time
from hashlib import sha256
from typing import Any

from attrs import define, field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

COOKIE = "tocsin_reader"
KEPT = 24 * 3600.0
"""Seconds that a reader stays signed in."""

CODE_KEPT = 60.0
MOST = 1000
"""Readers at once; past them the oldest has to sign in again."""


@define
class Readers:
    """Tokens by the hash of the cookie that stands for them. Used from many threads."""

    _lock: threading.Lock = field(factory=threading.Lock)
    _tokens: dict[str, tuple[str, float]] = field(factory=dict)
    _codes: dict[str, tuple[str, float]] = field(factory=dict)

    def admit(self, token: str) -> tuple[str, str]:
        """Keep a token; returns its cookie, and the code for which the browser gets the cookie."""
        cookie, code = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            self._tokens[_hash(cookie)] = (token, now + KEPT)
            self._codes[_hash(code)] = (cookie, now + CODE_KEPT)
        return cookie, code

    def exchange(self, code: str) -> str | None:
        """The cookie for a code, once."""
        with self._lock:
            self._forget(time.monotonic())
            return self._codes.pop(_hash(code), ("", 0.0))[0] or None

    def token(self, cookie: str | None) -> str | None:
        """The token that a cookie stands for."""
        if not cookie:
            return None
        with self._lock:
            self._forget(time.monotonic())
            return self._tokens.get(_hash(cookie), ("", 0.0))[0] or None

    def dismiss(self, cookie: str | None) -> None:
        """Forget a reader."""
        if cookie:
            with self._lock:
                self._tokens.pop(_hash(cookie), None)

    def _forget(self, now: float) -> None:
        for kept in (self._tokens, self._codes):
            for key in [key for key, (_, until) in kept.items() if until <= now]:
                del kept[key]
            while len(kept) > MOST:
                del kept[next(iter(kept))]


READERS = Readers()
"""Those of this process."""


def routes(base: str) -> list[Route]:
    """Signing in and out, under the path that the dashboard is served under: ``""`` or ``/path``.
    The cookie goes nowhere else, for a proxy may serve other things beside it."""
    kept: dict[str, Any] = {"path": base or "/", "httponly": True, "samesite": "strict"}

    async def exchange(request: Request) -> Response:
        """Give the browser its cookie for a code."""
        cookie = READERS.exchange(request.headers.get("X-Tocsin-Code", ""))
        if cookie is None:
            return Response(status_code=403)
        response = Response(status_code=204)
        # A proxy speaks TLS and we do not: the browser says what it speaks.
        secure = request.headers.get("Origin", str(request.url)).startswith("https://")
        response.set_cookie(COOKIE, cookie, max_age=int(KEPT), secure=secure, **kept)
        return response

    async def sign_out(request: Request) -> Response:
        """Take the cookie back. The header keeps pages of elsewhere from doing so."""
        if "X-Tocsin-Code" not in request.headers:
            return Response(status_code=403)
        READERS.dismiss(request.cookies.get(COOKIE))
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, **kept)
        return response

    return [
        Route(f"{base}/tocsin/sign-in", exchange, methods=["POST"]),
        Route(f"{base}/tocsin/sign-out", sign_out, methods=["POST"]),
    ]


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
