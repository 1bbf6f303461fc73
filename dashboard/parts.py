"""Elements that several pages share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from tocsin.dashboard import dialogs, pages, session, tones
from tocsin.dashboard.words import ago, clean, plain, said_of, when

Item = Mapping[str, Any]


def header(title: str, icon: str, *, hint: str = "") -> None:
    """Show the head of a page: its title and the reader menu."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(f"{icon} {plain(title, 80)}", anchor=False, width="stretch")
        if hint:
            st.caption(hint, width="content")
        reader_menu()


def reader_menu() -> None:
    """Show the reader's name, role and sign-out button, or a sign-in button."""
    who = session.reader()
    if who is None or not who.own:
        if st.button("Sign in", icon=":material/login:", key="sign-in", type="tertiary"):
            dialogs.ask("sign-in")
        return
    label = plain(who.name, 24)
    with st.popover(label, icon=":material/account_circle:", type="tertiary"):
        st.text(clean(f"{who.name}: {who.role}"))
        if who.expires_at:
            st.caption(f"This token is valid until {when(who.expires_at, session.zone())}.")
        if st.button("Sign out", icon=":material/logout:", key="sign-out"):
            session.sign_out()
            st.rerun()


def blind(health: Item) -> bool:
    """Show a warning with tocsin's degraded and failed components; return if there are any."""
    wrong = [
        (name, part)
        for name, part in health["components"].items()
        if part["status"] in ("degraded", "failed")
    ]
    if wrong:
        lines = [f"- {plain(name, 60)}: {plain(part['message'], 240)}" for name, part in wrong]
        told = "\n".join(["**Some components of tocsin are degraded or failed:**", *lines])
        st.warning(told, icon=":material/visibility_off:")
    return bool(wrong)


def icon_of(kind: str) -> str:
    """Return the icon of a kind of target."""
    return _ICONS.get(kind, ":material/language:")


_ICONS = {
    "container": ":material/deployed_code:", "host": ":material/dns:",
    "database": ":material/database:", "backup": ":material/backup:",
    "replicated-service": ":material/stacks:",
}  # fmt: skip


def now_line() -> str:
    """Return the time of this refresh, such as ``Updated 14:30:05``."""
    return f"Updated {datetime.now(UTC).astimezone(session.zone()):%H:%M:%S}"


def bar(counts: Sequence[Sequence[int]], words: str, *, small: bool = False) -> str:
    """Return an uptime bar as HTML: one segment per period, coloured by the worst status in it.

    Args:
        counts: per period, the numbers of results that were up, degraded, down and unknown.
        words: text alternative. It is not escaped and must not contain untrusted text.
        small: whether the bar is low, for a card.
    """
    kinds = []
    for up, degraded, down, unknown in counts:
        kinds.append(
            "down" if down else "degraded" if degraded else "up" if up
            else "unknown" if unknown else "none"
        )  # fmt: skip
    size = " small" if small else ""
    stretches = "".join(f'<i class="tocsin-{kind}"></i>' for kind in kinds)
    return f'<div class="tocsin-bar{size}" role="img" aria-label="{words}">{stretches}</div>'


def alert_rows(alerts: Iterable[Item], *, key: str, ack: bool = True) -> None:
    """Show alerts, one per row: severity, time, target, message and the possible action.

    Args:
        alerts: the alerts.
        key: prefix of Streamlit's keys, unique on the page.
        ack: whether firing alerts have a button to acknowledge them.
    """
    zone = session.zone()
    for alert in alerts:
        tone = tones.of_alert(alert)
        over = alert["state"] == "resolved"
        name = alert["container_name"]
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small",
            key=f"{key}-{alert['id']}",
        ):  # fmt: skip
            word = "Resolved" if over else alert["severity"].capitalize()
            st.markdown(tones.badge(tone, word), width=120)
            st.caption(when(alert["created_at"], zone), width=92)
            with st.container(width=190):
                if name:
                    pages.target_link(name)
                else:
                    st.text("tocsin")
            st.text(clean(said_of(alert["alert_type"], alert["message"]), 160),
                    width="stretch")  # fmt: skip
            if alert["state"] == "acknowledged":
                st.caption(plain(f"Acknowledged by {alert['acknowledged_by']}", 60),
                           width="content")  # fmt: skip
            elif alert["explained_by"]:
                pages.target_link(alert["explained_by"], icon=":material/account_tree:")
            elif ack and alert["state"] == "firing":
                dialogs.button(
                    "acknowledge", "Ack", ":material/done_all:", f"{key}-ack-{alert['id']}",
                    id=alert["id"], type=alert["alert_type"], target=name,
                )  # fmt: skip
            elif over:
                st.caption(ago(alert["resolved_at"]), width="content")
