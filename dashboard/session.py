"""Who reads: the dashboard's own token on this machine alone, or the reader's."""

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
"""Seconds for which a token's name and role are taken as known."""

SHARED = 1.5
"""Seconds for which an answer of the API is good for all readers with the same token."""

PATIENCE = 5.0
"""Seconds of quiet after "too many requests" where tocsin does not say how many."""


@frozen(kw_only=True)
class Reader:
    """A token and what is known of it. ``own``: the reader brought it."""

    token: str
    own: bool
    name: str = ""
    role: str = "viewer"
    expires_at: str | None = None

    def may(self, role: str) -> bool:
        """Whether the reader may act: with a token of their own, of at least that role."""
        return self.own and RANKS.get(self.role, 0) >= RANKS[role]


@frozen
class ReaderApi(Api):
    """The API under a reader's token. A token that was refused is not sent again, since all readers
    come from one address and tocsin limits the refusals of an address. Readers with the same token
    share answers for a short time."""

    def get(self, path: str, **query: Any) -> Any:
        """What a GET answers; it is not to be changed. Raises ApiError."""
        what = (self.token, path, tuple(sorted((k, str(v)) for k, v in query.items())))
        return _shared().get(what, lambda: super(ReaderApi, self).get(path, **query))

    def post(self, path: str, body: Any = None) -> Any:
        """What a POST answers. Raises ApiError."""
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
    """The cookie that the browser came with."""
    return st.context.cookies.get(COOKIE)


def zone() -> tzinfo:
    """The time zone of the reader's browser."""
    return zone_of(st.context.timezone)


def own_token() -> str | None:
    """The token the reader has signed in with, in this tab or another."""
    return READERS.token(_cookie())


def _cookie() -> str | None:
    """The reader's cookie: the one just given, of which this tab's connection does not know yet,
    or the one it came with."""
    given: str | None = st.session_state.get("_cookie")
    return given or cookie()


def reader() -> Reader | None:
    """Who reads; None where the reader has to sign in first. Raises ApiError."""
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
            Kind.UNKNOWN_READER, "the dashboard's own token is not there; restart tocsin"
        ) from error


def api() -> Api:
    """The API as this reader. Raises ApiError."""
    who = reader()
    if who is None:
        raise ApiError(Kind.UNKNOWN_READER, "sign in first")
    return ReaderApi(_http(settings().api_url), who.token)


def _refused_before(token: str) -> None:
    """Raise the ApiError that this token met, while it holds: for good, or as long as asked."""
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
    """Whose token it is. Raises ApiError."""
    me: dict[str, Any] = Api(_http(settings().api_url), token.strip()).get("/api/v1/me")
    return me


def sign_in(token: str) -> None:
    """Remember the reader's token for a day, in this tab and, by a cookie, in others. This tab,
    too, keeps the cookie alone: what ends it anywhere ends it here."""
    READERS.dismiss(_cookie())  # the browser is about to forget it
    given, code = READERS.admit(token.strip())
    st.session_state.update({"_cookie": given, "_send": ("sign-in", code)})
    st.session_state.pop("_refusal", None)


def sign_out() -> None:
    """Forget the reader's token, in every tab."""
    READERS.dismiss(_cookie())
    for key in ("_cookie", "_me", "_refusal"):
        st.session_state.pop(key, None)
    st.session_state["_send"] = ("sign-out", "out")


def hand_over() -> None:
    """Tell the browser of a sign-in or sign-out that has just happened."""
    if sent := st.session_state.pop("_send", None):
        what, code = sent
        base = f"/{settings().base_path}" if settings().base_path else ""
        url, header = json.dumps(f"{base}/tocsin/{what}"), json.dumps(code)
        # Both are our own: a fixed path, and random letters.
        script = f"fetch({url}, {{method: 'POST', headers: {{'X-Tocsin-Code': {header}}}}})"
        st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)
