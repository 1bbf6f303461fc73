"""The health of the journal, of the channels, and of what lacks an option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.notify import Channel


def idle(lacks: Mapping[str, str]) -> dict[str, ComponentHealth]:
    """Return the health of what would run by default, but lacks an option.

    ``lacks``: by component, a sentence that says which.
    """
    return {
        name: ComponentHealth(status=Health.DISABLED, message=lack) for name, lack in lacks.items()
    }


def condition(trouble: str | None, channels: Mapping[str, Channel]) -> dict[str, ComponentHealth]:
    """Return the health by component.

    ``trouble``: why the journal cannot be written, or what was wrong with its file; or None.
    """
    parts = {
        "journal": ComponentHealth(status=Health.OK)
        if trouble is None
        else ComponentHealth(status=Health.DEGRADED, message=trouble)
    }
    for name, channel in channels.items():
        reason = channel.trouble
        waiting, sent = len(channel.queue.rows), channel.record.sent_total
        details: dict[str, Any] = {"waiting": waiting, "sent": sent}
        if (seconds := channel.failing_for()) is not None:
            details["failing_seconds"] = seconds
        status = Health.OK if reason is None else Health.DEGRADED
        parts[f"channel.{name}"] = ComponentHealth(
            status=status, message=reason or "", details=details
        )
    return parts
