"""What a template may use: a fixed set of fields, every text of them clean and short."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from attrs import frozen

from tocsin.core.notices import Kind, Message, Notice
from tocsin.core.units import format_bytes, format_duration
from tocsin.core.verdicts import Severity

LONGEST = 500
"""Characters of one value."""

LONGEST_NAME = 120

ICONS = {Severity.CRITICAL: "🚨", Severity.WARNING: "⚠️", Severity.INFO: "ℹ️"}

FEW = 10
"""Up to so many alerts in one message are told with what is wrong, more by their names alone."""

NAMES_IN_A_LINE = 20

_STATES = {"exited": "stopped", "dead": "dead", "created": "created, never started"}
_KINDS = {"container": "Container", "disk": "Disk", "": "Target"}
_DONE = {Kind.RESOLVED: "recovered", Kind.FLAPPING: "flapping"}


@frozen
class Group:
    """A part of a digest."""

    icon: str
    heading: str
    lines: tuple[str, ...]


def short(text: str, longest: int = LONGEST) -> str:
    """A text cut to what fits, with a sign that something is missing."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def name_of(rule: str) -> str:
    """A rule's name for people: ``Container down``."""
    words = rule.replace("_", " ").replace("-", " ").replace("cpu", "CPU")
    return words[:1].upper() + words[1:]


def in_zone(at: datetime, zone: str) -> str:
    """A moment in the configured time zone, with its name: ``2026-01-15 13:00:05 CET``."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S %Z}"


def measured(metric: str, value: object) -> str:
    """A metric's value with its unit, which is the suffix of its name."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    if metric.endswith("percent"):
        return f"{value:.1f} %".replace(".0 %", " %")
    if metric.endswith("bytes"):
        return format_bytes(value)
    if metric.endswith("seconds"):
        return format_duration(value)
    return f"{value:g}"


def icon_of(notice: Notice) -> str:
    """✅ where all is well again, ⏹ where that was not seen, else the severity's."""
    if notice.kind is Kind.RESOLVED:
        return "✅" if notice.recovered else "⏹"
    return "🔁" if notice.kind is Kind.FLAPPING else ICONS[notice.severity]


def of_notice(notice: Notice, message: Message, clean: Callable[[str], str]) -> dict[str, Any]:
    """The fields of one alert."""
    zone, details = message.timezone, dict(notice.details)
    metric = str(details.get("metric", ""))
    name = name_of(notice.rule)
    return {
        "icon": icon_of(notice),
        "severity": notice.severity.value,
        "kind": notice.kind.value,
        "rule": notice.rule,
        "name": name,
        "occasion": _occasion(notice),
        "id": str(notice.alert)[-8:],
        "channel": message.channel,
        "target": short(clean(notice.target), LONGEST_NAME),
        "kind_name": _KINDS.get(notice.target_kind, notice.target_kind.capitalize()),
        "is_container": notice.target_kind == "container",
        "message": notice.message,
        "why": notice.message,
        "time": in_zone(notice.at, zone),
        "since": in_zone(notice.since, zone),
        "lasting": format_duration(max(0.0, (notice.at - notice.since).total_seconds())),
        "downtime": "unknown" if notice.downtime is None else format_duration(notice.downtime),
        "affected": list(notice.affected),
        "details": details,
        "state": _STATES.get(str(details.get("state")), details.get("state") or "not running"),
        "exit_code": details.get("exit_code"),
        "last_start": _moment(details.get("last_start"), zone),
        "restart_count": details.get("restart_count"),
        "metric": metric,
        "value": measured(metric, details.get("value")),
        "level": measured(metric, details.get("level")),
        "last_log_line": notice.logs[-1].text if notice.logs else "",
        "logs": [line.text for line in notice.logs],
        "flaps": notice.flaps,
        "repeats": notice.repeats,
        "critical": notice.critical,
        "fallback_for": notice.fallback_for,
        "timezone": zone,
    }


def _occasion(notice: Notice) -> str:
    if notice.kind is Kind.REPEATED:
        return f" (still, {format_duration((notice.at - notice.since).total_seconds())})"
    return " (escalated)" if notice.kind is Kind.ESCALATED else ""


def _moment(text: object, zone: str) -> str:
    try:
        return in_zone(datetime.fromisoformat(str(text)), zone)
    except ValueError:
        return ""


def of_digest(message: Message, clean: Callable[[str], str]) -> dict[str, Any]:
    """The fields of several alerts in one message."""
    groups: Mapping[tuple[str, int, str], list[Notice]] = defaultdict(list)
    for notice in message.notices:
        state = _DONE.get(notice.kind, "") if notice.recovered else "ended"
        order = notice.severity.rank if not state else -1 if notice.kind is Kind.RESOLVED else 0
        groups[state, -order, notice.rule].append(notice)
    ended = sum(not n.recovered for n in message.notices)
    recovered = sum(n.kind is Kind.RESOLVED for n in message.notices) - ended
    firing = len(message.notices) - recovered - ended
    parts = [f"{firing} firing"] if firing else []
    parts += [f"{recovered} recovered"] if recovered else []
    parts += [f"{ended} ended"] if ended else []
    told = {notice.target for notice in message.notices}
    ordered = sorted(groups.items(), key=lambda item: (bool(item[0][0]), item[0]))
    return {
        "icon": ("✅" if recovered else "⏹") if not firing else ICONS[message.severity],
        "headline": f"{len(message.notices)} alerts: {', '.join(parts)}",
        "severity": message.severity.value,
        "channel": message.channel,
        "time": in_zone(message.created_at, message.timezone),
        "count": len(message.notices),
        "firing": firing,
        "recovered": recovered,
        "ended": ended,
        "groups": [_group(state, members, clean) for (state, _, _), members in ordered],
        "affected": sorted({a for n in message.notices for a in n.affected if a not in told}),
        "timezone": message.timezone,
    }


def _group(state: str, members: list[Notice], clean: Callable[[str], str]) -> Group:
    first = members[0]
    heading = name_of(first.rule) + (f", {state}" if state else "") + f" ({len(members)})"
    names = [short(clean(notice.target), LONGEST_NAME) for notice in members]
    if len(members) <= FEW:
        lines = tuple(
            f"{name}: {short(clean(_said(n)), 200)}" for name, n in zip(names, members, strict=True)
        )
    else:
        lines = tuple(
            ", ".join(names[at : at + NAMES_IN_A_LINE])
            for at in range(0, len(names), NAMES_IN_A_LINE)
        )
    return Group(icon_of(first), heading, lines)


def _said(notice: Notice) -> str:
    if notice.kind is Kind.RESOLVED and notice.downtime is not None:
        return f"after {format_duration(notice.downtime)}: {notice.message}"
    return notice.message


def names(values: Iterable[object], most: int = 30) -> str:
    """A list for a line: its first members, and how many there are beyond."""
    listed = [str(value) for value in values]
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")
