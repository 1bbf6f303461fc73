"""The past of a target: its charts, health checks, restarts and alerts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import streamlit as st

from tocsin.dashboard import charts, parts, session, states, time_series, tones
from tocsin.dashboard.client import Api, ApiError, Kind, path_of
from tocsin.dashboard.pace import live
from tocsin.dashboard.views.target_panels import Histories, figures, show_panels
from tocsin.dashboard.words import count, moment, plain, said_of, share, when

EVERY = 20
"""Seconds between two refreshes."""

RANGES = ("1h", "6h", "24h", "7d", "30d")
MOST_MARKS = 40
MOST_EVENTS = 200
BAR = 60
"""Approximate number of segments of an uptime bar."""

Item = Mapping[str, Any]


def look(api: Api, name: str) -> tuple[Item, Item]:
    """Return a target, as a container if it is one, and the document around it. Raises ApiError."""
    try:
        detail = api.get(path_of("containers", name))
        return detail["container"], detail
    except ApiError as error:
        if error.kind is not Kind.MISSING:
            raise
    detail = api.get(path_of("targets", name))
    return detail["target"], detail


@live(EVERY)
def show_past(name: str) -> None:
    """Draw the past of a target."""
    span = st.segmented_control(
        "Range", RANGES, default="24h", required=True, key="range", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    hours = time_series.SECONDS[span or "24h"] / 3600
    with states.guarded("Charts"):
        api = session.api()
        item, _ = look(api, name)
        checks = [check["name"] for check in item["checks"]]
        own = item["source"] if item["source"] in checks else (checks[0] if checks else None)
        if not checks:
            states.empty(":material/rule:", "No check watches this target", "")
            return
        asked = time_series.asked(hours)
        alerts = api.get(path_of("alerts"), target=name, hours=None, limit=50,
                         since=asked["since"])["items"]  # fmt: skip
        events: Item = {"items": [], "next": None}
        if "state" in item:
            events = api.get(path_of("containers", name, "events"), since=asked["since"],
                             limit=MOST_EVENTS)  # fmt: skip
        histories = Histories(api, name, asked)
        show_panels(histories, _marks(alerts, events["items"]))
        left, right = st.columns(2, gap="medium")
        with left:
            _health(histories, item, checks, own)
        with right:
            _happened(alerts, events["items"], cut=events["next"] is not None)


def restarts_of(events: Sequence[Item]) -> int:
    """Return the number of starts after an end; ``events`` has the newest event first."""
    again = 0
    ended = False
    for event in reversed(events):
        if event["action"] == "start":
            again += ended
            ended = False
        elif event["action"] == "die":
            ended = True
    return again


def _marks(alerts: Sequence[Item], events: Sequence[Item]) -> list[charts.Mark]:
    marks = [
        charts.Mark(
            at=alert["created_at"], kind=alert["severity"],
            text=said_of(alert["alert_type"], alert["message"]),
        )
        for alert in alerts
    ]  # fmt: skip
    for event in events:
        if event["action"] == "start":  # engines report a restart as stop, start and restart
            marks.append(charts.Mark(at=event["at"], kind="restart", text="Started"))
        elif event["action"] in ("die", "oom"):
            code = event["attributes"].get("exitCode")
            text = "Killed for memory" if event["action"] == "oom" else f"Ended (exit {code})"
            marks.append(charts.Mark(at=event["at"], kind="stopped", text=text))
    return sorted(marks, key=lambda mark: mark.at, reverse=True)[:MOST_MARKS]


def _health(histories: Histories, item: Item, checks: Sequence[str], own: str | None) -> None:
    with st.container(border=True, height="stretch", key="panel-health"):
        st.markdown("**:material/health_and_safety: Health checks**")
        chosen = own
        if len(checks) > 1:
            chosen = st.segmented_control(
                "Check", checks, default=own, required=True, key="check", bind="query-params",
                label_visibility="collapsed", format_func=_label,
            )  # fmt: skip
        if chosen is None:
            return
        found = histories.of(chosen)
        check = next(c for c in item["checks"] if c["name"] == chosen)
        tone = tones.of_status(check["status"])
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(tones.badge(tone, str(check["status"]).capitalize()), width="content")
            st.caption(f"{share(found['uptime']['available'])} available", width="content")
            if check["latency_seconds"] is not None:
                st.caption(f"{check['latency_seconds'] * 1000:,.0f} ms", width="content")
        counts = buckets(found, check["interval_seconds"])
        st.html(parts.bar(counts, f"{share(found['uptime']['available'])} available"))
        _latency(found)
        path = path_of("checks", histories.name, chosen, "results")
        results = histories.api.get(path, since=histories.asked["since"], limit=8)["items"]
        zone = session.zone()
        for result in results:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.caption(when(result["at"], zone), width=96)
                tone = tones.of_status(result["status"])
                word = str(result["status"]).capitalize()
                st.markdown(tones.badge(tone, word), width=112)
                st.caption(plain(result["message"], 90) or "–", width="stretch")
        if not results:
            st.caption("No result in this range.")


def _label(check: str) -> str:
    """Return a check's name as Markdown; usual names are unchanged, as the address has it too."""
    return check if re.fullmatch(r"[A-Za-z0-9]+([-_][A-Za-z0-9]+)*", check) else plain(check)


def _latency(history: Item) -> None:
    """Show the response time of a check, if the check reports one."""
    mean, top = figures(history["points"], "latency_seconds")
    if mean is None or top is None:
        return
    figure = charts.usage(
        history["points"], "latency_seconds", unit="s",
        frame=time_series.frame_of(history, session.zone()), colour=charts.SERIES[2],
    )  # fmt: skip
    charts.show(figure, "chart-latency", "Response time; the values are listed below")
    words = f"average **{mean * 1000:,.0f} ms**   ·   maximum **{top * 1000:,.0f} ms**"
    st.caption(f"Response time: {words}")


def buckets(history: Item, interval: float, now: datetime | None = None) -> list[list[int]]:
    """Divide a check's history into about :data:`BAR` segments of equal length.

    A segment is a whole number of points, and long enough for at least one result. A last segment
    without a result is left out, because it has just begun.

    Args:
        history: answer of the API.
        interval: seconds between two results.
        now: the time; by default the current time.

    Returns:
        Per segment, the numbers of results that were up, degraded, down and unknown.
    """
    since, until = (moment(history[key]) for key in ("since", "until"))
    assert since is not None  # noqa: S101
    assert until is not None  # noqa: S101
    if not history["points"]:
        return [[0, 0, 0, 0] for _ in range(BAR)]
    step = timedelta(seconds=history["step"])
    times = [at for point in history["points"] if (at := moment(point["at"]))]
    # The API aligns points to a grid, which may begin before the requested range.
    origin = times[0] - ceil((times[0] - since) / step) * step
    whole = max(1, ceil((min(until, now or datetime.now(UTC)) - origin) / step))
    each = max(1, round(whole / BAR), ceil(1.5 * interval / history["step"]))
    counts = [[0, 0, 0, 0] for _ in range(ceil(whole / each))]
    for at, point in zip(times, history["points"], strict=True):
        index = min(len(counts) - 1, max(0, round((at - origin) / step) // each))
        for n, status in enumerate(("up", "degraded", "down", "unknown")):
            counts[index][n] += point[status]
    return counts if any(counts[-1]) or len(counts) == 1 else counts[:-1]


def _happened(alerts: Sequence[Item], events: Sequence[Item], *, cut: bool) -> None:
    zone = session.zone()
    told = [
        (event["at"], _EVENTS[event["action"]], _event_text(event))
        for event in events
        if event["action"] in _EVENTS
    ]
    for alert in alerts:
        text = said_of(alert["alert_type"], alert["message"])
        told.append((alert["created_at"], tones.of_alert(alert), text))
    told.sort(key=lambda row: row[0], reverse=True)
    with st.container(border=True, height="stretch", key="panel-happened"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**:material/history: Restarts and alerts**", width="stretch")
            starts = sum(event["action"] == "start" for event in events)
            st.caption(f"{starts}+ starts" if cut else count(starts, "start"), width="content")
        for at, tone, text in told[:10]:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.caption(when(at, zone), width=96)
                st.markdown(f":{tone.colour}[{tone.icon}]", width=24)
                st.caption(plain(text, 120), width="stretch")
        if not told:
            st.caption("No events in this range.")


_EVENTS = {
    "start": tones.OK, "restart": tones.OK, "die": tones.CRITICAL, "oom": tones.CRITICAL,
    "stop": tones.WARNING, "kill": tones.WARNING, "pause": tones.WARNING, "unpause": tones.OK,
    "create": tones.UNKNOWN, "destroy": tones.UNKNOWN,
}  # fmt: skip


def _event_text(event: Item) -> str:
    attributes = event["attributes"]
    if event["action"] == "die":
        return f"Ended with exit code {attributes.get('exitCode', 'unknown')}"
    words = {
        "start": "Started", "restart": "Restarted", "oom": "Killed for memory",
        "stop": "Stopped by a person or a tool", "pause": "Paused", "unpause": "Resumed",
        "create": "Created", "destroy": "Removed",
    }  # fmt: skip
    if event["action"] == "kill":
        return f"Signal {attributes.get('signal', 'unknown')} sent"
    return words[event["action"]]
