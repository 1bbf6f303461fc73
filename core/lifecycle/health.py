"""The health of the journal and the channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.notify import Channel


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
