"""Actions of people, each confirmed first.

A dialog is opened by the script as a whole, not by the part of the page that refreshes itself: that
would close it. :func:`ask` remembers what is wanted, :func:`open_dialog` shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from tocsin.dashboard import session, states
from tocsin.dashboard.client import ApiError, Kind, path_of
from tocsin.dashboard.words import clean, plain, title_of

SILENCES = {"1 hour": "1h", "4 hours": "4h", "1 day": "1d", "1 week": "7d"}


def ask(action: str, **about: Any) -> None:
    """Open a dialog with the next run of the whole page."""
    st.session_state["_dialog"] = (action, about)
    st.rerun()


def button(action: str, label: str, icon: str, key: str, **about: Any) -> None:
    """A button that opens a dialog; without the role it leads to signing in, or says why not."""
    who = session.reader()
    held = who is not None and who.own and not who.may("operator")
    why = f"Your token {who.name} has the role {who.role}." if held and who else None
    pressed = st.button(
        label, icon=icon, key=key, disabled=held,
        help=None if why is None else plain(f"{why} This needs an operator."),
    )  # fmt: skip
    if pressed:
        ask(action, **about)


def open_dialog() -> None:
    """Show the dialog that was asked for, if any."""
    wanted = st.session_state.get("_dialog")
    if wanted is None:
        return
    action, about = wanted
    who = session.reader()
    own = who is not None and who.own
    if action == "sign-in" and own:  # done meanwhile, on the page that asks for nothing else
        _close()
        return
    if action != "sign-in" and not own:
        about = {"then": wanted}
        action = "sign-in"
    _DIALOGS[action](about)


def _close() -> None:
    st.session_state.pop("_dialog", None)


def _done(message: str) -> None:
    _close()
    st.toast(message, icon=":material/check_circle:")
    st.session_state["_toast"] = message
    st.rerun()


def _act(path: str, body: Any, message: str) -> None:
    """Do it; tell of it, or of why it was refused."""
    try:
        with st.spinner("Working …"):
            session.api().post(path, body)
    except ApiError as error:
        st.error(plain(f"{error.detail}"))
        if error.kind is Kind.UNKNOWN_READER:
            session.sign_out()
        return
    _done(message)


def _buttons(label: str, icon: str) -> bool:
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="dialog-cancel"):
            _close()
            st.rerun()
        return st.button(label, type="primary", icon=icon, key="dialog-confirm")


@st.dialog("Sign in", icon=":material/login:", on_dismiss=_close)
def _sign_in(about: dict[str, Any]) -> None:
    st.markdown("What people do is done, and audited, under their own token.")
    if states.sign_in_form("sign-in-dialog"):
        if then := about.get("then"):
            st.session_state["_dialog"] = then
        else:
            _close()
        st.rerun()


@st.dialog("Acknowledge", icon=":material/done_all:", on_dismiss=_close)
def _acknowledge(about: dict[str, Any]) -> None:
    st.text(clean(f"{title_of(about['type'])}: {about['target'] or 'tocsin'}"))
    st.caption("Repeats and escalation stop; the recovery is still told.")
    comment = st.text_input("Comment (optional)", max_chars=500, key="ack-comment")
    if _buttons("Acknowledge", ":material/done_all:"):
        path = path_of("alerts", about["id"], "acknowledge")
        _act(path, {"comment": comment or ""}, "Acknowledged")


@st.dialog("Silence", icon=":material/notifications_off:", on_dismiss=_close)
def _silence(about: dict[str, Any]) -> None:
    st.text(clean(f"Alerts of {about['target']} are kept from being told."))
    span = st.segmented_control(
        "For", list(SILENCES), default="1 hour", required=True, key="silence-for"
    )
    comment = st.text_input("Comment (optional)", max_chars=500, key="silence-comment")
    if _buttons("Silence", ":material/notifications_off:"):
        body = {
            "matchers": [f"target={about['target']}"],
            "duration": SILENCES[span or "1 hour"],
            "comment": comment or "",
        }
        _act(path_of("silences"), body, "Silenced")


@st.dialog("Restart", icon=":material/restart_alt:", on_dismiss=_close)
def _restart(about: dict[str, Any]) -> None:
    st.text(clean(f"Restart {about['target']} now?"))
    if about.get("dependents"):
        st.caption(plain("These depend on it: " + ", ".join(about["dependents"]), 300))
    if _buttons("Restart", ":material/restart_alt:"):
        _act(path_of("containers", about["target"], "restart"), None, "Restarted")


@st.dialog("What the engine knows", icon=":material/data_object:", width="large", on_dismiss=_close)
def _inspect(about: dict[str, Any]) -> None:
    st.text(clean(about["target"]))
    with states.guarded():
        found = session.api().get(path_of("containers", about["target"], "inspect"))
        st.json(found["document"], expanded=1)


_DIALOGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "sign-in": _sign_in,
    "acknowledge": _acknowledge,
    "silence": _silence,
    "restart": _restart,
    "inspect": _inspect,
}
