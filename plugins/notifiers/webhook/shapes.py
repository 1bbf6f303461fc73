"""Converts a message to the requests that each kind of receiver accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from tocsin import Kind, Message, Notice, Severity
from tocsin.plugins.notifiers.webhook.chat import discord, ntfy, slack, teams
from tocsin.plugins.notifiers.webhook.encoding import Requests, to_json, utc

VERSION = 1
"""Version of the standard format; raised when a field is removed or changes its meaning."""

EXPIRES = timedelta(days=7)
"""Time after which Alertmanager ends an alert if there is no new message about it."""


class Shape(StrEnum):
    """The formats of receivers."""

    STANDARD = "standard"
    SLACK = "slack"
    DISCORD = "discord"
    TEAMS = "teams"
    NTFY = "ntfy"
    ALERTMANAGER = "alertmanager"


def standard(message: Message, url: str) -> Requests:
    """Return a request in tocsin's format, after Standard Webhooks: type, timestamp, data."""
    kinds = {notice.kind.value for notice in message.notices}
    return [
        (
            url,
            to_json(
                {
                    "type": f"alert.{kinds.pop()}" if len(kinds) == 1 else "alerts",
                    "timestamp": utc(message.created_at),
                    "version": VERSION,
                    "data": {
                        "id": str(message.id),
                        "channel": message.channel,
                        "severity": message.severity.value,
                        "digest": message.digest,
                        "title": message.words.title,
                        "text": message.words.text,
                        "alerts": [_alert(notice) for notice in message.notices],
                    },
                }
            ),
        )
    ]


def _alert(notice: Notice) -> Mapping[str, Any]:
    return {
        "id": str(notice.alert),
        "notice_id": str(notice.id),
        "kind": notice.kind.value,
        "status": "resolved" if notice.kind is Kind.RESOLVED else "firing",
        "type": notice.rule,
        "target": notice.target,
        "target_kind": notice.target_kind,
        "critical_target": notice.critical,
        "severity": notice.severity.value,
        "message": notice.message,
        "at": utc(notice.at),
        "since": utc(notice.since),
        "downtime_seconds": notice.downtime,
        "affected": list(notice.affected),
        "flaps": notice.flaps,
        "repeats": notice.repeats,
        "details": notice.details,
        "logs": [line.text for line in notice.logs],
        "fallback_for": notice.fallback_for,
    }


def alertmanager(message: Message, url: str) -> Requests:
    """Return a request for Alertmanager's API v2 (``POST /api/v2/alerts``).

    Each combination of rule, target and severity is an alert of its own there. When the severity
    rises, the request also ends the alerts of the other severities; at the end of an alert, it ends
    those of all severities.
    """
    alerts = [alert for notice in message.notices for alert in _managed(notice, message)]
    base = url.rstrip("/")
    if not base.endswith("/api/v2/alerts"):
        base += "/api/v2/alerts"
    return [(base, to_json(alerts))]


def _managed(notice: Notice, message: Message) -> Iterator[Mapping[str, Any]]:
    resolved = notice.kind is Kind.RESOLVED
    several = resolved or notice.kind is Kind.ESCALATED
    for severity in Severity if several else [notice.severity]:
        over = resolved or severity is not notice.severity
        ends = notice.at if over else notice.at + EXPIRES
        yield {
            "labels": {
                "alertname": notice.rule, "target": notice.target, "severity": severity.value,
                "kind": notice.target_kind or "target", "source": "tocsin",
            },
            "annotations": {
                "summary": notice.title, "description": notice.message,
                "affected": ", ".join(notice.affected), "alert_id": str(notice.alert),
            },
            "startsAt": utc(min(notice.since, notice.at)),
            "endsAt": utc(max(ends, notice.since)),
        }  # fmt: skip


SHAPES: Mapping[Shape, Callable[[Message, str], Requests]] = {
    Shape.STANDARD: standard,
    Shape.SLACK: slack,
    Shape.DISCORD: discord,
    Shape.TEAMS: teams,
    Shape.NTFY: ntfy,
    Shape.ALERTMANAGER: alertmanager,
}
