"""Signed-in readers: this process keeps their tokens, their browsers keep a cookie.

The cookie is random, HttpOnly and valid for a day. A Streamlit script cannot set a cookie; the
browser gets it for a single-use code. All data is in memory: a restart signs all readers out.
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
"""Seconds for which a code is valid."""

MOST = 1000
"""Maximum number of signed-in readers; beyond it, the oldest must sign in again."""


@define
class Readers:
    """The tokens of signed-in readers, by the hash of their cookie. Thread-safe."""

    _lock: threading.Lock = field(factory=threading.Lock)
    _tokens: dict[str, tuple[str, float]] = field(factory=dict)
    _codes: dict[str, tuple[str, float]] = field(factory=dict)

    def admit(self, token: str) -> tuple[str, str]:
        """Keep a token; return its cookie, and the code that the browser exchanges for it."""
        cookie, code = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            self._tokens[_hash(cookie)] = (token, now + KEPT)
            self._codes[_hash(code)] = (cookie, now + CODE_KEPT)
        return cookie, code

    def exchange(self, code: str) -> str | None:
        """Return the cookie for a code, once; None if the code is unknown or expired."""
        with self._lock:
            self._forget(time.monotonic())
            return self._codes.pop(_hash(code), ("", 0.0))[0] or None

    def token(self, cookie: str | None) -> str | None:
        """Return the token that belongs to a cookie, or None if there is none."""
        if not cookie:
            return None
        with self._lock:
            self._forget(time.monotonic())
            return self._tokens.get(_hash(cookie), ("", 0.0))[0] or None

    def dismiss(self, cookie: str | None) -> None:
        """Forget the reader with this cookie."""
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
"""The signed-in readers of this process."""


def routes(base: str) -> list[Route]:
    """Return the routes for signing in and out.

    Args:
        base: path of the dashboard, ``""`` or ``/path``. The cookie is limited to it, because a
            proxy may serve other applications under other paths.
    """
    kept: dict[str, Any] = {"path": base or "/", "httponly": True, "samesite": "strict"}

    async def exchange(request: Request) -> Response:
        """Give the browser its cookie for a code."""
        cookie = READERS.exchange(request.headers.get("X-Tocsin-Code", ""))
        if cookie is None:
            return Response(status_code=403)
        response = Response(status_code=204)
        # TLS ends at the proxy, so only the browser's Origin says whether TLS is used.
        secure = request.headers.get("Origin", str(request.url)).startswith("https://")
        response.set_cookie(COOKIE, cookie, max_age=int(KEPT), secure=secure, **kept)
        return response

    async def sign_out(request: Request) -> Response:
        """Delete the cookie. Pages of other origins cannot send the required header."""
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
