"""The current reader, with a personal token or, on this machine only, the dashboard's own token."""

from __future__ import annotations

import json
import math
import time
from datetime import tzinfo
from pathlib import Path
from typing import Any

import httpx
import streamlit as st
from attrs import frozen

from tocsin.dashboard.client import Api, ApiError, Kind, Shared, connect
from tocsin.dashboard.process import Settings
from tocsin.dashboard.signin import COOKIE, READERS
from tocsin.dashboard.words import zone_of

RANKS = {"viewer": 0, "operator": 1, "admin": 2}
ME_KEPT = 30.0
"""Seconds for which a token's name and role are cached."""

SHARED = 1.5
"""Seconds for which readers with the same token share an answer of the API."""

PATIENCE = 5.0
"""Seconds without requests after "too many requests" if tocsin does not name a time."""


@frozen(kw_only=True)
class Reader:
    """A reader's token and its properties.

    Attributes:
        token: the token.
        own: whether it is the reader's personal token; else it is the dashboard's own.
        name: name of the token.
        role: role of the token, a key of :data:`RANKS`.
        expires_at: time at which the token expires, as the API writes it.
    """

    token: str
    own: bool
    name: str = ""
    role: str = "viewer"
    expires_at: str | None = None

    def may(self, role: str) -> bool:
        """Return whether the reader has a personal token of at least this role."""
        return self.own and RANKS.get(self.role, 0) >= RANKS[role]


@frozen
class ReaderApi(Api):
    """The API, accessed with a reader's token.

    A refused token is not sent again, because tocsin limits refusals by address and all readers
    share the dashboard's address. Readers with the same token share answers for a short time.
    """

    def get(self, path: str, **query: Any) -> Any:
        """Return the answer to a GET request, which must not be modified. Raises ApiError."""
        what = (self.token, path, tuple(sorted((k, str(v)) for k, v in query.items())))
        return _shared().get(what, lambda: super(ReaderApi, self).get(path, **query))

    def post(self, path: str, body: Any = None) -> Any:
        """Return the answer to a POST request. Raises ApiError."""
        try:
            return super().post(path, body)
        finally:
            _shared().clear()

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        _refused_before(self.token)
        try:
            return super()._ask(method, path, **options)
        except ApiError as error:
            _remember(self.token, error)
            raise


@st.cache_resource
def _shared() -> Shared:
    return Shared(SHARED)


@st.cache_resource
def _settings() -> Settings:
    return Settings.from_environment()


@st.cache_resource
def _http(url: str) -> httpx.Client:
    return connect(url)


def settings() -> Settings:
    """Return the settings of this process."""
    return _settings()


def cookie() -> str | None:
    """Return the cookie that the browser sent when it connected."""
    return st.context.cookies.get(COOKIE)


def zone() -> tzinfo:
    """Return the time zone of the reader's browser."""
    return zone_of(st.context.timezone)


def own_token() -> str | None:
    """Return the token with which the reader has signed in, in this tab or another."""
    return READERS.token(_cookie())


def _cookie() -> str | None:
    """Return the reader's cookie: the one issued in this tab, which the connection does not have
    yet, or else the one that the browser sent."""
    given: str | None = st.session_state.get("_cookie")
    return given or cookie()


def reader() -> Reader | None:
    """Return the reader, or None if the reader must sign in first. Raises ApiError."""
    token = own_token()
    if token is None:
        if settings().sign_in:
            return None
        return Reader(token=_shared_token(), own=False)
    known: tuple[str, float, dict[str, Any]] | None = st.session_state.get("_me")
    if known is None or known[0] != token or known[1] < time.monotonic():
        me = ReaderApi(_http(settings().api_url), token).get("/api/v1/me")
        known = st.session_state["_me"] = (token, time.monotonic() + ME_KEPT, me)
    return Reader(token=token, own=True, **known[2])


def _shared_token() -> str:
    try:
        return Path(settings().token_file).read_text().strip()
    except OSError as error:
        raise ApiError(
            Kind.UNKNOWN_READER, "the dashboard's own token cannot be read; restart tocsin"
        ) from error


def api() -> Api:
    """Return the API with the reader's token. Raises ApiError."""
    who = reader()
    if who is None:
        raise ApiError(Kind.UNKNOWN_READER, "sign in first")
    return ReaderApi(_http(settings().api_url), who.token)


def _refused_before(token: str) -> None:
    """Raise again the ApiError of this token: always, or until the time to retry has come."""
    known: tuple[str, float, ApiError] | None = st.session_state.get("_refusal")
    if known is None or known[0] != token:
        return
    left = known[1] - time.monotonic()
    if left > 0:
        error = known[2]
        raise ApiError(error.kind, error.detail, left if error.kind is Kind.BUSY else None)


def _remember(token: str, error: ApiError) -> None:
    wait = {
        Kind.UNKNOWN_READER: math.inf,
        Kind.BUSY: PATIENCE if error.retry_after is None else error.retry_after,
    }.get(error.kind)
    if wait is not None:
        st.session_state["_refusal"] = (token, time.monotonic() + wait, error)


def try_token(token: str) -> dict[str, Any]:
    """Return a token's name, role and expiry from the API. Raises ApiError."""
    me: dict[str, Any] = Api(_http(settings().api_url), token.strip()).get("/api/v1/me")
    return me


def sign_in(token: str) -> None:
    """Keep the reader's token for a day, for all tabs of the browser by means of a cookie. This tab
    also keeps only the cookie, so that signing out in another tab applies here."""
    READERS.dismiss(_cookie())  # the browser is about to replace it
    given, code = READERS.admit(token.strip())
    st.session_state.update({"_cookie": given, "_send": ("sign-in", code)})
    st.session_state.pop("_refusal", None)


def sign_out() -> None:
    """Forget the reader's token, for all tabs."""
    READERS.dismiss(_cookie())
    for key in ("_cookie", "_me", "_refusal"):
        st.session_state.pop(key, None)
    st.session_state["_send"] = ("sign-out", "out")


def hand_over() -> None:
    """Make the browser set or delete its cookie after a sign-in or sign-out."""
    if sent := st.session_state.pop("_send", None):
        what, code = sent
        base = f"/{settings().base_path}" if settings().base_path else ""
        url, header = json.dumps(f"{base}/tocsin/{what}"), json.dumps(code)
        # Both are safe in a script: a fixed path, and random letters.
        script = f"fetch({url}, {{method: 'POST', headers: {{'X-Tocsin-Code': {header}}}}})"
        st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)
