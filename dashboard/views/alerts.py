"""The page of alerts: those of a time range, or one of them in detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from tocsin.dashboard import dialogs, pages, paging, parts, session, states, tones
from tocsin.dashboard.client import ApiError, Kind, path_of
from tocsin.dashboard.pace import live
from tocsin.dashboard.views import ledger
from tocsin.dashboard.words import clean, count, duration, moment, plain, said_of, title_of, when

EVERY = 3
"""Seconds between two refreshes."""

PAGE = 50
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
        ledger.show()
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
    before = paging.cursor("timeline", severity, tuple(chosen or ()), name, span)
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
        paging.turn(before, found["next"])


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
        identity = paging.uuid_of(chosen)
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
        ledger.story(detail["ledger"])
