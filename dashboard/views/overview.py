"""The overview: the state of all targets on one page."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import streamlit as st
from attrs import define, field

from tocsin.dashboard import pages, parts, session, states, tones
from tocsin.dashboard.client import Api, ApiError, path_of
from tocsin.dashboard.live import MOST, LiveList
from tocsin.dashboard.pace import live
from tocsin.dashboard.words import ago, clean, count, percent, plain

EVERY = 2
"""Seconds between two refreshes."""

PAGE = 60
"""Number of cards on a page."""

SHOWN = 2
"""Number of names in a card."""

RARELY = 60.0
"""Seconds for which uptime bars and, while no alert changes, recent alerts are cached."""

RECENT = 6
"""Number of alerts in the list of recent alerts."""

GROUPS = {"No groups": "", "By project": "project", "By status": "status", "By kind": "kind"}
"""The labels are also part of the address, as those of all filters are."""


@define
class Overview:
    """The data of one reader's overview, refreshed with a fixed number of requests.

    Attributes:
        wrong: targets that are down and degraded, read only if there are too many to keep all.
        active: active alerts by target ("" for tocsin itself), the worst first.
        recent: the alerts to show in the list of recent alerts.
        bars: uptime bars by target.
    """

    containers: LiveList = field(factory=lambda: LiveList(path_of("containers")))
    targets: LiveList = field(factory=lambda: LiveList(path_of("targets")))
    wrong: dict[str, LiveList] = field(
        factory=lambda: {
            status: LiveList(path_of("targets"), {"status": status})
            for status in ("down", "degraded")
        }
    )
    status: dict[str, Any] = field(factory=dict)
    health: dict[str, Any] = field(factory=dict)
    active: dict[str, list[Any]] = field(factory=dict)
    recent: list[tones.Item] = field(factory=list)
    bars: dict[str, Any] = field(factory=dict)
    _shown: object = None
    _recent_at: float = 0.0
    _bars_at: float = 0.0
    _bars_of: object = None

    @property
    def many(self) -> bool:
        """Whether there are more targets than a list keeps."""
        return int(sum(self.status["targets"].values())) > MOST

    def refresh(self, api: Api, query: str | None) -> None:
        """Read the changes; ``query`` limits them if there are too many. Raises ApiError."""
        self.status, self.health = api.get(path_of("status")), api.get("/health")
        if self.many:
            for failing in self.wrong.values():
                failing.refresh(api)
        else:
            query = None
        self.containers.refresh(api, query)
        self.targets.refresh(api, query)
        found = api.get(path_of("alerts", "active"), limit=1000)["items"]
        self.active = {}
        for alert in sorted(found, key=lambda a: tones.of_alert(a).rank):
            self.active.setdefault(alert["container_name"] or "", []).append(alert)
        now = time.monotonic()
        shown = tuple((a["id"], a["state"]) for a in found)
        if shown != self._shown or now > self._recent_at + RARELY:
            latest = api.get(path_of("alerts"), limit=RECENT)["items"]
            both = {alert["id"]: alert for alert in (*latest, *found)}
            self.recent = tones.foremost(both.values(), RECENT)
            self._shown, self._recent_at = shown, now

    def items(self) -> list[tuple[Any, tones.Tone]]:
        """Return the targets, as containers if they are, with their tones, the worst first."""
        both = {**self.targets.items, **self.containers.items}
        kinds = {name: item["kind"] for name, item in self.targets.items.items()}
        toned = [
            ({"kind": kinds.get(name, "container"), **item},
             tones.of_item(item, self.active.get(name, [])))
            for name, item in both.items()
        ]  # fmt: skip
        return sorted(toned, key=lambda pair: (pair[1].rank, pair[0]["name"]))

    def worst(self) -> dict[str, tuple[int, list[str]]]:
        """Return the number and the names of targets by key of tone, whatever the search is."""
        names: dict[str, list[str]] = {key: [] for key in tones.TONES}
        if not self.many:
            for item, tone in self.items():
                names[tone.key].append(item["name"])
            return {key: (len(found), found) for key, found in names.items()}
        toned = dict.fromkeys(self.wrong["degraded"].items, tones.WARNING)
        toned |= dict.fromkeys(self.wrong["down"].items, tones.CRITICAL)
        for name, alerts in self.active.items():
            if name:
                worst = [toned[name]] if name in toned else []
                worst += [tones.of_alert(alert) for alert in alerts]
                toned[name] = min(worst, key=lambda tone: tone.rank)
        for name in sorted(toned):
            names[toned[name].key].append(name)
        # Lists are limited in length, their totals are not.
        more = {
            tone: self.wrong[status].total - len(self.wrong[status].items)
            for status, tone in (("down", "critical"), ("degraded", "warning"))
        }
        return {key: (len(found) + more.get(key, 0), found) for key, found in names.items()}

    def uptime(self, api: Api, query: str | None, wanted: int) -> dict[str, Any]:
        """Return uptime bars of the last 24 hours by target; none if history is unavailable.

        Args:
            api: the API.
            query: text that the names must contain; None for all.
            wanted: maximum number of targets.
        """
        now, of = time.monotonic(), (query, wanted)
        if of != self._bars_of or now > self._bars_at + RARELY:
            self._bars_of, self._bars_at = of, now
            try:
                page = api.get(path_of("uptime"), hours=24, points=30, limit=wanted, q=query)
                self.bars = {item["target"]: item for item in page["items"]}
            except ApiError:
                self.bars = {}
        return self.bars


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
