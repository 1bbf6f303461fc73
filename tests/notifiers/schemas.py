"""What the providers' documentation says of their payloads, as JSON Schemas; the addresses are in
``plugins/notifiers/webhook/shapes.py``."""

from __future__ import annotations

from typing import Any

from tocsin.plugins.notifiers.webhook.shapes import Shape


def _text(longest: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": False,
    }  # fmt: skip


_HEADER = _closed(
    ["type", "text"],
    type={"const": "header"},
    text=_closed(
        ["type", "text"], type={"const": "plain_text"}, text=_text(150), emoji={"type": "boolean"}
    ),
)
_SECTION = _closed(
    ["type", "text"],
    type={"const": "section"},
    text=_closed(
        ["type", "text"], type={"const": "mrkdwn"}, text=_text(3000), verbatim={"type": "boolean"}
    ),
)
_CARD_TEXT = _closed(
    ["type", "text"],
    type={"const": "TextBlock"}, text={"type": "string"}, wrap={"type": "boolean"},
    size={"enum": ["small", "default", "medium", "large", "extraLarge"]},
    weight={"enum": ["lighter", "default", "bolder"]},
    color={"enum": ["default", "dark", "light", "accent", "good", "warning", "attention"]},
)  # fmt: skip
_FACTS = _closed(
    ["type", "facts"],
    type={"const": "FactSet"},
    facts={
        "type": "array",
        "items": _closed(["title", "value"], title={"type": "string"}, value={"type": "string"}),
    },
)
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}
_ALERT = {
    "type": "object",
    "required": ["id", "kind", "status", "type", "target", "severity", "message", "at", "since"],
    "properties": {
        "status": {"enum": ["firing", "resolved"]}, "at": _TIME, "since": _TIME,
        "severity": {"enum": ["info", "warning", "critical"]},
    },
}  # fmt: skip

SCHEMAS: dict[Shape, Any] = {
    Shape.STANDARD: {
        "type": "object",
        "required": ["type", "timestamp", "version", "data"],
        "properties": {
            "type": {"type": "string", "pattern": r"^[A-Za-z0-9_.]+$"}, "timestamp": _TIME,
            "version": {"const": 1},
            "data": {
                "type": "object", "required": ["id", "title", "text", "alerts", "severity"],
                "properties": {"alerts": {"type": "array", "items": _ALERT}},
            },
        },
    },
    Shape.SLACK: _closed(
        ["text", "blocks"],
        text=_text(40_000),
        blocks={"type": "array", "maxItems": 50, "items": {"oneOf": [_HEADER, _SECTION]}},
    ),
    Shape.DISCORD: _closed(
        ["embeds"],
        username=_text(80),
        allowed_mentions=_closed(["parse"], parse={"type": "array", "maxItems": 0}),
        embeds={
            "type": "array", "minItems": 1, "maxItems": 10,
            "items": _closed(
                ["title", "description"],
                title=_text(256), description=_text(4096), timestamp=_TIME,
                color={"type": "integer", "minimum": 0, "maximum": 0xFFFFFF},
            ),
        },
    ),
    Shape.TEAMS: _closed(
        ["type", "attachments"],
        type={"const": "message"},
        attachments={
            "type": "array", "minItems": 1, "maxItems": 1,
            "items": _closed(
                ["contentType", "content"],
                contentType={"const": "application/vnd.microsoft.card.adaptive"},
                content=_closed(
                    ["type", "version", "body"],
                    **{"$schema": {"type": "string"}},
                    type={"const": "AdaptiveCard"}, version={"const": "1.4"},
                    msteams={"type": "object"},
                    body={"type": "array", "items": {"oneOf": [_CARD_TEXT, _FACTS]}},
                ),
            ),
        },
    ),
    Shape.NTFY: _closed(
        ["topic", "message"],
        topic={"type": "string", "pattern": r"^[A-Za-z0-9_-]{1,64}$"},
        title=_text(250), message=_text(4096),
        priority={"type": "integer", "minimum": 1, "maximum": 5},
        tags={"type": "array", "items": _text(50)},
    ),
}  # fmt: skip
