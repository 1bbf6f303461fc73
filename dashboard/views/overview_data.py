"""The data of the overview, refreshed with a fixed number of requests."""

from __future__ import annotations

import time
from typing import Any

from attrs import define, field

from tocsin.dashboard import tones
from tocsin.dashboard.client import Api, ApiError, path_of
from tocsin.dashboard.live import MOST, LiveList

RARELY = 60.0
"""Seconds for which uptime bars and, while no alert changes, recent alerts are cached."""

RECENT = 6
"""Number of alerts in the list of recent alerts."""


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
