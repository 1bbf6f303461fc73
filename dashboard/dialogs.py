"""Dialogs in which readers confirm an action, such as restarting a container.

A dialog is opened by a run of the whole page. If a part of the page that refreshes itself opened
it, the next refresh would close it. :func:`ask` stores the request, :func:`open_dialog` shows it.
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
    """Run the whole page again and open a dialog.

    Args:
        action: name of the dialog.
        about: data that the dialog needs, such as the target.
    """
    st.session_state["_dialog"] = (action, about)
    st.rerun()


def button(action: str, label: str, icon: str, key: str, **about: Any) -> None:
    """Show a button that opens a dialog.

    The button is disabled, with an explanation, if the reader's token lacks the role. A reader
    without a personal token is asked to sign in first.
    """
    who = session.reader()
    held = who is not None and who.own and not who.may("operator")
    why = f"Your token {who.name} has the role {who.role}." if held and who else None
    pressed = st.button(
        label, icon=icon, key=key, disabled=held,
        help=None if why is None else plain(f"{why} This action needs the role operator."),
    )  # fmt: skip
    if pressed:
        ask(action, **about)


def open_dialog() -> None:
    """Show the requested dialog, if any; before it, the sign-in dialog if that is needed."""
    wanted = st.session_state.get("_dialog")
    if wanted is None:
        return
    action, about = wanted
    who = session.reader()
    own = who is not None and who.own
    if action == "sign-in" and own:  # signed in meanwhile on the sign-in page
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
    """Send the request, then close the dialog with a message, or show why it was refused."""
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
    st.markdown("Actions need a personal token; the audit log names it.")
    if states.sign_in_form("sign-in-dialog"):
        if then := about.get("then"):
            st.session_state["_dialog"] = then
        else:
            _close()
        st.rerun()


@st.dialog("Acknowledge", icon=":material/done_all:", on_dismiss=_close)
def _acknowledge(about: dict[str, Any]) -> None:
    st.text(clean(f"{title_of(about['type'])}: {about['target'] or 'tocsin'}"))
    st.caption("Repeats and escalation stop; recovery notifications are still sent.")
    comment = st.text_input("Comment (optional)", max_chars=500, key="ack-comment")
    if _buttons("Acknowledge", ":material/done_all:"):
        path = path_of("alerts", about["id"], "acknowledge")
        _act(path, {"comment": comment or ""}, "Acknowledged")


@st.dialog("Silence", icon=":material/notifications_off:", on_dismiss=_close)
def _silence(about: dict[str, Any]) -> None:
    st.text(clean(f"No notifications are sent for alerts of {about['target']}."))
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
        _act(path_of("targets", about["target"], "restart"), None, "Restarted")


@st.dialog("Inspect", icon=":material/data_object:", width="large", on_dismiss=_close)
def _inspect(about: dict[str, Any]) -> None:
    st.text(clean(about["target"]))
    with states.guarded():
        found = session.api().get(path_of("targets", about["target"], "inspect"))
        st.json(found["document"], expanded=1)


_DIALOGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "sign-in": _sign_in,
    "acknowledge": _acknowledge,
    "silence": _silence,
    "restart": _restart,
    "inspect": _inspect,
}
