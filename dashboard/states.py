"""What is shown in place of missing content: each state has its text and its remedy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import streamlit as st

from tocsin.dashboard import session
from tocsin.dashboard.client import ApiError, Kind
from tocsin.dashboard.words import clean, count

_STATES = {
    Kind.UNREACHABLE: (
        ":material/cloud_off:", "tocsin cannot be reached",
        "It may be starting, or stopped. This page retries automatically.",
    ),
    Kind.UNKNOWN_READER: (
        ":material/key_off:", "This token is not accepted",
        "It is missing, expired or revoked.",
    ),
    Kind.NOT_ALLOWED: (
        ":material/lock:", "Your role may not see this",
        "Sign in with a token of the required role, or ask an administrator for one.",
    ),
    Kind.MISSING: (
        ":material/search_off:", "Not found",
        "It may have been removed, or renamed.",
    ),
    Kind.BUSY: (
        ":material/hourglass_top:", "Too many requests",
        "tocsin accepts no requests for a moment. This page retries automatically.",
    ),
    Kind.AWAY: (
        ":material/database_off:", "History is unavailable",
        "Its database does not answer. Checks and alerts continue, and their results are kept.",
    ),
    Kind.REFUSED: (":material/block:", "tocsin refused the request", "The reason is:"),
    Kind.FAULT: (
        ":material/bug_report:", "Internal error in tocsin",
        "See the log of tocsin for details.",
    ),
}  # fmt: skip


def empty(icon: str, title: str, hint: str = "", detail: str = "") -> None:
    """Show a panel that says why there is no content, and what to do.

    Args:
        icon: the icon, as Streamlit writes it.
        title: the reason, as Markdown.
        hint: the remedy, as Markdown.
        detail: further text, which may be untrusted.
    """
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.space("xsmall")
        st.markdown(f"#### {icon} {title}", text_alignment="center", anchors=False)
        if hint:
            st.markdown(hint, text_alignment="center")
        if detail:
            st.text(clean(detail), text_alignment="center")
        st.space("xsmall")


def refused(error: ApiError, what: str = "", *, key: str = "part") -> None:
    """Show why the API gave no answer.

    Args:
        error: the error.
        what: name of the part of the page that is missing.
        key: with ``what``, identifies the panel on the page.
    """
    own = session.own_token() is not None
    if error.kind is Kind.UNKNOWN_READER and not own and session.settings().sign_in:
        st.rerun()  # signed out in another tab, or expired: the whole page asks to sign in
    icon, title, hint = _STATES[error.kind]
    if error.kind is Kind.BUSY and error.retry_after:
        hint = f"tocsin accepts requests again in {count(math.ceil(error.retry_after), 'second')}."
    detail = "" if error.kind is Kind.UNREACHABLE else error.detail
    empty(icon, f"{what}: {title[0].lower()}{title[1:]}" if what else title, hint, detail)
    # tocsin limits only requests whose token it does not accept.
    if error.kind in (Kind.UNKNOWN_READER, Kind.BUSY) and own:
        with st.container(horizontal=True, horizontal_alignment="center"):
            again = f"sign-in-again-{key}-{what.lower()}"
            if st.button("Sign in again", icon=":material/login:", key=again):
                session.sign_out()
                st.session_state["_dialog"] = ("sign-in", {})
                st.rerun()


@contextmanager
def loading() -> Iterator[None]:
    """Show progress of slow requests while a page is first drawn; refreshes show none."""
    st.session_state["_loading"] = True
    try:
        yield
    finally:
        st.session_state["_loading"] = False


@contextmanager
def guarded(what: str = "") -> Iterator[None]:
    """Show why the API gave no answer, in place of the content that needs it.

    Args:
        what: name of that part of the page.
    """
    loads = st.session_state.get("_loading", False)
    st.session_state["_loading"] = False  # nested parts show no second spinner
    try:
        with st.spinner("Loading …") if loads else nullcontext():
            yield
    except ApiError as error:
        refused(error, what)
    finally:
        st.session_state["_loading"] = loads


def sign_in_form(key: str) -> bool:
    """Ask for the reader's personal token; return whether one was accepted."""
    with st.form(key, border=False):
        token = st.text_input(
            "Token", type="password", autocomplete="current-password", placeholder="tocsin_…"
        )
        sent = st.form_submit_button("Sign in", type="primary", icon=":material/login:")
    st.caption(
        "`tocsin token create NAME --role operator` creates one; a viewer may read, an operator "
        "may acknowledge, silence and restart."
    )
    if not sent:
        return False
    try:
        session.try_token(token or "")
    except ApiError as error:
        if error.kind is Kind.UNKNOWN_READER:
            st.error("This token is not accepted: it is mistyped, expired or revoked.")
        else:
            st.error(f"{_STATES[error.kind][1]}.")
        return False
    session.sign_in(token or "")
    return True


def sign_in_page() -> None:
    """Show the sign-in page, in place of any page that needs a personal token."""
    with st.container(horizontal_alignment="center"):
        st.space("large")
        with st.container(border=True, width=440):
            st.markdown("### :material/notifications_active: tocsin", anchors=False)
            st.markdown("Sign in with your own token.")
            if sign_in_form("sign-in-page"):
                st.rerun()
