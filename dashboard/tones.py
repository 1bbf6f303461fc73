"""What a status looks like: always a colour, an icon and a word together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from tocsin.dashboard.words import duration, percent, plain, size


@frozen
class Tone:
    """A way to show a status. ``colour`` is one of Streamlit's names, ``hex`` the same in charts;
    ``rank`` sorts, the worst first."""

    key: str
    word: str
    colour: str
    icon: str
    hex: str
    rank: int


CRITICAL = Tone("critical", "Critical", "red", ":material/error:", "#d3382f", 0)
WARNING = Tone("warning", "Warning", "orange", ":material/warning:", "#e08a1e", 1)
UNKNOWN = Tone("unknown", "Unknown", "gray", ":material/help:", "#8b95a3", 2)
OK = Tone("ok", "OK", "green", ":material/check_circle:", "#2b9a5b", 3)

TONES = {tone.key: tone for tone in (CRITICAL, WARNING, UNKNOWN, OK)}
_OF_STATUS = {"up": OK, "degraded": WARNING, "down": CRITICAL, "unknown": UNKNOWN}
_OF_SEVERITY = {"critical": CRITICAL, "warning": WARNING, "info": UNKNOWN}
_OF_HEALTH = {"ok": OK, "degraded": WARNING, "failed": CRITICAL, "disabled": UNKNOWN,
              "failing": WARNING, "broken": CRITICAL}  # fmt: skip

Item = Mapping[str, Any]


def of_status(status: str) -> Tone:
    """Of a target or a check."""
    return _OF_STATUS.get(status, UNKNOWN)


def of_health(status: str) -> Tone:
    """Of a part of tocsin, a plugin or a channel."""
    return _OF_HEALTH.get(status, UNKNOWN)


def of_alert(alert: Item) -> Tone:
    """Of an alert: green once it is over."""
    return OK if alert["state"] == "resolved" else _OF_SEVERITY.get(alert["severity"], UNKNOWN)


def foremost(alerts: Iterable[Item], number: int) -> list[Item]:
    """Return the ``number`` alerts to show first: firing ones, the worst first; acknowledged ones;
    then resolved and suppressed ones, the newest first."""
    order = {"firing": 0, "acknowledged": 1}
    newest = sorted(alerts, key=lambda alert: alert["id"], reverse=True)
    newest.sort(key=lambda a: (order.get(a["state"], 2), of_alert(a).rank * (a["state"] in order)))
    return newest[:number]


def of_item(item: Item, alerts: Iterable[Item]) -> Tone:
    """Of a target: its status, or the worst alert that fires on it where that is worse."""
    tones = [of_status(item["status"])]
    tones += [of_alert(a) for a in alerts if a["state"] != "resolved" and a["severity"] != "info"]
    return min(tones, key=lambda tone: tone.rank)


def badge(tone: Tone, text: str | None = None) -> str:
    """A tone as Markdown: coloured, with its icon, and a word or a plain text of its own."""
    return f":{tone.colour}-badge[{tone.icon} {plain(text) if text else tone.word}]"


_STATES = {
    "crashed": "Crashed",
    "oom-killed": "Killed for memory",
    "stopped": "Stopped",
    "completed": "Completed",
    "paused": "Paused",
    "restarting": "Restarting",
    "created": "Created",
    "missing": "Missing",
    "removed": "Removed",
    "unseen": "Not seen",
    "starting": "Starting",
    "unhealthy": "Unhealthy",
}


def headline(item: Item, alerts: list[Item]) -> str:
    """What is to be said of a target in a few words: what is wrong, else how long it is up."""
    reason = item.get("reason", "")
    status = item["status"]
    if "state" not in item:  # no container
        if status == "up":
            return "Up" if not alerts else alerts[0]["message"]
        return str(item["message"]) or status.capitalize()
    if reason in _STATES and reason not in ("starting", "unhealthy"):
        code = item.get("exit_code")
        told = f" (exit {code})" if reason in ("crashed", "stopped") and code is not None else ""
        return _STATES[reason] + told
    if status != "up":
        return _STATES.get(reason) or str(item["message"])
    if alerts:
        return str(alerts[0]["message"])
    return f"Up {duration(item.get('uptime_seconds'))}"


def figures(item: Item, headline: str) -> str:
    """A container's figures in a line: CPU, memory and, unless the headline says it or it does not
    run, how long it is up. A line breaks between two of them alone."""
    told = [f"CPU {percent(item['cpu_percent'])}", f"Mem {size(item['memory_bytes'])}"]
    up = f"Up {duration(item.get('uptime_seconds'))}"
    if item["state"] == "running" and headline != up:
        told.insert(0, up)
    return " · ".join(each.replace(" ", "\u00a0") for each in told)
