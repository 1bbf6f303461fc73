"""Stored results and events as objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin import Container, Event, Observation, Reason, Result
from tocsin.plugins.history.batch import KEPT_METRICS, STATUSES

_METRICS = (*KEPT_METRICS, "uptime_seconds")

COLUMNS = (
    "r.at, c.target, c.name, r.status, r.message, r.metrics, r.latency_seconds, "
    f"m.status AS container_state, m.health_status, {', '.join(f'm.{name}' for name in _METRICS)}"
)
"""Columns of ``check_results`` (r), ``checks`` (c) and ``container_metrics`` (m) for
:func:`observation_of`.
"""

_STATES = {"stopped": "exited"}


def observation_of(row: Mapping[str, Any]) -> Observation:
    """Return a row of :data:`COLUMNS` as an observation, with the facts that history keeps."""
    metrics = dict(row["metrics"] or {})
    metrics |= {name: float(row[name]) for name in _METRICS if row[name] is not None}
    message, state = row["message"] or "", row["container_state"]
    container = None
    if state is not None:
        container = Container(
            id="",
            image="",
            state=_STATES.get(state, state),
            reason=_reason(state, message),
            health=row["health_status"] or "none",
            restart_count=row["restart_count"] or 0,
        )
    result = Result(
        status=STATUSES[row["status"]],
        message=message,
        latency=row["latency_seconds"],
        metrics=metrics,
        container=container,
    )
    return Observation(target=row["target"], check=row["name"], at=row["at"], result=result)


def _reason(state: str, message: str) -> Reason:
    """Derive a container's reason from its state, and a restart loop from the message."""
    if state == "restarting" or message.startswith("restart loop"):
        return Reason.RESTARTING
    if state == "paused":
        return Reason.PAUSED
    return Reason.RUNNING if state == "running" else Reason.CRASHED


def event_of(row: Mapping[str, Any]) -> Event:
    """Convert a row of ``container_events``."""
    return Event(
        id=row["id"], target=row["target"], source=row["source"],
        action=row["action"], at=row["at"], attributes=row["attributes"] or {},
    )  # fmt: skip
