"""Who reads: the dashboard's own token on this machine alone, or the reader's."""

from __future__ import annotations

import json
import time
from datetime import tzinfo
from pathlib import Path
from typing import Any

import httpx
import streamlit as st
from attrs import frozen

from tocsin.dashboard.client import Api, ApiError, Kind, connect
from tocsin.dashboard.process import Settings
from tocsin.dashboard.signin import COOKIE, READERS
from tocsin.dashboard.words import zone_of

RANKS = {"viewer": 0, "operator": 1, "admin": 2}
ME_KEPT = 30.0
"""Seconds for which a token's name and role are taken as known."""


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


@st.cache_resource
def _settings() -> Settings:
    return Settings.from_environment()


@st.cache_resource
def _http(url: str) -> httpx.Client:
    return connect(url)


def settings() -> Settings:
    """What this process was told."""
    return _settings()


def cookie() -> str | None:
    """The cookie that the browser came with."""
    return st.context.cookies.get(COOKIE)


def zone() -> tzinfo:
    """The time zone of the reader's browser."""
    return zone_of(st.context.timezone)


def own_token() -> str | None:
    """The token the reader has signed in with, in this tab or another."""
    if token := st.session_state.get("_token"):
        return str(token)
    if st.session_state.get("_signed_out"):
        return None
    return READERS.token(cookie())


def reader() -> Reader | None:
    """Who reads; None where the reader has to sign in first. Raises ApiError."""
    token = own_token()
    if token is None:
        if settings().sign_in:
            return None
        return Reader(token=_shared_token(), own=False)
    known: tuple[str, float, dict[str, Any]] | None = st.session_state.get("_me")
    if known is None or known[0] != token or known[1] < time.monotonic():
        me = Api(_http(settings().api_url), token).get("/api/v1/me")
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
    return Api(_http(settings().api_url), who.token)


def try_token(token: str) -> dict[str, Any]:
    """Whose token it is. Raises ApiError."""
    me: dict[str, Any] = Api(_http(settings().api_url), token.strip()).get("/api/v1/me")
    return me


def sign_in(token: str) -> None:
    """Remember the reader's token, in this tab and, by a cookie, in later ones."""
    cookie, code = READERS.admit(token.strip())
    st.session_state.update(
        {"_token": token.strip(), "_cookie": cookie, "_send": ("sign-in", code), "_signed_out": 0}
    )


def sign_out() -> None:
    """Forget the reader's token."""
    READERS.dismiss(st.session_state.get("_cookie") or cookie())
    for key in ("_token", "_cookie", "_me"):
        st.session_state.pop(key, None)
    st.session_state["_signed_out"] = True
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
