"""The alerts over time, and why people were or were not notified of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import streamlit as st

from tocsin.dashboard import dialogs, pages, parts, session, states, tones
from tocsin.dashboard.client import ApiError, Kind, path_of
from tocsin.dashboard.pace import live
from tocsin.dashboard.words import clean, count, duration, moment, plain, said_of, title_of, when

EVERY = 3
"""Seconds between two refreshes."""

PAGE = 50
LEDGER_PAGE = 40
VIEWS = ("Timeline", "Why notified, why not")

STATES = ("Firing", "Acknowledged", "Suppressed", "Resolved")
SPANS = {"Any time": None, "24 hours": 24, "7 days": 168, "30 days": 720}

Item = Mapping[str, Any]


def page() -> None:
    """Draw the timeline, or one alert where ``?id=`` names it."""
    if chosen := st.query_params.get("id"):
        pages.link("alerts", "All alerts", icon=":material/arrow_back:")
        _one(chosen)
        return
    parts.header("Alerts", ":material/notifications:")
    view = st.segmented_control(
        "View", VIEWS, default=VIEWS[0], required=True, key="view", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    if view == VIEWS[1]:
        _ledger()
    else:
        _timeline()


@live(EVERY)
def _timeline() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        severity = st.segmented_control(
            "Severity", ["Critical", "Warning", "Info"], key="severity", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        chosen = st.pills(
            "State", STATES, selection_mode="multi", key="state", bind="query-params",
            label_visibility="collapsed", wrap=True,
        )  # fmt: skip
        name = st.text_input(
            "Target", key="target", bind="query-params", placeholder="Full name of the target",
            icon=":material/search:", width=250, label_visibility="collapsed",
        )  # fmt: skip
        span = st.selectbox(
            "When", list(SPANS), key="when", bind="query-params", width=140,
            label_visibility="collapsed",
        )  # fmt: skip
    before = _cursor("timeline", severity, tuple(chosen or ()), name, span)
    with states.guarded():
        api = session.api()
        hours = SPANS[span or "Any time"]
        since = None
        if hours is not None:
            since = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        found = api.get(
            path_of("alerts"), limit=PAGE, since=since,
            severity=severity.lower() if severity else None,
            state=",".join(word.lower() for word in chosen or ()) or None,
            target=(name or "").strip() or None, cursor=before,
        )  # fmt: skip
        items = found["items"]
        if not items:
            filtered = bool(severity or chosen or name or hours or before)
            states.empty(
                ":material/notifications_off:" if not filtered else ":material/filter_alt_off:",
                "No alert matches the filter" if filtered else "No alert yet",
                "Choose other filters." if filtered else "New alerts appear here automatically.",
            )  # fmt: skip
        for day, members in _days(items).items():
            st.markdown(f"##### {day}", anchors=False)
            with st.container(border=True, gap="small", key=f"panel-day-{members[0]['id']}"):
                for alert in members:
                    _row(alert)
        _turn(before, found["next"])


def _cursor(*filters: object) -> str | None:
    """Return the cursor in the address, or None for the newest items.

    An invalid cursor is ignored. If the filters have changed, the cursor is removed, because it
    refers to the list under the previous filters.
    """
    if st.session_state.setdefault("_alert_filters", filters) != filters:
        st.session_state["_alert_filters"] = filters
        st.query_params.pop("before", None)
    return _uuid(st.query_params.get("before", ""))


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None


def _turn(before: str | None, after: str | None) -> None:
    if not after and not before:
        return
    with st.container(horizontal=True):
        newest = st.button(
            "Newest", icon=":material/first_page:", key="newest", disabled=before is None
        )
        older = st.button(
            "Older", icon=":material/chevron_right:", key="older", disabled=after is None
        )
    if newest:
        st.query_params.pop("before", None)
        st.rerun(scope="fragment")
    if older and after:
        st.query_params["before"] = after
        st.rerun(scope="fragment")


def _days(items: Sequence[Item]) -> dict[str, list[Item]]:
    zone = session.zone()
    today = datetime.now(UTC).astimezone(zone).date()
    days: dict[str, list[Item]] = {}
    for alert in items:
        at = moment(alert["created_at"])
        assert at is not None  # noqa: S101 - the API always gives one
        day = at.astimezone(zone).date()
        word = {0: "Today", 1: "Yesterday"}.get((today - day).days, f"{day:%A, %-d %B %Y}")
        days.setdefault(word, []).append(alert)
    return days


def _row(alert: Item) -> None:
    zone, name = session.zone(), alert["container_name"]
    tone, over = tones.of_alert(alert), alert["state"] == "resolved"
    at = moment(alert["created_at"])
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key=f"row-{alert['id']}"
    ):
        st.caption(f"{at.astimezone(zone):%H:%M:%S}" if at else "–", width=64)
        word = f"{alert['severity'].capitalize()}"
        st.markdown(tones.badge(tone, "Resolved" if over else word), width=108)
        with st.container(gap=None, width="stretch"):
            with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
                if name:
                    pages.target_link(name)
                else:
                    st.markdown("**tocsin**", width="content")
                st.caption(plain(_facts(alert)), width="content")
            st.text(clean(said_of(alert["alert_type"], alert["message"]), 220))
        pages.link(
            "alerts", "Why notified", icon=":material/receipt_long:", query={"id": alert["id"]}
        )
        if alert["explained_by"]:
            pages.target_link(alert["explained_by"], icon=":material/account_tree:")
        elif alert["state"] == "firing":
            dialogs.button(
                "acknowledge", "Ack", ":material/done_all:", f"ack-{alert['id']}",
                id=alert["id"], type=alert["alert_type"], target=name,
            )  # fmt: skip


def _facts(alert: Item) -> str:
    """Return the other facts of an alert in a few words, such as who was notified."""
    told = []
    if alert["state"] == "resolved":
        told.append(f"{alert['severity']}, lasted {duration(alert['downtime_seconds'])}")
    elif alert["state"] == "pending":
        told.append("pending")
    if alert["acknowledged_by"]:
        told.append(f"acknowledged by {alert['acknowledged_by']}")
    if alert["suppressed_by"]:
        told.append(f"not notified: {alert['suppressed_by']}")
    if alert["escalated"]:
        told.append("escalated")
    if alert["flaps"]:
        told.append(f"fired again {count(alert['flaps'], 'time')}")
    if not told:
        told.append(
            "notified " + ", ".join(alert["heard"]) if alert["heard"] else "nobody was notified"
        )
    return " · ".join(told)


@live(EVERY)
def _one(chosen: str) -> None:
    with states.guarded():
        identity = _uuid(chosen)
        if identity is None:  # some words would be other operations of the API
            raise ApiError(Kind.MISSING, f"{chosen[:60]!r} is not the id of an alert")
        api = session.api()
        detail = api.get(path_of("alerts", identity))
        alert, zone = detail["alert"], session.zone()
        tone, name = tones.of_alert(alert), alert["container_name"]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            title = f"{title_of(alert['alert_type'])}: {name or 'tocsin'}"
            st.title(plain(title, 90), anchor=False, width="stretch")
            parts.reader_menu()
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            word = alert["state"].capitalize()
            st.markdown(tones.badge(tone, word), width="content")
            st.markdown(tones.badge(tones.of_alert({**alert, "state": "firing"}),
                                    alert["severity"].capitalize()), width="content")  # fmt: skip
            st.caption(plain(_facts(alert)), width="content")
        with st.container(border=True, key="panel-alert"):
            st.text(clean(alert["message"]))
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                if name:
                    pages.target_link(name, icon=":material/deployed_code:")
                if cause := alert["explained_by"]:
                    pages.target_link(cause, icon=":material/account_tree:")
                elif alert["state"] == "firing":
                    dialogs.button(
                        "acknowledge", "Acknowledge", ":material/done_all:", "ack-one",
                        id=alert["id"], type=alert["alert_type"], target=name,
                    )  # fmt: skip
                if name and alert["state"] != "resolved":
                    dialogs.button("silence", "Silence", ":material/notifications_off:", "silence",
                                   target=name)  # fmt: skip
            with st.grid("auto", min_column_width=150):
                for label, value in (
                    ("Fired", when(alert["created_at"], zone)),
                    ("Acknowledged", when(alert["acknowledged_at"], zone)),
                    ("Resolved", when(alert["resolved_at"], zone)),
                    ("Lasted", duration(alert["downtime_seconds"])),
                ):
                    with st.container(gap=None):
                        st.caption(label)
                        st.text(value)
            if detail["affected"]:
                st.caption("Also affected: " + plain(", ".join(detail["affected"]), 400))
        _story(detail["ledger"])


def _story(rows: Sequence[Item]) -> None:
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
def _ledger() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        decision = st.selectbox(
            "Decision", ["Any decision", *DECISIONS], key="decision", bind="query-params",
            width=200, label_visibility="collapsed",
        )  # fmt: skip
        channel = st.text_input(
            "Channel", key="channel", bind="query-params", placeholder="Channel",
            icon=":material/send:", width=200, label_visibility="collapsed",
        )  # fmt: skip
    before = _cursor("ledger", decision, channel)
    with states.guarded():
        found = session.api().get(
            path_of("notifications"), limit=LEDGER_PAGE, decision=DECISIONS.get(decision or ""),
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
        _turn(before, found["next"])
