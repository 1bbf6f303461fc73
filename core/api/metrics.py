"""Metrics: what they are now, and what they were."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from tocsin.core.api.history import RangeQuery, span, unavailable
from tocsin.core.api.paging import PageQuery, page
from tocsin.core.api.problems import not_found
from tocsin.core.api.routing import Call, Routes
from tocsin.core.model import Container, Status
from tocsin.core.state import TargetState
from tocsin.core.store import Point

routes = Routes()
CONTAINER_METRICS = (
    "cpu_percent",
    "memory_bytes",
    "memory_percent",
    "memory_limit_bytes",
    "network_rx_bytes",
    "network_tx_bytes",
    "restart_count",
)


@frozen(kw_only=True)
class CheckMetrics:
    """The metrics of one check's last result."""

    check: str
    at: datetime
    status: Status
    latency_seconds: float | None
    metrics: Mapping[str, float]


@frozen(kw_only=True)
class TargetMetrics:
    """The metrics of one target."""

    target: str
    status: Status
    checks: list[CheckMetrics]


@frozen(kw_only=True)
class MetricsPage:
    """A page of targets' metrics, by name."""

    at: datetime
    items: list[TargetMetrics]
    total: int
    next: str | None


@frozen(kw_only=True)
class MetricsQuery(PageQuery):
    """Whose metrics."""

    target: str | None = None


@frozen(kw_only=True)
class HistoryQuery(RangeQuery):
    """Whose history: a target, and a check of it (unset: the container's own)."""

    target: str
    check: str | None = None


@frozen(kw_only=True)
class HistoryView:
    """A chart's worth of history; ``step`` in seconds."""

    target: str
    check: str | None
    since: datetime
    until: datetime
    resolution: str
    step: float
    points: tuple[Point, ...]


def values_of(container: Container | None, metrics: Mapping[str, float]) -> dict[str, float]:
    """All numbers of one result, a container's facts among them."""
    values = dict(metrics)
    if container is not None:
        for name in CONTAINER_METRICS:
            value = getattr(container, name)
            if value is not None:
                values[name] = float(value)
    return values


def _metrics(state: TargetState) -> TargetMetrics:
    return TargetMetrics(
        target=state.target.name,
        status=state.status,
        checks=[
            CheckMetrics(
                check=check.name,
                at=check.last.at,
                status=check.status,
                latency_seconds=check.last.result.latency,
                metrics=values_of(check.last.result.container, check.last.result.metrics),
            )
            for check in state.checks.values()
            if check.last is not None
        ],
    )


@routes.get("/api/v1/metrics")
async def snapshot(call: Call, query: MetricsQuery) -> MetricsPage:
    """Show the current metrics of all targets, or of one."""
    chosen = [s for s in call.monitor.state if query.target in (None, s.target.name)]
    items, after = page(chosen, lambda s: s.target.name, query.limit, query.cursor)
    return MetricsPage(
        at=call.monitor.clock.now(),
        items=[_metrics(state) for state in items],
        total=len(chosen),
        next=after,
    )


@routes.get("/api/v1/metrics/history", errors=(404, 503))
async def history(call: Call, query: HistoryQuery) -> HistoryView:
    """Chart a target's metrics, by default over the last 24 hours."""
    state = call.monitor.state.targets.get(query.target)
    if state is None:
        raise not_found("target", query.target)
    check = query.check
    if check is None:
        # A container's own check; a target without one has its first check charted.
        own = state.source if state.source in state.checks else next(iter(state.checks), None)
        check = own
    elif check not in state.checks:
        raise not_found("check", f"{query.target}/{check}")
    since, until = span(call, query)
    with unavailable():
        found = await call.monitor.store.check_history(
            query.target, check, since, until, query.points
        )
    return HistoryView(
        target=query.target,
        check=check,
        since=since,
        until=until,
        resolution=found.resolution,
        step=found.step,
        points=found.points,
    )
