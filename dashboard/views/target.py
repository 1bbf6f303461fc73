"""One target: its facts, its past, its log, and the actions that are possible."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from tocsin.dashboard import dialogs, pages, parts, session, states, tones
from tocsin.dashboard.client import Api, ApiError, path_of
from tocsin.dashboard.pace import live
from tocsin.dashboard.views.target_logs import show_logs
from tocsin.dashboard.views.target_past import look, restarts_of, show_past
from tocsin.dashboard.words import (
    ago,
    clean,
    duration,
    percent,
    plain,
    size,
)

EVERY = 3
"""Seconds between two refreshes of the facts."""

RARELY = 60.0
"""Seconds for which the number of restarts is cached."""

Item = Mapping[str, Any]


def page() -> None:
    """Draw the page of the target that ``?name=`` names."""
    name = st.query_params.get("name", "")
    if not name:
        parts.header("Target", ":material/deployed_code:")
        states.empty(
            ":material/search:", "No target is selected",
            "Choose one on the overview page.",
        )  # fmt: skip
        pages.link("overview", "Go to the overview", icon=":material/arrow_back:")
        return
    pages.link("overview", "Overview", icon=":material/arrow_back:")
    _facts(name)
    show_past(name)
    show_logs(name)


@live(EVERY)
def _facts(name: str) -> None:
    with states.guarded():
        api = session.api()
        item, detail = look(api, name)
        active = api.get(path_of("alerts", "active"), target=name, limit=100)["items"]
        firing = sorted(active, key=lambda alert: tones.of_alert(alert).rank)
        tone = tones.of_item(item, firing)
        st.session_state["_has_logs"] = "logs" in detail["actions"]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.title(plain(name, 80), anchor=False, width="stretch")
            parts.reader_menu()
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            headline = tones.headline(item, firing)[:90]
            st.markdown(tones.badge(tone, headline), width="content")
            if item["critical"]:
                st.markdown(":violet-badge[:material/priority_high: Critical for the system]",
                            width="content")  # fmt: skip
            if item.get("health") not in (None, "none"):
                health = str(item["health"])
                kind = {"healthy": tones.OK, "starting": tones.UNKNOWN}.get(health, tones.WARNING)
                st.markdown(tones.badge(kind, health.capitalize()), width="content")
        if item["status"] != "up" and item["message"] not in ("", headline):
            st.text(clean(item["message"]))
        _actions(name, item, detail, firing)
        _table(item, detail, _restarts(api, name, item))
        if firing:
            with st.container(border=True, key="panel-open-alerts"):
                parts.alert_rows(firing, key="open", ack=True)


def _actions(name: str, item: Item, detail: Item, firing: Sequence[Item]) -> None:
    with st.container(horizontal=True, gap="small"):
        if "restart" in detail["actions"]:
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
                    help="Not allowed for this target: name it in `[actions] restart` of "
                    "`tocsin.toml`.",
                )
        if any(alert["state"] in ("firing", "suppressed") for alert in firing):
            first = next(a for a in firing if a["state"] in ("firing", "suppressed"))
            dialogs.button(
                "acknowledge", "Acknowledge", ":material/done_all:", "acknowledge",
                id=first["id"], type=first["alert_type"], target=name,
            )  # fmt: skip
        dialogs.button("silence", "Silence", ":material/notifications_off:", "silence", target=name)
        if "inspect" in detail["actions"]:
            title = "Container config" if "state" in item else "Inspect"
            dialogs.button("inspect", title, ":material/data_object:", "inspect", target=name)


def _restarts(api: Api, name: str, item: Item) -> str:
    """Return the number of restarts in a week, read from history once a minute, or the engine's
    own count if history is unavailable."""
    if "state" not in item:
        return ""
    known = st.session_state.get("_restarts")
    if known is not None and known[0] == name and time.monotonic() < known[1] + RARELY:
        return str(known[2])
    since = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    try:
        found = api.get(path_of("containers", name, "events"), since=since, limit=1000)
    except ApiError:
        return "–" if item["restart_count"] is None else str(item["restart_count"])
    told = f"{restarts_of(found['items'])}{'+' if found['next'] else ''} (last 7 days)"
    st.session_state["_restarts"] = (name, time.monotonic(), told)
    return told


def _table(item: Item, detail: Item, restarts: str) -> None:
    facts: list[tuple[str, str]] = []
    if "state" in item:
        facts += [
            ("Uptime", duration(item["uptime_seconds"])),
            ("State", f"{item['state']}" + (f" · {item['reason']}"
                                            if item["reason"] != item["state"] else "")),
            ("Restarts", restarts),
            ("CPU", percent(item["cpu_percent"], 1)),
            ("Memory", _memory(item)),
            ("Image", item["image"] or "–"),
            ("Ports", ", ".join(item["ports"]) or "none"),
            ("Project", " / ".join(x for x in (item["project"], item["service"]) if x) or "–"),
        ]  # fmt: skip
        if item["exit_code"] is not None and item["state"] != "running":
            facts.insert(1, ("Exit code", str(item["exit_code"])))
            if item["finished_at"]:
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
        st.grid(4, min_column_width=140, gap="small"),
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
