"""``/api/v1/status``: everything in a few numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from tocsin.core.api.routing import Call, Routes
from tocsin.core.api.views import is_container
from tocsin.core.model import Reason, Status
from tocsin.core.scheduler import SchedulerStats
from tocsin.core.state import TargetState
from tocsin.core.store import StoreUnavailable

routes = Routes()


@frozen(kw_only=True)
class ContainerCounts:
    """How many containers there are, by what they do."""

    total: int
    running: int
    stopped: int
    unhealthy: int
    paused: int
    restarting: int
    completed: int


@frozen(kw_only=True)
class StatusView:
    """The whole system. ``health_score``: see :func:`health_score`; None where nothing is known.

    ``active_alerts`` is None while history cannot be read.
    """

    status: Status
    health_score: float | None
    targets: Mapping[str, int]
    critical_down: list[str]
    containers: ContainerCounts
    checks: int
    active_alerts: int | None
    last_check: datetime | None
    scheduler: SchedulerStats


@routes.get("/api/v1/status")
async def status(call: Call) -> StatusView:
    """Sum up the whole system: counts by status, health score, containers, alerts."""
    monitor = call.monitor
    states = list(monitor.state)
    counts = Counter(state.status for state in states)
    # One that is unknown among many that are seen says nothing of the whole.
    order = (Status.DOWN, Status.DEGRADED, Status.UP, Status.UNKNOWN)
    try:
        alerts: int | None = len(await monitor.store.alerts(active=True, limit=1000))
    except StoreUnavailable:
        alerts = None
    return StatusView(
        status=next((s for s in order if counts[s]), Status.UNKNOWN),
        health_score=health_score(states),
        targets={status.value: counts[status] for status in Status},
        critical_down=sorted(
            s.target.name for s in states if s.target.critical and s.status is Status.DOWN
        ),
        containers=_containers(states),
        checks=sum(len(state.checks) for state in states),
        active_alerts=alerts,
        last_check=max((s.last_seen for s in states if s.last_seen), default=None),
        scheduler=monitor.stats(),
    )


def health_score(states: list[TargetState]) -> float | None:
    """The share of targets in order, 0 to 100: up counts 1, degraded ½, down 0; a critical target
    weighs 3; unknown ones are left out."""
    worth = {Status.UP: 1.0, Status.DEGRADED: 0.5, Status.DOWN: 0.0}
    total = reached = 0.0
    for state in states:
        if (value := worth.get(state.status)) is not None:
            weight = 3.0 if state.target.critical else 1.0
            total += weight
            reached += weight * value
    return None if not total else round(100 * reached / total, 1)


def _containers(states: list[TargetState]) -> ContainerCounts:
    facts = [state.container for state in states if is_container(state)]
    by_state = Counter(fact.state for fact in facts if fact is not None)
    by_reason = Counter(fact.reason for fact in facts if fact is not None)
    completed = by_reason[Reason.COMPLETED]
    return ContainerCounts(
        total=len(facts),
        running=by_state["running"],
        stopped=by_state["exited"] + by_state["dead"] + by_state["created"] - completed,
        unhealthy=by_reason[Reason.UNHEALTHY],
        paused=by_state["paused"],
        restarting=by_state["restarting"],
        completed=completed,
    )
