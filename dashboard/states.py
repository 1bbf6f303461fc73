"""What is shown when there is nothing to show: each state has its words and its way out."""

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
        "It may be starting, or stopped. This page comes back by itself.",
    ),
    Kind.UNKNOWN_READER: (
        ":material/key_off:", "This token is not accepted",
        "It is missing, expired or revoked.",
    ),
    Kind.NOT_ALLOWED: (
        ":material/lock:", "Your role may not see this",
        "Somebody with the role it needs can, or can give you a token that does.",
    ),
    Kind.MISSING: (
        ":material/search_off:", "There is no such thing",
        "It may have been removed, or renamed.",
    ),
    Kind.BUSY: (
        ":material/hourglass_top:", "Too many requests",
        "tocsin asks for a little patience. This page comes back by itself.",
    ),
    Kind.AWAY: (
        ":material/database_off:", "History is away",
        "Its database does not answer. Checks and alerts go on, and what they see is kept.",
    ),
    Kind.REFUSED: (":material/block:", "tocsin refused", "The reason stands below."),
    Kind.FAULT: (
        ":material/bug_report:", "A fault inside tocsin",
        "Its log has the details.",
    ),
}  # fmt: skip


def empty(icon: str, title: str, hint: str = "", detail: str = "") -> None:
    """A quiet panel that says why there is nothing here, and what to do."""
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.space("xsmall")
        st.markdown(f"#### {icon} {title}", text_alignment="center", anchors=False)
        if hint:
            st.markdown(hint, text_alignment="center")
        if detail:
            st.text(clean(detail), text_alignment="center")
        st.space("xsmall")


def refused(error: ApiError, what: str = "", *, key: str = "part") -> None:
    """Why the API gave no answer. ``what`` names what is missing from the page for it; no two on a
    page have the same ``key`` and ``what``."""
    own = session.own_token() is not None
    if error.kind is Kind.UNKNOWN_READER and not own and session.settings().sign_in:
        st.rerun()  # signed out elsewhere, or a day has passed: the whole page asks to sign in
    icon, title, hint = _STATES[error.kind]
    if error.kind is Kind.BUSY and error.retry_after:
        hint = f"tocsin asks for {count(math.ceil(error.retry_after), 'second')} of patience."
    detail = "" if error.kind is Kind.UNREACHABLE else error.detail
    empty(icon, f"{what}: {title[0].lower()}{title[1:]}" if what else title, hint, detail)
    # tocsin asks only those for patience whose token it does not accept.
    if error.kind in (Kind.UNKNOWN_READER, Kind.BUSY) and own:
        with st.container(horizontal=True, horizontal_alignment="center"):
            again = f"sign-in-again-{key}-{what.lower()}"
            if st.button("Sign in again", icon=":material/login:", key=again):
                session.sign_out()
                st.session_state["_dialog"] = ("sign-in", {})
                st.rerun()


@contextmanager
def loading() -> Iterator[None]:
    """A page is drawn for the first time: what takes long says so. Its refreshes are silent."""
    st.session_state["_loading"] = True
    try:
        yield
    finally:
        st.session_state["_loading"] = False


@contextmanager
def guarded(what: str = "") -> Iterator[None]:
    """Show why the API gave no answer in place of what needed it."""
    loads = st.session_state.get("_loading", False)
    st.session_state["_loading"] = False  # one inside another has nothing to add
    try:
        with st.spinner("Loading …") if loads else nullcontext():
            yield
    except ApiError as error:
        refused(error, what)
    finally:
        st.session_state["_loading"] = loads


def sign_in_form(key: str) -> bool:
    """Ask for the reader's own token; True once it is taken."""
    with st.form(key, border=False):
        token = st.text_input(
            "Token", type="password", autocomplete="current-password", placeholder="tocsin_…"
        )
        sent = st.form_submit_button("Sign in", type="primary", icon=":material/login:")
    st.caption(
        "`tocsin token create NAME --role operator` makes one; a viewer may look, an operator may "
        "acknowledge, silence and restart."
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
    """The whole page, where readers need a token of their own."""
    with st.container(horizontal_alignment="center"):
        st.space("large")
        with st.container(border=True, width=440):
            st.markdown("### :material/notifications_active: tocsin", anchors=False)
            st.markdown("Sign in with your own token.")
            if sign_in_form("sign-in-page"):
                st.rerun()
