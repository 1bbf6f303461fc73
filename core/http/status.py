"""``/api/v1/status``: the whole system in a few numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from tocsin.core.checks.runs import SchedulerStats
from tocsin.core.contracts.container import Reason
from tocsin.core.contracts.model import Status
from tocsin.core.contracts.route import Routes
from tocsin.core.http.routing import Call
from tocsin.core.http.views import is_container
from tocsin.core.state import TargetState

routes = Routes()


@frozen(kw_only=True)
class ContainerCounts:
    """The number of containers by state. Unhealthy ones are also counted as running.

    Removed containers are not counted. ``missing``: declared in the configuration but not present
    on the engine. ``unknown``: the engine has not answered yet.
    """

    total: int
    running: int
    stopped: int
    unhealthy: int
    paused: int
    restarting: int
    completed: int
    missing: int
    unknown: int


@frozen(kw_only=True)
class StatusView:
    """The status of the whole system.

    ``health_score`` is the weighted share of healthy targets, 0 to 100: the sum of weight x value
    over the sum of weights. The value is 1 for up, 1/2 for degraded, 0 for down; the weight is 3
    for a critical target, else 1. Unknown targets are left out; it is null if all are unknown.
    ``active_alerts`` counts firing alerts.
    """

    status: Status
    health_score: float | None
    targets: Mapping[str, int]
    critical_down: list[str]
    containers: ContainerCounts
    checks: int
    active_alerts: int
    last_check: datetime | None
    scheduler: SchedulerStats


@routes.get("/api/v1/status")
async def status(call: Call) -> StatusView:
    """Summarise the whole system: counts by status, health score, containers and alerts."""
    monitor = call.monitor
    states = list(monitor.state)
    counts = Counter(state.status for state in states)
    # Unknown comes last: a few unknown targets say nothing about the others.
    order = (Status.DOWN, Status.DEGRADED, Status.UP, Status.UNKNOWN)
    return StatusView(
        status=next((s for s in order if counts[s]), Status.UNKNOWN),
        health_score=health_score(states),
        targets={status.value: counts[status] for status in Status},
        critical_down=sorted(
            s.target.name for s in states if s.target.critical and s.status is Status.DOWN
        ),
        containers=_containers(states),
        checks=sum(len(state.checks) for state in states),
        active_alerts=len(monitor.alerting.active()),
        last_check=max((at for s in states if (at := s.last_seen)), default=None),
        scheduler=monitor.stats(),
    )


def health_score(states: list[TargetState]) -> float | None:
    """Return the health score of the targets, as :class:`StatusView` defines it."""
    worth = {Status.UP: 1.0, Status.DEGRADED: 0.5, Status.DOWN: 0.0}
    total = reached = 0.0
    for state in states:
        if (value := worth.get(state.status)) is not None:
            weight = 3.0 if state.target.critical else 1.0
            total += weight
            reached += weight * value
    return None if not total else round(100 * reached / total, 1)


def _containers(states: list[TargetState]) -> ContainerCounts:
    seen = [(state, state.container) for state in states if is_container(state)]
    unseen = Counter(state.status for state, facts in seen if facts is None)
    by_state = Counter(facts.state for _, facts in seen if facts is not None)
    by_reason = Counter(facts.reason for _, facts in seen if facts is not None)
    completed = by_reason[Reason.COMPLETED]
    return ContainerCounts(
        total=len(seen) - by_reason[Reason.REMOVED],
        running=by_state["running"],
        stopped=by_state["exited"] + by_state["dead"] + by_state["created"] - completed,
        unhealthy=by_reason[Reason.UNHEALTHY],
        paused=by_state["paused"],
        restarting=by_state["restarting"],
        completed=completed,
        missing=unseen[Status.DOWN],
        unknown=unseen.total() - unseen[Status.DOWN],
    )
