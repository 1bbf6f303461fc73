"""The ledger: why people were or were not notified of each alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from tocsin.dashboard import pages, paging, session, states
from tocsin.dashboard.client import path_of
from tocsin.dashboard.pace import live
from tocsin.dashboard.words import clean, count, plain, title_of, when

EVERY = 3
"""Seconds between two refreshes."""

PAGE = 40

Item = Mapping[str, Any]


def story(rows: Sequence[Item]) -> None:
    """Show the decisions about one alert."""
    with st.container(border=True, key="panel-story"):
        st.markdown("**:material/receipt_long: Why channels were, or were not, notified**")
        if not rows:
            st.caption("Nothing has been decided yet.")
        for row in rows:
            _decision(row, with_alert=False)


_DECISIONS = {
    "sent": (":material/send:", "green"), "queued": (":material/schedule_send:", "blue"),
    "dead": (":material/error:", "red"), "inhibited": (":material/account_tree:", "gray"),
    "held": (":material/hourglass_top:", "gray"), "silenced": (":material/notifications_off:",
    "gray"), "maintenance": (":material/engineering:", "gray"), "settling":
    (":material/hourglass_top:", "gray"), "cooldown": (":material/timer:", "gray"), "flapping":
    (":material/swap_vert:", "gray"), "acknowledged": (":material/done_all:", "gray"), "unheard":
    (":material/hearing_disabled:", "gray"), "superseded": (":material/merge:", "gray"),
    "severity": (":material/filter_list:", "gray"), "no-channel": (":material/link_off:", "orange"),
}  # fmt: skip
DECISIONS = {word.replace("-", " ").capitalize(): word for word in _DECISIONS}


def _decision(row: Item, *, with_alert: bool = True) -> None:
    icon, colour = _DECISIONS.get(row["decision"], (":material/help:", "gray"))
    word = plain(str(row["decision"]).replace("-", " ").capitalize())
    channel = "no channel" if row["channel"] == "-" else row["channel"]
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key=f"note-{row['id']}"
    ):
        st.caption(when(row["created_at"], session.zone()), width=92)
        st.markdown(f":{colour}-badge[{icon} {word}]", width=150)
        with st.container(gap=None, width="stretch"):
            st.caption(plain(f"{row['transition']} → {channel}"))
            told = row["reason"] or row["answer"]
            if row["decision"] == "dead" and row["answer"]:
                told = f"{row['reason']}: {row['answer']}"
            st.text(clean(told, 260) or "–")
        if row["attempts"] > 1:
            st.caption(count(row["attempts"], "attempt"), width="content")
        if with_alert:
            label = f"{title_of(row['alert_type'] or 'alert')}: {row['container_name'] or 'tocsin'}"
            pages.link("alerts", label, query={"id": row["alert_id"]})


@live(EVERY)
def show() -> None:
    """Show the decisions about all alerts, with filters."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        decision = st.selectbox(
            "Decision", ["Any decision", *DECISIONS], key="decision", bind="query-params",
            width=200, label_visibility="collapsed",
        )  # fmt: skip
        channel = st.text_input(
            "Channel", key="channel", bind="query-params", placeholder="Channel",
            icon=":material/send:", width=200, label_visibility="collapsed",
        )  # fmt: skip
    before = paging.cursor("ledger", decision, channel)
    with states.guarded():
        found = session.api().get(
            path_of("notifications"), limit=PAGE, decision=DECISIONS.get(decision or ""),
            channel=(channel or "").strip() or None, cursor=before,
        )  # fmt: skip
        if not found["items"]:
            states.empty(
                ":material/receipt_long:", "No decisions found",
                "Each alert adds a row for each channel: notified, or why not.",
            )  # fmt: skip
        else:
            with st.container(border=True, key="panel-ledger"):
                for row in found["items"]:
                    _decision(row)
        paging.turn(before, found["next"])
