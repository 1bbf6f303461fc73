"""How the journal and the channels fare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.core.journal import Journal
from tocsin.core.model import ComponentHealth, Health
from tocsin.core.pipeline import Channel


def fitness(journal: Journal, channels: Mapping[str, Channel]) -> dict[str, ComponentHealth]:
    """A line for the journal, and one for each channel."""
    parts = {"journal": _part(journal.trouble, {})}
    for name, channel in channels.items():
        details: dict[str, Any] = {"waiting": channel.waiting, "sent": channel.sent_total}
        if (seconds := channel.failing_for()) is not None:
            details["failing_seconds"] = seconds
        parts[f"channel.{name}"] = _part(channel.settings.broken or channel.trouble, details)
    return parts


def _part(trouble: str | None, details: Mapping[str, Any]) -> ComponentHealth:
    status = Health.OK if trouble is None else Health.DEGRADED
    return ComponentHealth(status=status, message=trouble or "", details=details)
