"""Metrics: current values and their history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from attrs import frozen

from tocsin.core.contracts.container import Container
from tocsin.core.contracts.history_series import Chart, Point
from tocsin.core.contracts.metric import Metric, MetricKind
from tocsin.core.contracts.model import Status
from tocsin.core.contracts.route import Routes
from tocsin.core.http.history import RangeQuery, span, unavailable
from tocsin.core.http.paging import NameCursor, PageQuery, page
from tocsin.core.http.problems import not_found
from tocsin.core.http.routing import Call
from tocsin.core.http.views import is_container
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.state import TargetState

routes = Routes()

COARSE_POINTS = 48
"""Most points per container if the history of all containers is requested."""


@frozen(kw_only=True)
class CheckMetrics:
    """The metrics of a check's last result."""

    check: str
    at: datetime
    status: Status
    latency_seconds: float | None
    metrics: Mapping[str, float]


@frozen(kw_only=True)
class TargetMetrics:
    """The metrics of one target, by check."""

    target: str
    status: Status
    checks: list[CheckMetrics]


@frozen(kw_only=True)
class MetricsPage:
    """A page of targets' metrics, sorted by name."""

    at: datetime
    items: list[TargetMetrics]
    total: int
    next: str | None


@frozen(kw_only=True)
class MetricsQuery(PageQuery):
    """The targets are sorted by name and returned in pages; with ``target`` only that one is."""

    target: str | None = None


@frozen(kw_only=True)
class HistoryQuery(RangeQuery):
    """Without ``target``, a page of containers is charted, with at most 48 points for each.

    Without ``check``, a container's own check is used, or the first check of another target.
    """

    target: str | None = None
    check: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100, description="Containers on a page.")] = 50
    cursor: NameCursor | None = None


@frozen(kw_only=True)
class ContainerHistory:
    """The history of one container among several."""

    target: str
    resolution: str
    step: float
    points: tuple[Point, ...]


@frozen(kw_only=True)
class HistoryView:
    """The points of a chart; ``step`` is the time between two points, in seconds.

    If no target was given, ``items`` holds the history of each container of the page and ``points``
    is empty.
    """

    target: str | None
    check: str | None
    since: datetime
    until: datetime
    resolution: str
    step: float
    points: tuple[Point, ...]
    items: tuple[ContainerHistory, ...] = ()
    next: str | None = None


@frozen(kw_only=True)
class MetricDescription:
    """What a metric means. ``probe`` is the probe or source that measures it."""

    probe: str
    metric: str
    help: str
    unit: str
    kind: MetricKind


@frozen(kw_only=True)
class MetricDescriptions:
    """What the metrics of all probes and sources mean, sorted by probe."""

    items: list[MetricDescription]


def descriptions(plugins: PluginManager) -> dict[str, Mapping[str, Metric]]:
    """Return what the metrics of each probe and source mean, by its name."""
    entries = {**plugins.sources, **plugins.probes}
    return {name: entry.cls.metrics for name, entry in sorted(entries.items())}


def values_of(container: Container | None, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return all numbers of a result, including the metrics among a container's facts."""
    return {**metrics, **(container.metrics if container is not None else {})}


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
    """Return the current metrics of all targets, or of one."""
    chosen = [s for s in call.monitor.state if query.target in (None, s.target.name)]
    items, after = page(chosen, lambda s: s.target.name, query.limit, query.cursor)
    return MetricsPage(
        at=call.monitor.clock.now(),
        items=[_metrics(state) for state in items],
        total=len(chosen),
        next=after,
    )


@routes.get("/api/v1/metrics/descriptions")
async def describe(call: Call) -> MetricDescriptions:
    """Return help, unit and kind of the metrics, as their probes declare them."""
    return MetricDescriptions(
        items=[
            MetricDescription(probe=probe, metric=name, help=one.help, unit=one.unit, kind=one.kind)
            for probe, metrics in descriptions(call.monitor.plugins).items()
            for name, one in metrics.items()
        ]
    )


async def _chart(
    call: Call, target: str, check: str | None, since: datetime, until: datetime, points: int
) -> Chart:
    return await call.monitor.history.ask(
        lambda history: history.chart(target, check, since, until, points), Chart
    )


async def _all_containers(call: Call, query: HistoryQuery) -> HistoryView:
    containers = [
        state
        for state in call.monitor.state
        if is_container(state) and (not query.check or query.check in state.checks)
    ]
    states, after = page(containers, lambda s: s.target.name, query.limit, query.cursor)
    since, until = span(call, query)
    items = []
    with unavailable():
        for state in states:
            found = await _chart(
                call, state.target.name, query.check or state.source, since, until,
                min(query.points, COARSE_POINTS),
            )  # fmt: skip
            items.append(
                ContainerHistory(
                    target=state.target.name, resolution=found.resolution, step=found.step,
                    points=found.points,
                )
            )  # fmt: skip
    first = next((item for item in items if item.points), None)
    return HistoryView(
        target=None, check=query.check, since=since, until=until,
        resolution="raw" if first is None else first.resolution,
        step=0.0 if first is None else first.step, points=(), items=tuple(items), next=after,
    )  # fmt: skip


@routes.get("/api/v1/metrics/history", errors=(404, 503))
async def history(call: Call, query: HistoryQuery) -> HistoryView:
    """Chart the metrics of a target, or of all containers, by default over the last 24 hours."""
    if query.target is None:
        return await _all_containers(call, query)
    state = call.monitor.state.targets.get(query.target)
    if state is None:
        raise not_found("target", query.target)
    check = query.check
    if check is None:
        # A container's own check, or the first check of any other target.
        own = state.source if state.source in state.checks else next(iter(state.checks), None)
        check = own
    elif check not in state.checks:
        raise not_found("check", f"{query.target}/{check}")
    since, until = span(call, query)
    with unavailable():
        found = await _chart(call, query.target, check, since, until, query.points)
    return HistoryView(
        target=query.target,
        check=check,
        since=since,
        until=until,
        resolution=found.resolution,
        step=found.step,
        points=found.points,
    )
