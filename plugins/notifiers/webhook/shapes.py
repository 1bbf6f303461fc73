"""Converts a message to the requests that each kind of receiver accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from tocsin import Kind, Message, Notice, Severity

Requests = Sequence[tuple[str, bytes]]
"""URL and body of each request."""

VERSION = 1
"""Version of the standard format; raised when a field is removed or changes its meaning."""

EXPIRES = timedelta(days=7)
"""Time after which Alertmanager ends an alert if there is no new message about it."""

COLOURS = {Severity.CRITICAL: 0xD32F2F, Severity.WARNING: 0xF9A825, Severity.INFO: 0x1976D2}
GREEN = 0x2E7D32


class Shape(StrEnum):
    """The formats of receivers."""

    STANDARD = "standard"
    SLACK = "slack"
    DISCORD = "discord"
    TEAMS = "teams"
    NTFY = "ntfy"
    ALERTMANAGER = "alertmanager"


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _heading(message: Message) -> str:
    return f"{message.words.icon} {message.words.title}".strip()


def _paragraphs(message: Message, bold: str, escape: Callable[[str], str]) -> Iterator[str]:
    """Yield each section as lines, with its heading and labels between ``bold`` marks."""
    for section in message.words.sections:
        lines = [f"{bold}{escape(section.heading)}{bold}"] if section.heading else []
        for line in section.lines:
            label = f"{bold}{escape(line.label)}:{bold} " if line.label else ""
            lines.append(f"{line.icon} {label}{escape(line.text)}".strip())
        yield "\n".join(lines)


def _pieces(text: str, longest: int) -> list[str]:
    """Split a text into pieces of at most ``longest`` characters, at line ends if possible."""
    pieces = [""]
    for line in text.split("\n"):
        rest = line
        while rest:
            if len(pieces[-1]) + len(rest) + 1 <= longest:
                pieces[-1] += rest + "\n"
                break
            if pieces[-1]:
                pieces.append("")
                continue
            at = longest - 1
            if "&" in rest[at - 6 : at]:  # do not split an entity such as &amp;
                at = rest.rindex("&", 0, at)
            pieces[-1], rest = rest[:at] + "\n", rest[at:]
        else:
            pieces[-1] += "\n" if pieces[-1] and len(pieces[-1]) < longest else ""
    return [piece.rstrip("\n") for piece in pieces if piece.strip()]


def standard(message: Message, url: str) -> Requests:
    """Return a request in tocsin's format, after Standard Webhooks: type, timestamp, data."""
    kinds = {notice.kind.value for notice in message.notices}
    return [
        (
            url,
            _json(
                {
                    "type": f"alert.{kinds.pop()}" if len(kinds) == 1 else "alerts",
                    "timestamp": _utc(message.created_at),
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
        "at": _utc(notice.at),
        "since": _utc(notice.since),
        "downtime_seconds": notice.downtime,
        "affected": list(notice.affected),
        "flaps": notice.flaps,
        "repeats": notice.repeats,
        "details": notice.details,
        "logs": [line.text for line in notice.logs],
        "fallback_for": notice.fallback_for,
    }


def slack(message: Message, url: str) -> Requests:
    """Return requests for Slack's incoming webhooks, in Block Kit
    (https://docs.slack.dev/reference/block-kit/blocks/): a message has at most 50 blocks, a section
    at most 3,000 characters."""

    def escape(text: str) -> str:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        # Slack has no escapes for markup; a word joiner prevents that two characters form a pair.
        return "".join(f"\u2060{c}" if c in "*_~`" else c for c in text)

    heading = {"type": "plain_text", "text": _cut(_heading(message), 150), "emoji": True}
    blocks: list[Any] = [{"type": "header", "text": heading}]
    for paragraph in _paragraphs(message, "*", escape):
        for piece in _pieces(paragraph, 2900):
            section = {"type": "mrkdwn", "text": piece, "verbatim": True}
            blocks.append({"type": "section", "text": section})
    text = escape(_cut(_heading(message), 3000))
    return [
        (url, _json({"text": text, "blocks": blocks[at : at + 50]}))
        for at in range(0, len(blocks), 50)
    ]


def discord(message: Message, url: str) -> Requests:
    """Return requests for Discord's webhooks
    (https://discord.com/developers/docs/resources/webhook#execute-webhook): an embed's title has at
    most 256 characters, its description 4,096, a message 6,000 in all."""

    def escape(text: str) -> str:
        return "".join(f"\\{c}" if c in "\\*_~`|>[]()#-<@" else c for c in text)

    text = "\n\n".join(_paragraphs(message, "**", escape))
    colour = GREEN if message.words.icon == "✅" else COLOURS[message.severity]
    return [
        (
            url,
            _json(
                {
                    "username": "tocsin",
                    "allowed_mentions": {"parse": []},
                    "embeds": [
                        {
                            "title": _cut(_heading(message), 256),
                            "description": piece,
                            "color": colour,
                            "timestamp": _utc(message.created_at),
                        }
                    ],
                }
            ),
        )
        for piece in _pieces(text, 4000) or [_heading(message)]
    ]


def teams(message: Message, url: str) -> Requests:
    """Return requests for Microsoft Teams: Adaptive Cards for a Workflows webhook (at most 28 KB;
    https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using)."""
    colour = {Severity.CRITICAL: "attention", Severity.WARNING: "warning"}.get(
        message.severity, "good" if message.words.icon == "✅" else "accent"
    )
    head: dict[str, Any] = {
        "type": "TextBlock", "text": _plain_card(_cut(_heading(message), 300)), "size": "large",
        "weight": "bolder", "wrap": True, "color": colour,
    }  # fmt: skip
    items: list[Any] = []
    for section in message.words.sections:
        if section.heading:
            title = f"{section.icon} {section.heading}".strip()
            items.append(
                {"type": "TextBlock", "text": _plain_card(title), "weight": "bolder", "wrap": True}
            )
        facts = [
            {"title": f"{line.icon} {line.label}".strip(), "value": _plain_card(line.text)}
            for line in section.lines
            if line.label
        ]
        if facts:
            items.append({"type": "FactSet", "facts": facts})
        loose = "\n\n".join(_plain_card(line.text) for line in section.lines if not line.label)
        items += [
            {"type": "TextBlock", "text": piece, "wrap": True} for piece in _pieces(loose, 5000)
        ]
    return [(url, _json(_card([head, *part]))) for part in _parts(items, 15_000)]


def _parts(items: list[Any], largest: int) -> Iterator[list[Any]]:
    part: list[Any] = []
    size = 0
    for item in items:
        length = len(_json(item))
        if part and size + length > largest:
            yield part
            part, size = [], 0
        part.append(item)
        size += length
    yield part


def _card(body: list[Any]) -> Mapping[str, Any]:
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


def _plain_card(text: str) -> str:
    """Escape the Markdown that a card interprets: links and emphasis."""
    return "".join(f"\\{c}" if c in "\\*_[]()" else c for c in text)


_PRIORITY = {Severity.CRITICAL: 5, Severity.WARNING: 4, Severity.INFO: 3}
_TAGS = {Severity.CRITICAL: "rotating_light", Severity.WARNING: "warning", Severity.INFO: "bell"}


def ntfy(message: Message, url: str) -> Requests:
    """Return requests for ntfy (https://docs.ntfy.sh/publish/#publish-as-json). ``url`` is that of
    the topic; a message has at most 4,096 bytes."""
    parts = urlsplit(url)
    base, _, topic = parts.path.rstrip("/").rpartition("/")
    root = urlunsplit((parts.scheme, parts.netloc, base + "/", parts.query, ""))
    resolved = all(notice.kind is Kind.RESOLVED for notice in message.notices)
    done = "white_check_mark" if message.words.icon == "✅" else "stop_button"
    text = "\n\n".join(_paragraphs(message, "", str)) or message.words.title
    return [
        (
            root,
            _json(
                {
                    "topic": topic,
                    "title": _cut(message.words.title, 200),
                    "message": piece,
                    "priority": 3 if resolved else _PRIORITY[message.severity],
                    "tags": [done if resolved else _TAGS[message.severity]],
                }
            ),
        )
        for piece in _pieces(text, 1000)  # a character has up to four bytes
    ]


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
    return [(base, _json(alerts))]


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
            "startsAt": _utc(min(notice.since, notice.at)),
            "endsAt": _utc(max(ends, notice.since)),
        }  # fmt: skip


SHAPES: Mapping[Shape, Callable[[Message, str], Requests]] = {
    Shape.STANDARD: standard,
    Shape.SLACK: slack,
    Shape.DISCORD: discord,
    Shape.TEAMS: teams,
    Shape.NTFY: ntfy,
    Shape.ALERTMANAGER: alertmanager,
}
