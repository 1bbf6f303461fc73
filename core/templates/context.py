"""The fields that templates may use. All texts in them are cleaned and shortened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from tocsin.core.contracts.message import Kind, Message, Notice
from tocsin.core.contracts.rule import Severity
from tocsin.core.units import format_bytes, format_duration, time_zone

LONGEST = 500
"""Longest value, in characters."""

LONGEST_NAME = 120

ICONS = {Severity.CRITICAL: "🚨", Severity.WARNING: "⚠️", Severity.INFO: "ℹ️"}

FEW = 10
"""Maximum number of alerts of a group listed with messages; a larger group is listed by names."""

VERY_FEW = 5
"""Maximum number of alerts in a message that are listed with all details."""

NAMES_IN_A_TITLE = 3

NAMES_IN_A_LINE = 20

_STATES = {"exited": "stopped", "dead": "dead", "created": "created, never started"}
_KINDS = {"container": "Container", "disk": "Disk", "": "Target"}
_DONE = {Kind.RESOLVED: "recovered", Kind.FLAPPING: "flapping"}


@frozen
class Group:
    """A part of a digest: the alerts of one rule in the same state."""

    icon: str
    heading: str
    lines: tuple[str, ...]


def short(text: str, longest: int = LONGEST) -> str:
    """Shorten a text to ``longest`` characters, marking the cut with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def name_of(rule: str) -> str:
    """Return a rule's name for people: ``Container down``."""
    words = rule.replace("_", " ").replace("-", " ").replace("cpu", "CPU")
    return words[:1].upper() + words[1:]


def in_zone(at: datetime, zone: str) -> str:
    """Format a time in a time zone, with the zone's name: ``2026-01-15 13:00:05 CET``."""
    return f"{at.astimezone(time_zone(zone)):%Y-%m-%d %H:%M:%S %Z}"


def measured(metric: str, value: object) -> str:
    """Format a metric's value with its unit, which is the suffix of the metric's name."""
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
    """Return the icon: ✅ for recovered, ⏹ for ended otherwise, else that of the severity."""
    if notice.kind is Kind.RESOLVED:
        return "✅" if notice.recovered else "⏹"
    return "🔁" if notice.kind is Kind.FLAPPING else ICONS[notice.severity]


def of_notice(notice: Notice, message: Message, clean: Callable[[str], str]) -> dict[str, Any]:
    """Return the fields for a message about one alert.

    Args:
        notice: the notification.
        message: the message that carries it.
        clean: removes secrets and control characters from a text.
    """
    zone, details, kind = message.timezone, dict(notice.details), notice.target_kind
    metric = str(details.get("metric", ""))
    name = name_of(notice.rule)
    return {
        "icon": icon_of(notice),
        "severity": notice.severity.value,
        "kind": notice.kind.value,
        "rule": notice.rule,
        "name": name,
        "occasion": _occasion(notice),
        "id": short_id(notice),
        "channel": message.channel,
        "target": short(clean(notice.target), LONGEST_NAME),
        "kind_name": _KINDS.get(kind, kind.replace("-", " ").capitalize()),
        "is_container": kind == "container",
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
        "last_restart": _ago(details.get("last_start"), notice.at),
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


def short_id(notice: Notice) -> str:
    """Return the end of an alert's id, which commands accept in its place."""
    return str(notice.alert)[-8:]


def _occasion(notice: Notice) -> str:
    """Return a note that a notification is a repeat, with its age, or an escalation; else ""."""
    if notice.kind is Kind.REPEATED:
        return f" (still, {format_duration((notice.at - notice.since).total_seconds())})"
    return " (escalated)" if notice.kind is Kind.ESCALATED else ""


def _moment(text: object, zone: str) -> str:
    """Format a time given as text; "" if the text is not a time."""
    try:
        return in_zone(datetime.fromisoformat(str(text)), zone)
    except ValueError:
        return ""


def _ago(text: object, now: datetime) -> str:
    """Return how long before the message something happened, in its largest unit: ``5 min ago``."""
    try:
        seconds = max(0, int((now - datetime.fromisoformat(str(text))).total_seconds()))
    except (ValueError, TypeError):
        return ""
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next((each for each in units if seconds >= each[0]), units[-1])
    return f"{seconds // size} {unit} ago"


def of_digest(message: Message, clean: Callable[[str], str]) -> dict[str, Any]:
    """Return the fields for a message about several alerts, each in its last state.

    Alerts that explain others come first, then those of higher severity.

    Args:
        message: the message.
        clean: removes secrets and control characters from a text.
    """
    notices = list({notice.alert: notice for notice in message.notices}.values())
    told = {notice.target for notice in notices if notice.kind is not Kind.RESOLVED}
    groups: Mapping[tuple[str, str], list[Notice]] = defaultdict(list)
    for notice in sorted(notices, key=lambda n: _explains(n, told), reverse=True):
        groups[_state_of(notice), notice.rule].append(notice)

    def order(item: tuple[tuple[str, str], list[Notice]]) -> tuple[Any, ...]:
        (state, rule), members = item
        worst = max(n.severity.rank for n in members)
        explains = max(_explains(n, told) for n in members) if not state else 0
        return bool(state), state in ("recovered", "ended"), state, -explains, -worst, rule

    ordered = sorted(groups.items(), key=order)
    listed = [notice for _, members in ordered for notice in members]
    firing = [n for n in listed if n.kind is not Kind.RESOLVED]
    recovered = [n for n in listed if _state_of(n) == "recovered"]
    ended = [n for n in listed if _state_of(n) == "ended"]
    parts = [
        f"{len(found)} {word}: {_title_of(found, clean)}"
        for word, found in (("firing", firing), ("recovered", recovered), ("ended", ended))
        if found
    ]
    many = [
        notice
        for _, members in ordered
        if len(members) > FEW
        for notice in members
        if notice.affected and notice.kind is not Kind.RESOLVED
    ]
    causes = [f"{_name(n, clean)} affects {_affected(n, clean)}" for n in many[:FEW]]
    causes += [f"and {len(many) - FEW} more affect others"] if len(many) > FEW else []
    return {
        "icon": ("✅" if recovered else "⏹") if not firing else ICONS[message.severity],
        "headline": "; ".join(parts),
        "severity": message.severity.value,
        "channel": message.channel,
        "time": in_zone(message.created_at, message.timezone),
        "count": len(notices),
        "firing": len(firing),
        "recovered": len(recovered),
        "ended": len(ended),
        "groups": [_group(state, ms, len(notices), clean) for (state, _), ms in ordered],
        "affected": sorted({a for n in notices for a in n.affected if a not in told}),
        "causes": causes,
        "timezone": message.timezone,
    }


def _state_of(notice: Notice) -> str:
    """Return recovered, flapping or ended; "" for an alert that is simply firing."""
    return _DONE.get(notice.kind, "") if notice.recovered else "ended"


def _explains(notice: Notice, told: Container[str]) -> int:
    """Return how many of the targets in ``told`` an alert that still fires explains."""
    return 0 if notice.kind is Kind.RESOLVED else sum(a in told for a in notice.affected)


def _name(notice: Notice, clean: Callable[[str], str]) -> str:
    return short(clean(notice.target), LONGEST_NAME)


def _affected(notice: Notice, clean: Callable[[str], str]) -> str:
    return names((short(clean(name), LONGEST_NAME) for name in notice.affected), 10)


def _title_of(notices: Iterable[Notice], clean: Callable[[str], str]) -> str:
    targets = dict.fromkeys(short(clean(notice.target), 40) for notice in notices)
    return names(targets, NAMES_IN_A_TITLE)


def _group(state: str, members: list[Notice], of: int, clean: Callable[[str], str]) -> Group:
    """Return one part of a digest; ``of`` is the number of alerts in the whole message."""
    first = members[0]
    heading = name_of(first.rule) + (f", {state}" if state else "")
    heading += f" ({len(members)})" if len(members) > 1 else ""
    if of <= VERY_FEW:
        lines = [line for notice in members for line in _entry(notice, clean)]
    elif len(members) <= FEW:
        lines = [_line(notice, clean) for notice in members]
    else:
        listed = [_name(notice, clean) + _occasion(notice) for notice in members]
        lines = [
            ", ".join(listed[at : at + NAMES_IN_A_LINE])
            for at in range(0, len(listed), NAMES_IN_A_LINE)
        ]
    return Group(icon_of(first), heading, tuple(lines))


def _entry(notice: Notice, clean: Callable[[str], str]) -> Iterable[str]:
    """Yield the lines of one alert with all details."""
    said = short(clean(_said(notice)), 300)
    yield f"{_name(notice, clean)}: {said}{_occasion(notice)}"
    if notice.kind is Kind.RESOLVED:
        return
    if notice.affected:
        yield f"🔗 Affected: {_affected(notice, clean)}"
    if notice.logs:
        yield f"🧾 Last log: {short(clean(notice.logs[-1].text), 200)}"
    yield f"🔎 Look at it: tocsin alerts {short_id(notice)}"


def _line(notice: Notice, clean: Callable[[str], str]) -> str:
    """Return one alert in a single line."""
    said = f"{_name(notice, clean)}: {short(clean(_said(notice)), 200)}{_occasion(notice)}"
    if notice.kind is Kind.RESOLVED:
        return said
    affects = f"; affects {_affected(notice, clean)}" if notice.affected else ""
    return f"{said}{affects} [{short_id(notice)}]"


def _said(notice: Notice) -> str:
    """Return the alert's message; for a recovery with the downtime."""
    if notice.kind is Kind.RESOLVED and notice.downtime is not None:
        return f"after {format_duration(notice.downtime)}: {notice.message}"
    return notice.message


def names(values: Iterable[object], most: int = 30) -> str:
    """Join the first ``most`` values, and say how many more there are."""
    listed = [str(value) for value in values]
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")
