"""The overview: the state of all targets on one page."""

from __future__ import annotations

from collections import Counter
from typing import Any

import streamlit as st

from tocsin.dashboard import pages, parts, session, states, tones
from tocsin.dashboard.client import Api
from tocsin.dashboard.live import MOST
from tocsin.dashboard.pace import live
from tocsin.dashboard.views.overview_data import Overview
from tocsin.dashboard.words import ago, clean, count, percent, plain

EVERY = 2
"""Seconds between two refreshes."""

PAGE = 60
"""Number of cards on a page."""

SHOWN = 2
"""Number of names in a card."""

GROUPS = {"No groups": "", "By project": "project", "By status": "status", "By kind": "kind"}
"""The labels are also part of the address, as those of all filters are."""


def page() -> None:
    """Draw the page."""
    parts.header("Infrastructure", ":material/notifications_active:")
    _live()


@live(EVERY)
def _live() -> None:
    known: Overview = st.session_state.setdefault("_overview", Overview())
    cards = st.container()
    query, chosen, group = _controls()
    with states.guarded():
        api = session.api()
        known.refresh(api, query)
        with cards:
            _cards(known)
        if not sum(known.status["targets"].values()):
            _nothing()
            return
        _grid(known, api, query, chosen, group)
        _recent(known)


def _nothing() -> None:
    states.empty(
        ":material/deployed_code:", "Nothing is watched yet",
        "Start a container, or name a target in `tocsin.toml`; it appears here automatically.",
    )  # fmt: skip


_OTHERS = ("unhealthy", "stopped", "missing", "restarting", "paused", "completed", "unknown")


def _cards(known: Overview) -> None:
    status, worst = known.status, known.worst()
    containers = status["containers"]
    score = status["health_score"]
    is_blind = parts.blind(known.health)
    with st.grid(6, min_column_width=150, gap="small"):
        rest = ", ".join(f"{containers[word]} {word}" for word in _OTHERS if containers[word])
        # Green only if all containers run that should; a completed job should not.
        awaited = containers["total"] - containers["completed"]
        _card(
            tones.OK, "Running",
            "–" if is_blind and not containers["total"]
            else f"{containers['running']} / {containers['total']}",
            rest, quiet=not containers["running"] or containers["running"] < awaited,
        )  # fmt: skip
        for tone in (tones.WARNING, tones.CRITICAL):
            number, names = worst[tone.key]
            _card(tone, tone.word, str(number), _names(names, number), quiet=not number)
        states_of = Counter(a["state"] for found in known.active.values() for a in found)
        firing = status["active_alerts"] - states_of["suppressed"]
        told = [f"{states_of[s]} {s}" for s in ("acknowledged", "suppressed") if states_of[s]]
        _card(
            None, "Alerts", str(firing), ", ".join(told) or "firing now",
            icon=":material/notifications:", quiet=not firing,
        )  # fmt: skip
        with st.container(border=True, height="stretch", key="panel-card-health"):
            st.metric(
                ":material/ecg_heart: Health",
                "–" if score is None else percent(score, 0),
                help="The percentage of targets that are up; a critical target counts three "
                "times, and a degraded one half.",
            )
            st.progress(0 if score is None else min(100, int(score)))
            if unknown := status["targets"]["unknown"]:
                st.caption(f"without {count(unknown, 'target')} of unknown status")
        with st.container(border=True, height="stretch", key="panel-card-last"):
            st.metric(":material/schedule: Last check", ago(status["last_check"]))
            st.caption(parts.now_line())


def _names(names: list[str], number: int) -> str:
    """Return a few of the names and the number of the others, short enough for a card."""
    shown = ", ".join(clean(name, 24) for name in names[:SHOWN])
    more = number - min(SHOWN, len(names))
    return f"{shown} and {more} more" if shown and more > 0 else shown


def _card(
    tone: tones.Tone | None, label: str, value: str, hint: str, *, icon: str = "",
    quiet: bool = False,
) -> None:  # fmt: skip
    icon = icon or (tone.icon if tone else "")
    text = f"{icon} {label}"
    if tone is not None and not quiet:
        text = f":{tone.colour}[{text}]"
    with st.container(border=True, height="stretch", key=f"panel-card-{label.lower()}"):
        st.metric(text, value)
        st.caption(plain(hint, 80) if hint else "none")


def _controls() -> tuple[str | None, set[str], str]:
    """Show the filters and return them: part of the name, statuses (none: all), and grouping."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        query = st.text_input(
            "Search", key="q", bind="query-params", placeholder="Search by name",
            icon=":material/search:", width=240, label_visibility="collapsed",
        )  # fmt: skip
        chosen = st.pills(
            "Status", [tone.word for tone in tones.TONES.values()], selection_mode="multi",
            key="status", bind="query-params", label_visibility="collapsed", wrap=True,
        )  # fmt: skip
        group = st.selectbox(
            "Group", list(GROUPS), key="group", bind="query-params", width=150,
            label_visibility="collapsed",
        )  # fmt: skip
    return (query or "").strip() or None, set(chosen or ()), GROUPS.get(group or "", "")


def _grid(known: Overview, api: Api, query: str | None, chosen: set[str], by: str) -> None:
    part = (query or "").lower()
    items = [
        (item, tone)
        for item, tone in known.items()
        if part in item["name"].lower() and (not chosen or tone.word in chosen)
    ]
    if not items:
        states.empty(
            ":material/filter_alt_off:", "No target matches the filter",
            "Clear the search or choose another status.",
        )  # fmt: skip
        return
    if by:
        items.sort(key=lambda pair: (_group(pair, by), pair[1].rank, pair[0]["name"]))
    cards = st.container()
    number, total = 1, -(-len(items) // PAGE)
    if total > 1:
        with st.container(horizontal=True, vertical_alignment="center"):
            number = st.pagination(total, key="page", bind="query-params")
            st.caption(f"{count(len(items), 'target')}, {PAGE} per page")
    shown = items[(number - 1) * PAGE : number * PAGE]
    bars = known.uptime(
        api, query if known.many else None, MOST if known.targets.total > 100 else 100
    )
    groups: dict[str, list[Any]] = {}
    for pair in shown:
        groups.setdefault(_group(pair, by) if by else "", []).append(pair)
    with cards:
        for name, members in groups.items():
            if by:
                every = sum(_group(pair, by) == name for pair in items)
                st.markdown(f"##### {plain(_group_word(name, by))} · {every}", anchors=False)
            with (
                st.container(key=f"cards-{_slug(name)}"),
                st.grid("auto", min_column_width=215, gap="small"),
            ):
                for item, tone in members:
                    _target(item, tone, known.active.get(item["name"], []), bars)


def _group(pair: tuple[Any, tones.Tone], by: str) -> str:
    item, tone = pair
    if by == "status":
        return tone.key
    return str(item.get(by) or "")


def _group_word(name: str, by: str) -> str:
    if by == "status":
        return tones.TONES[name].word
    return name or f"No {by}"


def _target(item: Any, tone: tones.Tone, alerts: list[Any], bars: dict[str, Any]) -> None:
    name = item["name"]
    with st.container(
        border=True, height="stretch", gap="xsmall", key=f"tone-{tone.key}-{_slug(name)}"
    ):
        pages.target_link(name, icon=parts.icon_of(item["kind"]))
        headline = tones.headline(item, alerts)
        st.markdown(tones.badge(tone, headline[:70]))
        if "state" in item:
            st.caption(tones.figures(item, headline))
        else:
            st.caption(plain(f"{item['kind']} · {count(len(item['checks']), 'check')}"))
        if found := bars.get(name):
            words = f"Last 24 hours: {_available(found)}"
            st.html(parts.bar(found["counts"], words, small=True))


def _available(found: Any) -> str:
    value = found["available"]
    return "no data" if value is None else f"{value * 100:.2f} % available"


def _slug(name: str) -> str:
    """Return a key that is valid as a CSS class and unique for each name."""
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)


def _recent(known: Overview) -> None:
    with st.container(border=True, key="panel-recent"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("##### :material/notifications: Recent alerts", anchors=False,
                        width="stretch")  # fmt: skip
            pages.link("alerts", "View all", icon=":material/arrow_forward:")
        if known.recent:
            parts.alert_rows(known.recent, key="recent")
        else:
            st.caption("No alert yet.")
