"""Requests for chat services: Slack, Discord, Microsoft Teams and ntfy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tocsin import Kind, Message, Severity
from tocsin.plugins.notifiers.webhook.encoding import (
    Requests,
    cut,
    heading_of,
    paragraphs,
    pieces,
    to_json,
    utc,
)

COLOURS = {Severity.CRITICAL: 0xD32F2F, Severity.WARNING: 0xF9A825, Severity.INFO: 0x1976D2}
GREEN = 0x2E7D32


def slack(message: Message, url: str) -> Requests:
    """Return requests for Slack's incoming webhooks, in Block Kit
    (https://docs.slack.dev/reference/block-kit/blocks/): a message has at most 50 blocks, a section
    at most 3,000 characters."""

    def escape(text: str) -> str:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        # Slack has no escapes for markup; a word joiner prevents that two characters form a pair.
        return "".join(f"\u2060{c}" if c in "*_~`" else c for c in text)

    heading = {"type": "plain_text", "text": cut(heading_of(message), 150), "emoji": True}
    blocks: list[Any] = [{"type": "header", "text": heading}]
    for paragraph in paragraphs(message, "*", escape):
        for piece in pieces(paragraph, 2900):
            section = {"type": "mrkdwn", "text": piece, "verbatim": True}
            blocks.append({"type": "section", "text": section})
    text = escape(cut(heading_of(message), 3000))
    return [
        (url, to_json({"text": text, "blocks": blocks[at : at + 50]}))
        for at in range(0, len(blocks), 50)
    ]


def discord(message: Message, url: str) -> Requests:
    """Return requests for Discord's webhooks
    (https://discord.com/developers/docs/resources/webhook#execute-webhook): an embed's title has at
    most 256 characters, its description 4,096, a message 6,000 in all."""

    def escape(text: str) -> str:
        return "".join(f"\\{c}" if c in "\\*_~`|>[]()#-<@" else c for c in text)

    text = "\n\n".join(paragraphs(message, "**", escape))
    colour = GREEN if message.words.icon == "✅" else COLOURS[message.severity]
    return [
        (
            url,
            to_json(
                {
                    "username": "tocsin",
                    "allowed_mentions": {"parse": []},
                    "embeds": [
                        {
                            "title": cut(heading_of(message), 256),
                            "description": piece,
                            "color": colour,
                            "timestamp": utc(message.created_at),
                        }
                    ],
                }
            ),
        )
        for piece in pieces(text, 4000) or [heading_of(message)]
    ]


def teams(message: Message, url: str) -> Requests:
    """Return requests for Microsoft Teams: Adaptive Cards for a Workflows webhook (at most 28 KB;
    https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using)."""
    colour = {Severity.CRITICAL: "attention", Severity.WARNING: "warning"}.get(
        message.severity, "good" if message.words.icon == "✅" else "accent"
    )
    head: dict[str, Any] = {
        "type": "TextBlock", "text": _plain_card(cut(heading_of(message), 300)), "size": "large",
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
            {"type": "TextBlock", "text": piece, "wrap": True} for piece in pieces(loose, 5000)
        ]
    return [(url, to_json(_card([head, *part]))) for part in _parts(items, 15_000)]


def _parts(items: list[Any], largest: int) -> Iterator[list[Any]]:
    part: list[Any] = []
    size = 0
    for item in items:
        length = len(to_json(item))
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
    text = "\n\n".join(paragraphs(message, "", str)) or message.words.title
    return [
        (
            root,
            to_json(
                {
                    "topic": topic,
                    "title": cut(message.words.title, 200),
                    "message": piece,
                    "priority": 3 if resolved else _PRIORITY[message.severity],
                    "tags": [done if resolved else _TAGS[message.severity]],
                }
            ),
        )
        for piece in pieces(text, 1000)  # a character has up to four bytes
    ]
