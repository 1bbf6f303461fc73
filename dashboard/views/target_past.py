"""The past of a target: its charts, health checks, restarts and alerts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import streamlit as st

from tocsin.dashboard import charts, parts, session, states, tones
from tocsin.dashboard.client import Api, ApiError, Kind, path_of
from tocsin.dashboard.pace import live
from tocsin.dashboard.words import count, moment, percent, plain, said_of, share, size, when

EVERY = 20
"""Seconds between two refreshes."""

RANGES = ("1h", "6h", "24h", "7d", "30d")
MOST_MARKS = 40
MOST_EVENTS = 200
POINTS = 240
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
    hours = charts.SECONDS[span or "24h"] / 3600
    with states.guarded("Charts"):
        api = session.api()
        item, _ = look(api, name)
        checks = [check["name"] for check in item["checks"]]
        own = item["source"] if item["source"] in checks else (checks[0] if checks else None)
        if not checks:
            states.empty(":material/rule:", "No check watches this target", "")
            return
        asked = charts.asked(hours)
        alerts = api.get(path_of("alerts"), target=name, hours=None, limit=50,
                         since=asked["since"])["items"]  # fmt: skip
        events: Item = {"items": [], "next": None}
        if "state" in item:
            history = api.get(path_of("metrics", "history"), target=name, points=POINTS, **asked)
            events = api.get(path_of("containers", name, "events"), since=asked["since"],
                             limit=MOST_EVENTS)  # fmt: skip
            _usage(item, history, _marks(alerts, events["items"]))
        left, right = st.columns(2, gap="medium")
        with left:
            _health(api, name, item, checks, own, asked)
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


def _usage(item: Item, history: Item, marks: Sequence[charts.Mark]) -> None:
    points = history["points"]
    if not points:
        states.empty(
            ":material/hourglass_empty:", "No data yet",
            "The charts begin with the first samples.",
        )  # fmt: skip
        return
    frame = charts.frame_of(history, session.zone())
    expected = item["expected"]
    left, right = st.columns(2, gap="medium")
    levels = _levels(expected, "cpu_percent", None)
    figure, mean, top = None, *_figures(points, "cpu_percent")
    if mean is not None:
        figure = charts.usage(
            points, "cpu_percent", unit="%", frame=frame, levels=levels, marks=marks,
        )  # fmt: skip
    with left:
        _chart("CPU", figure, [percent(v) for v in (mean, top, item["cpu_percent"])])
    levels = _levels(expected, "memory_bytes", item["memory_limit_bytes"])
    figure, mean, top = None, *_figures(points, "memory_bytes")
    if mean is not None:
        figure = charts.usage(
            points, "memory_bytes", unit="B", frame=frame, levels=levels, marks=marks,
            colour=charts.SERIES[3],
        )  # fmt: skip
    with right:
        _chart("Memory", figure, [size(v) for v in (mean, top, item["memory_bytes"])])
    with st.container(border=True, gap="xsmall", key="panel-chart-network"):
        st.markdown("**Network**")
        if (figure := charts.traffic(points, frame=frame)) is None:
            st.caption("No traffic was measured.")
            return
        charts.show(figure, "chart-network-figure", "Bytes received and sent per second")
        received, sent = size(item["network_rx_bytes"]), size(item["network_tx_bytes"])
        st.caption(f"Received **{received}**   ·   Sent **{sent}** since it started")


def _levels(expected: Item, metric: str, limit: float | None) -> list[charts.Level]:
    levels = []
    if metric in expected:
        levels.append(charts.Level(value=expected[metric], label="expected"))
    if limit:
        levels.append(charts.Level(value=limit, label="limit", colour=tones.CRITICAL.hex))
    return levels


def _chart(title: str, figure: charts.Figure | None, values: Sequence[str]) -> None:
    """Show a chart, and below it the average, the maximum and the current value."""
    key = f"chart-{title.lower()}"
    with st.container(border=True, gap="xsmall", height="stretch", key=f"panel-{key}"):
        st.markdown(f"**{title}**")
        if figure is None:
            st.caption("No data in this range.")
            return
        words = [f"{word} **{value}**" for word, value in zip(_WORDS, values, strict=True)]
        charts.show(figure, key, f"{title} over time; the values are listed below")
        st.caption("   ·   ".join(words))


_WORDS = ("Average", "Maximum", "Now")


def _figures(points: Sequence[Item], metric: str) -> tuple[float | None, float | None]:
    found = [p["metrics"][metric] for p in points if metric in p["metrics"]]
    if not found:
        return None, None
    return sum(f["avg"] for f in found) / len(found), max(f["max"] for f in found)


def _health(
    api: Api, name: str, item: Item, checks: Sequence[str], own: str | None,
    asked: Mapping[str, str],
) -> None:  # fmt: skip
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
        path = path_of("checks", name, chosen, "history")
        found = api.get(path, points=POINTS, **asked)
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
        path = path_of("checks", name, chosen, "results")
        results = api.get(path, since=asked["since"], limit=8)["items"]
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
    mean, top = _figures(history["points"], "latency_seconds")
    if mean is None or top is None:
        return
    figure = charts.usage(
        history["points"], "latency_seconds", unit="s",
        frame=charts.frame_of(history, session.zone()), colour=charts.SERIES[2],
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
