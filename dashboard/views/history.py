"""The past day, week or month: the targets' availability and usage, and the alerts' frequency."""

from __future__ import annotations

from typing import Any

import streamlit as st
from attrs import define, field

from tocsin.dashboard import bars, charts, pages, parts, session, states, time_series
from tocsin.dashboard.client import Api, path_of
from tocsin.dashboard.pace import live
from tocsin.dashboard.words import count, percent, plain, share, size, title_of

EVERY = 60
"""Seconds between two refreshes."""

SPANS = {"24h": 24, "7d": 168, "30d": 720}
PAGE = 25
TOP = 8


@define
class _Rows:
    """The current page of the list of targets.

    Attributes:
        query: the search to which the cursors belong.
        cursors: the cursors of the pages from the first to the current one.
    """

    query: str | None = None
    cursors: list[str | None] = field(factory=lambda: [None])

    def back(self) -> None:
        """Go to the previous page."""
        self.cursors.pop()


def page() -> None:
    """Draw the page."""
    parts.header("History", ":material/monitoring:")
    _history()


@live(EVERY)
def _history() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        span = st.segmented_control(
            "Range", list(SPANS), default="24h", required=True, key="span", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        query = st.text_input(
            "Search", key="find", bind="query-params", placeholder="Search by name",
            icon=":material/search:", width=240, label_visibility="collapsed",
        )  # fmt: skip
    hours = SPANS[span or "24h"]
    with states.guarded("Uptime"):
        _uptime(session.api(), hours, (query or "").strip() or None)
    with states.guarded("Trends"):
        _trends(session.api(), hours)
    with states.guarded("Alerts"):
        _frequency(session.api(), hours)


def _uptime(api: Api, hours: int, query: str | None) -> None:
    # Sorted by name, so that a page takes one request, whatever the number of targets.
    rows: _Rows = st.session_state.setdefault("_rows", _Rows())
    if rows.query != query:
        rows.query, rows.cursors = query, [None]
    ask = {"hours": hours, "points": 48, "q": query, "limit": PAGE}
    found = api.get(path_of("uptime"), **ask, cursor=rows.cursors[-1])
    if not found["items"] and len(rows.cursors) > 1:  # the items of this page are gone
        rows.cursors = [None]
        found = api.get(path_of("uptime"), **ask)
    with st.container(border=True, gap="small", key="panel-uptime"):
        st.markdown("##### :material/vital_signs: Uptime", anchors=False)
        if not found["items"]:
            st.caption("No target matches the search." if query else "Nothing is watched yet.")
        for item in found["items"]:
            _row(item)
        if found["items"]:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(f"{SPANS_WORD[hours]} ago", width="stretch")
                st.caption(_LEGEND, width="content")
                st.caption("now", width="content")
        _turn(found, rows)


SPANS_WORD = {24: "24 hours", 168: "7 days", 720: "30 days"}
_LEGEND = (
    ":green[:material/check_circle:] up   :orange[:material/warning:] degraded   "
    ":red[:material/error:] down   :gray[:material/help:] unknown"
)


def _row(item: Any) -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", wrap=False,
        key=f"up-{_slug(item['target'])}",
    ):  # fmt: skip
        with st.container(width=180):
            pages.target_link(item["target"])
        words = share(item["available"])
        counts = item["counts"] or [[0, 0, 0, 0]] * 48
        st.html(parts.bar(counts, f"{words} available"), width="stretch")
        value = item["available"]
        known = value is not None
        colour = (
            ("green" if value >= 0.999 else "orange" if value >= 0.98 else "red")
            if known
            else "gray"
        )
        st.markdown(f":{colour}[**{words}**]", width=76, text_alignment="right")


def _slug(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)


def _turn(found: Any, rows: _Rows) -> None:
    last = -(-found["total"] // PAGE)
    if last <= 1:
        return
    number = len(rows.cursors)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Back", icon=":material/chevron_left:", key="rows-back", disabled=number == 1,
                  on_click=rows.back)  # fmt: skip
        st.button("Next", icon=":material/chevron_right:", key="rows-on",
                  disabled=not found["next"], on_click=rows.cursors.append,
                  args=(found["next"],))  # fmt: skip
        st.caption(f"{number} of {last} · {count(found['total'], 'target')}", width="content")


def _trends(api: Api, hours: int) -> None:
    zone = session.zone()
    columns = st.columns(2, gap="medium")
    for column, metric, title, unit, form in (
        (columns[0], "cpu_percent", "CPU", "%", percent),
        (columns[1], "memory_bytes", "Memory", "B", size),
    ):
        with column, st.container(border=True, height="stretch", key=f"panel-trend-{metric}"):
            st.markdown(f"##### :material/show_chart: {title}", anchors=False)
            view = api.get(
                path_of("trends"), metric=metric, top=TOP, points=90, **time_series.asked(hours)
            )
            if not view["items"]:
                states.empty(":material/hourglass_empty:", "No data yet",
                             "The charts begin with the first samples.")  # fmt: skip
                continue
            top = view["items"][0]
            st.caption(plain(f"The {len(view['items'])} highest; average of {top['target']}: ")
                       + f"**{form(top['avg'])}**")  # fmt: skip
            frame = time_series.frame_of(view, zone)
            charts.show(charts.trend(view, unit=unit, frame=frame), f"trend-{metric}-figure",
                        f"{title} of the targets with the highest averages")  # fmt: skip


def _frequency(api: Api, hours: int) -> None:
    view = api.get(path_of("alerts", "frequency"), hours=hours, timezone=str(session.zone()))
    total = sum(row["count"] for row in view["by_type"])
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, height="stretch", key="panel-by-type"):
        st.markdown("##### :material/notifications: Alerts by type", anchors=False)
        if total:
            titles = {row["alert_type"]: title_of(row["alert_type"]) for row in view["by_type"]}
            charts.show(bars.by_type(view["by_type"], titles), "by-type-figure",
                        f"{count(total, 'alert')} by type")  # fmt: skip
        else:
            st.caption("No alert fired in this range.")
    with right, st.container(border=True, height="stretch", key="panel-by-hour"):
        st.markdown("##### :material/schedule: Alerts by hour of the day", anchors=False)
        if total:
            charts.show(bars.by_hour(view["by_hour"], view["timezone"]), "by-hour-figure",
                        f"{count(total, 'alert')} by hour of the day")  # fmt: skip
        else:
            st.caption("No alert fired in this range.")
