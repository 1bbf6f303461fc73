"""The appearance of a status: always a colour, an icon and a word together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from tocsin.dashboard.words import duration, percent, plain, size


@frozen
class Tone:
    """The appearance of a status.

    Attributes:
        key: name in code and CSS.
        word: label.
        colour: Streamlit's name of the colour.
        icon: icon, as Streamlit writes it.
        hex: the colour in charts.
        rank: order by severity; the worst status has rank 0.
    """

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
    """Return the tone of a target's or a check's status."""
    return _OF_STATUS.get(status, UNKNOWN)


def of_health(status: str) -> Tone:
    """Return the tone of the status of a component of tocsin, a plugin or a channel."""
    return _OF_HEALTH.get(status, UNKNOWN)


def of_alert(alert: Item) -> Tone:
    """Return the tone of an alert: of its severity, or green if the alert is resolved."""
    return OK if alert["state"] == "resolved" else _OF_SEVERITY.get(alert["severity"], UNKNOWN)


def foremost(alerts: Iterable[Item], number: int) -> list[Item]:
    """Return the ``number`` alerts to show first: firing ones, the worst first; acknowledged ones;
    then resolved and suppressed ones, the newest first."""
    order = {"firing": 0, "acknowledged": 1}
    newest = sorted(alerts, key=lambda alert: alert["id"], reverse=True)
    newest.sort(key=lambda a: (order.get(a["state"], 2), of_alert(a).rank * (a["state"] in order)))
    return newest[:number]


def of_item(item: Item, alerts: Iterable[Item]) -> Tone:
    """Return the tone of a target: of its status or of its worst active alert, if that is worse."""
    tones = [of_status(item["status"])]
    tones += [of_alert(a) for a in alerts if a["state"] != "resolved" and a["severity"] != "info"]
    return min(tones, key=lambda tone: tone.rank)


def badge(tone: Tone, text: str | None = None) -> str:
    """Return a Markdown badge with the tone's colour and icon, and a text or the tone's label."""
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
    """Return a target's state in a few words: what is wrong, or else how long it has been up."""
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
    """Return a container's CPU, memory and uptime in a line that breaks only between figures.

    The uptime is left out if the headline is the uptime or the container does not run.
    """
    told = [f"CPU {percent(item['cpu_percent'])}", f"Mem {size(item['memory_bytes'])}"]
    up = f"Up {duration(item.get('uptime_seconds'))}"
    if item["state"] == "running" and headline != up:
        told.insert(0, up)
    return " · ".join(each.replace(" ", "\u00a0") for each in told)
