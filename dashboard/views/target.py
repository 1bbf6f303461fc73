"""One target: what it is, how it went, what it wrote, and what a person can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from tocsin.dashboard import charts, dialogs, logs, pages, parts, session, states, tones
from tocsin.dashboard.client import Api, ApiError, Kind, path_of
from tocsin.dashboard.words import (
    ago,
    clean,
    count,
    duration,
    moment,
    percent,
    plain,
    share,
    size,
    title_of,
    when,
)

EVERY = 3
"""Seconds between two looks at the facts."""

CHARTS_EVERY = 20
LOGS_EVERY = 10
RANGES = ("1h", "6h", "24h", "7d", "30d")
LINES = {"100 lines": 100, "500 lines": 500, "2000 lines": 2000}
MOST_MARKS = 40

Item = Mapping[str, Any]


def page() -> None:
    """Draw the page of the target that ``?name=`` names."""
    name = st.query_params.get("name", "")
    if not name:
        parts.header("Target", ":material/deployed_code:")
        states.empty(
            ":material/search:", "No target is named",
            "Choose one on the overview.",
        )  # fmt: skip
        pages.link("overview", "To the overview", icon=":material/arrow_back:")
        return
    pages.link("overview", "Overview", icon=":material/arrow_back:")
    _facts(name)
    _charts(name)
    _logs(name)


def look(api: Api, name: str) -> tuple[Item, Item]:
    """A target and the detail around it; a container's facts where it is one. Raises ApiError."""
    try:
        detail = api.get(path_of("containers", name))
        return detail["container"], detail
    except ApiError as error:
        if error.kind is not Kind.MISSING:
            raise
    detail = api.get(path_of("targets", name))
    return detail["target"], detail


@st.fragment(run_every=EVERY)
def _facts(name: str) -> None:
    with states.guarded():
        api = session.api()
        item, detail = look(api, name)
        firing = api.get(path_of("alerts", "active"), target=name, limit=100)["items"]
        firing.sort(key=lambda alert: tones.of_alert(alert).rank)
        tone = tones.of_item(item, firing)
        st.session_state["_is_container"] = "state" in item
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.title(plain(name, 80), anchor=False, width="stretch")
            parts.reader_menu()
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(tones.badge(tone, tones.headline(item, firing)[:90]), width="content")
            if item["critical"]:
                st.markdown(":violet-badge[:material/priority_high: Critical for the system]",
                            width="content")  # fmt: skip
            if item.get("health") not in (None, "none"):
                health = str(item["health"])
                kind = {"healthy": tones.OK, "starting": tones.UNKNOWN}.get(health, tones.WARNING)
                st.markdown(tones.badge(kind, health.capitalize()), width="content")
        if item["status"] != "up" and item["message"]:
            st.text(clean(item["message"]))
        _actions(name, item, detail, firing)
        _table(item, detail)
        if firing:
            with st.container(border=True, key="panel-open-alerts"):
                parts.alert_rows(firing, key="open", ack=True)


def _actions(name: str, item: Item, detail: Item, firing: Sequence[Item]) -> None:
    with st.container(horizontal=True, gap="small"):
        if "state" in item:
            if detail["restart_allowed"]:
                dialogs.button(
                    "restart", "Restart", ":material/restart_alt:", "restart", target=name,
                    dependents=detail["dependents"],
                )  # fmt: skip
            else:
                st.button(
                    "Restart",
                    icon=":material/restart_alt:",
                    key="restart",
                    disabled=True,
                    help="Not allowed for this container: name it in `[actions] restart` of "
                    "`tocsin.toml`.",
                )
        if any(alert["state"] in ("firing", "suppressed") for alert in firing):
            first = next(a for a in firing if a["state"] in ("firing", "suppressed"))
            dialogs.button(
                "acknowledge", "Acknowledge", ":material/done_all:", "acknowledge",
                id=first["id"], type=first["alert_type"], target=name,
            )  # fmt: skip
        dialogs.button("silence", "Silence", ":material/notifications_off:", "silence", target=name)
        if "state" in item:
            dialogs.button(
                "inspect", "Container config", ":material/data_object:", "inspect", target=name
            )


def _table(item: Item, detail: Item) -> None:
    facts: list[tuple[str, str]] = []
    if "state" in item:
        restarts = item["restart_count"]
        facts += [
            ("Uptime", duration(item["uptime_seconds"])),
            ("State", f"{item['state']}" + (f" · {item['reason']}"
                                            if item["reason"] != item["state"] else "")),
            ("Restarts", "–" if restarts is None else str(restarts)),
            ("CPU", percent(item["cpu_percent"], 1)),
            ("Memory", _memory(item)),
            ("Image", item["image"] or "–"),
            ("Ports", ", ".join(item["ports"]) or "none"),
            ("Project", " / ".join(x for x in (item["project"], item["service"]) if x) or "–"),
        ]  # fmt: skip
        if item["exit_code"] is not None and item["state"] != "running":
            facts.insert(1, ("Exit code", str(item["exit_code"])))
            facts.insert(2, ("Ended", ago(item["finished_at"])))
    else:
        facts += [
            ("Kind", item["kind"]),
            ("Since", ago(item["since"])),
            ("Last seen", ago(item["last_seen"])),
            ("Checks", str(len(item["checks"]))),
        ]
    with (
        st.container(border=True, key="panel-facts"),
        st.grid("auto", min_column_width=150, gap="small"),
    ):
        for label, value in facts:
            with st.container(gap=None):
                st.caption(label)
                st.text(clean(value, 120))
    _related("Depends on", item["depends_on"])
    _related("Needed by", detail["dependents"])


def _memory(item: Item) -> str:
    used = size(item["memory_bytes"])
    if item["memory_percent"] is None:
        return used
    return f"{used} ({percent(item['memory_percent'])} of {size(item['memory_limit_bytes'])})"


def _related(label: str, names: Sequence[str]) -> None:
    if names:
        with st.container(
            horizontal=True, vertical_alignment="center", gap="xsmall",
            key="row-" + label.split()[0].lower(),
        ):  # fmt: skip
            st.caption(label, width="content")
            for name in names[:12]:
                pages.target_link(name)
            if len(names) > 12:
                st.caption(f"and {len(names) - 12} more", width="content")


@st.fragment(run_every=CHARTS_EVERY)
def _charts(name: str) -> None:
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
        history = api.get(path_of("metrics", "history"), target=name, hours=hours, points=240)
        alerts = api.get(path_of("alerts"), target=name, hours=None, limit=50,
                         since=history["since"])["items"]  # fmt: skip
        events = []
        if "state" in item:
            events = api.get(path_of("containers", name, "events"), hours=hours, limit=200)["items"]
        if "state" in item:
            _usage(item, history, _marks(alerts, events))
        left, right = st.columns(2, gap="medium")
        with left:
            _health(api, name, item, checks, own, hours)
        with right:
            _happened(alerts, events)


def _marks(alerts: Sequence[Item], events: Sequence[Item]) -> list[charts.Mark]:
    marks = [
        charts.Mark(
            at=alert["created_at"], kind=alert["severity"],
            text=f"{title_of(alert['alert_type'])}: {alert['message']}",
        )
        for alert in alerts
    ]  # fmt: skip
    for event in events:
        if event["action"] in ("start", "restart"):
            marks.append(charts.Mark(at=event["at"], kind="restart", text="Started"))
        elif event["action"] in ("die", "oom"):
            code = event["attributes"].get("exitCode")
            text = "Killed for memory" if event["action"] == "oom" else f"Ended (exit {code})"
            marks.append(charts.Mark(at=event["at"], kind="stopped", text=text))
    return sorted(marks, key=lambda mark: mark.at, reverse=True)[:MOST_MARKS]


def _usage(item: Item, history: Item, marks: Sequence[charts.Mark]) -> None:
    points, step = history["points"], history["step"]
    if not points:
        states.empty(
            ":material/hourglass_empty:", "No data yet",
            "The curves begin with the first samples.",
        )  # fmt: skip
        return
    zone, span = session.zone(), (history["since"], history["until"])
    expected = item["expected"]
    both = st.columns(2, gap="medium")
    for column, (metric, title, unit, form) in zip(
        both,
        (
            ("cpu_percent", "CPU", "%", lambda v: percent(v, 1)),
            ("memory_bytes", "Memory", "B", size),
        ),
        strict=True,
    ):
        levels = []
        if metric in expected:
            levels.append(charts.Level(value=expected[metric], label="expected"))
        if metric == "memory_bytes" and item["memory_limit_bytes"]:
            levels.append(charts.Level(
                value=item["memory_limit_bytes"], label="limit", colour=tones.CRITICAL.hex
            ))  # fmt: skip
        with column, st.container(border=True, gap="xsmall", key=f"panel-chart-{metric}"):
            mean, top = _figures(points, metric)
            st.markdown(f"**{title}**")
            if mean is None:
                st.caption("No data in this range.")
                continue
            figure = charts.usage(
                points, metric, unit=unit, zone=zone, span=span, step=step, levels=levels,
                marks=marks, colour=charts.SERIES[0 if metric == "cpu_percent" else 3],
            )  # fmt: skip
            alt = f"{title}: average {form(mean)}, maximum {form(top)}"
            charts.show(figure, f"chart-{metric}-figure", alt)
            figures = (("Average", mean), ("Maximum", top), ("Now", item[metric]))
            st.caption("   ·   ".join(f"{word} **{form(value)}**" for word, value in figures))
    with st.container(border=True, gap="xsmall", key="panel-chart-network"):
        st.markdown("**Network**")
        charts.show(
            charts.traffic(points, zone=zone, span=span, step=step), "chart-network-figure",
            "Bytes received and sent per second",
        )  # fmt: skip
        received, sent = size(item["network_rx_bytes"]), size(item["network_tx_bytes"])
        st.caption(f"Received **{received}**   ·   Sent **{sent}** since it started")


def _figures(points: Sequence[Item], metric: str) -> tuple[float | None, float | None]:
    found = [p["metrics"][metric] for p in points if metric in p["metrics"]]
    if not found:
        return None, None
    return sum(f["avg"] for f in found) / len(found), max(f["max"] for f in found)


def _health(
    api: Api, name: str, item: Item, checks: Sequence[str], own: str | None, hours: float
) -> None:
    with st.container(border=True, height="stretch", key="panel-health"):
        st.markdown("**:material/health_and_safety: Health checks**")
        chosen = own
        if len(checks) > 1:
            chosen = st.segmented_control(
                "Check", checks, default=own, required=True, key="check", bind="query-params",
                label_visibility="collapsed",
            )  # fmt: skip
        if chosen is None:
            return
        found = api.get(path_of("checks", name, chosen, "history"), hours=hours, points=60)
        check = next(c for c in item["checks"] if c["name"] == chosen)
        tone = tones.of_status(check["status"])
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(tones.badge(tone, str(check["status"]).capitalize()), width="content")
            st.caption(f"{share(found['uptime']['available'])} available", width="content")
            if check["latency_seconds"] is not None:
                st.caption(f"{check['latency_seconds'] * 1000:,.0f} ms", width="content")
        counts = buckets(found, 60)
        st.html(parts.bar(counts, f"{share(found['uptime']['available'])} available"))
        results = api.get(path_of("checks", name, chosen, "results"), hours=hours, limit=8)["items"]
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


def buckets(history: Item, number: int) -> list[list[int]]:
    """A check's history in so many stretches of equal length, those without data empty."""
    since, until = (moment(history[key]) for key in ("since", "until"))
    assert since is not None  # noqa: S101
    assert until is not None  # noqa: S101
    length = (until - since).total_seconds() / number
    counts = [[0, 0, 0, 0] for _ in range(number)]
    for point in history["points"]:
        at = moment(point["at"])
        assert at is not None  # noqa: S101
        index = min(number - 1, max(0, int((at - since).total_seconds() / length)))
        for n, status in enumerate(("up", "degraded", "down", "unknown")):
            counts[index][n] += point[status]
    return counts


def _happened(alerts: Sequence[Item], events: Sequence[Item]) -> None:
    zone = session.zone()
    told = [
        (event["at"], _EVENTS[event["action"]], _event_text(event))
        for event in events
        if event["action"] in _EVENTS
    ]
    for alert in alerts:
        text = f"{title_of(alert['alert_type'])}: {alert['message']}"
        told.append((alert["created_at"], tones.of_alert(alert), text))
    told.sort(key=lambda row: row[0], reverse=True)
    with st.container(border=True, height="stretch", key="panel-happened"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**:material/history: Restarts and alerts**", width="stretch")
            starts = sum(event["action"] in ("start", "restart") for event in events)
            st.caption(count(starts, "start"), width="content")
        for at, tone, text in told[:10]:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.caption(when(at, zone), width=96)
                st.markdown(f":{tone.colour}[{tone.icon}]", width=24)
                st.caption(plain(text, 120), width="stretch")
        if not told:
            st.caption("Nothing happened in this range.")


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


@st.fragment(run_every=LOGS_EVERY)
def _logs(name: str) -> None:
    if not st.session_state.get("_is_container"):
        return
    with st.container(border=True, key="panel-logs"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("**:material/article: Logs**", width="stretch")
            search = st.text_input(
                "Search the log", key="log", bind="query-params", placeholder="Search",
                icon=":material/search:", width=220, label_visibility="collapsed",
            )  # fmt: skip
            levels = st.pills(
                "Level", list(logs.LEVELS), selection_mode="multi", key="level",
                bind="query-params", label_visibility="collapsed", wrap=True,
            )  # fmt: skip
            lines = st.selectbox(
                "Lines", list(LINES), key="lines", bind="query-params", width=130,
                label_visibility="collapsed",
            )  # fmt: skip
        with states.guarded("Logs"):
            path = path_of("containers", name, "logs")
            found = logs.read(session.api().get(path, lines=LINES[lines or "100 lines"])["items"])
            shown = logs.select(found, search or "", {logs.LEVELS[x] for x in levels or ()})
            if not found:
                st.caption("It has not written anything yet.")
            elif not shown:
                st.caption(f"None of the last {count(len(found), 'line')} fits.")
            else:
                st.html(logs.render(reversed(shown), session.zone()))
                st.caption(f"{count(len(shown), 'line')} of the last {len(found):,}, newest first")
