"""Past results and events as objects, for a replay and for rules that look back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from tocsin.core.contracts.model import Container, Event, Observation, Reason, Result
from tocsin.core.store.batch import KEPT_METRICS, STATUSES

_METRICS = (*KEPT_METRICS, "uptime_seconds")

COLUMNS = (
    "r.at, c.target, c.name, r.status, r.message, r.metrics, r.latency_seconds, "
    f"m.status AS state, m.health_status, {', '.join(f'm.{name}' for name in _METRICS)}"
)
"""Columns of ``check_results`` (r), ``checks`` (c) and ``container_metrics`` (m) for a
:class:`PastResult`.
"""

_STATES = {"stopped": "exited"}


@frozen(kw_only=True)
class PastResult:
    """A raw result from history; ``state``, ``health``, ``restart_count`` are a container's."""

    at: datetime
    target: str
    check: str
    status: int
    message: str
    metrics: dict[str, float]
    latency: float | None = None
    state: str | None = None
    health: str | None = None
    restart_count: int | None = None

    def observation(self) -> Observation:
        """Return the result as an observation, with the facts that history keeps."""
        container = None
        if self.state is not None:
            container = Container(
                id="",
                image="",
                state=_STATES.get(self.state, self.state),
                reason=self._reason(),
                health=self.health or "none",
                restart_count=self.restart_count or 0,
            )
        result = Result(
            status=STATUSES[self.status],
            message=self.message,
            latency=self.latency,
            metrics=self.metrics,
            container=container,
        )
        return Observation(target=self.target, check=self.check, at=self.at, result=result)

    def _reason(self) -> Reason:
        """Derive the container's reason from its state, and a restart loop from the message."""
        if self.state == "restarting" or self.message.startswith("restart loop"):
            return Reason.RESTARTING
        if self.state == "paused":
            return Reason.PAUSED
        return Reason.RUNNING if self.state == "running" else Reason.CRASHED


def past_of(row: dict[str, Any]) -> PastResult:
    """Convert a row of :data:`COLUMNS`."""
    metrics = dict(row["metrics"] or {})
    metrics |= {name: float(row[name]) for name in _METRICS if row[name] is not None}
    return PastResult(
        at=row["at"],
        target=row["target"],
        check=row["name"],
        status=row["status"],
        message=row["message"] or "",
        metrics=metrics,
        latency=row["latency_seconds"],
        state=row["state"],
        health=row["health_status"],
        restart_count=row["restart_count"],
    )


def event_of(row: Mapping[str, Any]) -> Event:
    """Convert a row of ``container_events``."""
    return Event(
        id=row["id"], target=row["target"], source=row["source"],
        action=row["action"], at=row["at"], attributes=row["attributes"] or {},
    )  # fmt: skip
