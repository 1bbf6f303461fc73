"""``/api/v1/status``: everything in a few numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from tocsin.core.checks.runs import SchedulerStats
from tocsin.core.contracts.model import Reason, Status
from tocsin.core.http.routing import Call, Routes
from tocsin.core.http.views import is_container
from tocsin.core.state import TargetState

routes = Routes()


@frozen(kw_only=True)
class ContainerCounts:
    """How many containers there are, by what they do. Unhealthy ones are also running.

    One that was removed counts no more. ``missing``: declared, and not on the engine; ``unknown``:
    the engine could not be asked yet.
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
    """The whole system.

    ``health_score`` is the share of targets in order, 0 to 100: the sum of weight x worth over the
    sum of weights, with worth 1 for up, 1/2 for degraded, 0 for down, and weight 3 for a critical
    target, 1 for another. Unknown targets are left out; null where nothing is known.
    ``active_alerts`` counts alerts that fire.
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
    """Sum up the whole system: counts by status, health score, containers, alerts."""
    monitor = call.monitor
    states = list(monitor.state)
    counts = Counter(state.status for state in states)
    # One that is unknown among many that are seen says nothing of the whole.
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
    """See :class:`StatusView`."""
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
