"""Targets and checks, and what can be done with targets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from tocsin.core.contracts.history_series import Chart, Point
from tocsin.core.contracts.model import Observation, Status
from tocsin.core.contracts.route import Role, Routes
from tocsin.core.http import actions
from tocsin.core.http.actions import InspectView, LogList, LogQuery, RestartView
from tocsin.core.http.changes import ChangesQuery, select
from tocsin.core.http.history import RangeQuery, SampleQuery, span, unavailable
from tocsin.core.http.paging import PageQuery, page
from tocsin.core.http.problems import not_found
from tocsin.core.http.routing import Call
from tocsin.core.http.views import TARGETS, CheckView, TargetView, check_view, target_view
from tocsin.core.state import TargetState

routes = Routes()


@frozen(kw_only=True)
class TargetQuery(ChangesQuery):
    """Filters are combined with AND. See ``whole`` in the answer for ``since``."""

    status: Status | None = None
    kind: str | None = None
    critical: bool | None = None
    q: str | None = None


@frozen(kw_only=True)
class TargetPage:
    """A page of targets, sorted by name; ``total`` counts all that match, changed or not.

    If ``whole`` is true, all that match are listed. If it is false, only those that changed after
    the revision given as ``since`` are: remove the items named by ``removed`` from your copy, then
    add or replace ``items``. Over several pages, keep the ``revision`` of the first one.
    """

    items: list[TargetView]
    total: int
    next: str | None
    revision: str
    whole: bool
    removed: list[str]


@frozen(kw_only=True)
class TargetDetail:
    """One target, the names of the targets that depend on it, directly or through others, and what
    can be done with it: ``actions`` are those of ``logs``, ``restart`` and ``inspect`` that its
    source is capable of; ``restart_allowed``: whether tocsin may restart it, too."""

    target: TargetView
    dependents: list[str]
    actions: list[str]
    restart_allowed: bool


@frozen(kw_only=True)
class CheckQuery(PageQuery):
    """Filters are combined with AND."""

    status: Status | None = None
    target: str | None = None
    probe: str | None = None


@frozen(kw_only=True)
class CheckPage:
    """A page of checks, sorted by id."""

    items: list[CheckView]
    total: int
    next: str | None


@frozen(kw_only=True)
class UptimeView:
    """The share of known results that were up or degraded, 0 to 1, and the count of each status."""

    available: float | None
    up: int
    degraded: int
    down: int
    unknown: int


@frozen(kw_only=True)
class CheckHistory:
    """The history of a check; ``step`` is the time between two points, in seconds."""

    check: str
    since: datetime
    until: datetime
    resolution: str
    step: float
    uptime: UptimeView
    points: tuple[Point, ...]


@frozen(kw_only=True)
class SampleView:
    """One raw result."""

    at: datetime
    status: Status
    latency_seconds: float | None
    message: str
    metrics: Mapping[str, float]


@frozen(kw_only=True)
class SampleList:
    """Raw results, newest first."""

    items: list[SampleView]


def find(call: Call) -> TargetState:
    """Return the state of the target that the path names.

    Raises:
        Problem: 404, there is no such target.
    """
    name = call.path["name"]
    state = call.monitor.state.targets.get(name)
    if state is None:
        raise not_found("target", name)
    return state


@routes.get("/api/v1/targets")
async def list_targets(call: Call, query: TargetQuery) -> TargetPage:
    """List targets, filtered by status, kind, critical, or a part of the name."""
    wanted = None if query.q is None else query.q.lower()

    def scope(state: TargetState) -> bool:
        return (query.kind is None or state.target.kind == query.kind) and (
            wanted is None or wanted in state.target.name.lower()
        )

    def matches(state: TargetState) -> bool:
        return (query.status is None or state.status is query.status) and (
            query.critical is None or state.target.critical == query.critical
        )

    found, encoded = select(call.monitor.state, query, scope, matches), call.request.app[TARGETS]
    return TargetPage(
        items=[encoded.of(state) for state in found.states], total=found.total,
        next=found.next, revision=found.revision, whole=found.whole, removed=found.removed,
    )  # fmt: skip


@routes.get("/api/v1/targets/{name}", errors=(404,))
async def get_target(call: Call) -> TargetDetail:
    """Return one target with its checks, the names of its dependents, and what can be done."""
    state = find(call)
    name = state.target.name
    return TargetDetail(
        target=target_view(state),
        dependents=call.monitor.dependents(name),
        actions=sorted(call.monitor.actions.actions(name)),
        restart_allowed=call.monitor.actions.may_restart(name),
    )


@routes.get("/api/v1/targets/{name}/logs", errors=(404, 502))
async def get_target_logs(call: Call, query: LogQuery) -> LogList:
    """Return the last lines of a target's log, oldest first."""
    return await actions.logs(call, find(call), query)


@routes.get("/api/v1/targets/{name}/inspect", role=Role.OPERATOR, errors=(404, 502))
async def inspect_target(call: Call) -> InspectView:
    """Return all that its source knows of a target, secrets redacted."""
    return await actions.inspect(call, find(call))


@routes.post("/api/v1/targets/{name}/restart", role=Role.OPERATOR, errors=(404, 409, 502))
async def restart_target(call: Call) -> RestartView:
    """Restart a target, if its source can and ``[actions] restart`` in the configuration allows it.

    The attempt is recorded in the audit log, whatever its outcome.
    """
    return await actions.restart(call, find(call))


@routes.get("/api/v1/checks")
async def list_checks(call: Call, query: CheckQuery) -> CheckPage:
    """List checks, filtered by status, target or probe."""
    chosen = [
        check
        for state in call.monitor.state
        for check in state.checks.values()
        if (query.status is None or check.status is query.status)
        and (query.target is None or check.target == query.target)
        and (query.probe is None or check.probe == query.probe)
    ]
    items, after = page(chosen, lambda c: c.id, query.limit, query.cursor)
    return CheckPage(items=[check_view(c) for c in items], total=len(chosen), next=after)


def _check(call: Call) -> str:
    """Return the name of the check that the path names.

    Raises:
        Problem: 404, there is no such target or check.
    """
    name = call.path["check"]
    if name not in find(call).checks:
        raise not_found("check", f"{call.path['name']}/{name}")
    return name


@routes.get("/api/v1/checks/{name}/{check}/history", errors=(404, 503))
async def check_history(call: Call, query: RangeQuery) -> CheckHistory:
    """Chart one check: number of results by status, metrics, and uptime."""
    target, check = call.path["name"], _check(call)
    since, until = span(call, query)
    with unavailable():
        found = await call.monitor.history.ask(
            lambda history: history.chart(target, check, since, until, query.points), Chart
        )
    up, degraded, down, unknown = (
        sum(getattr(point, name) for point in found.points)
        for name in ("up", "degraded", "down", "unknown")
    )
    known = up + degraded + down
    return CheckHistory(
        check=f"{target}/{check}",
        since=since,
        until=until,
        resolution=found.resolution,
        step=found.step,
        uptime=UptimeView(
            available=(up + degraded) / known if known else None,
            up=up, degraded=degraded, down=down, unknown=unknown,
        ),
        points=found.points,
    )  # fmt: skip


@routes.get("/api/v1/checks/{name}/{check}/results", errors=(404, 503))
async def check_results(call: Call, query: SampleQuery) -> SampleList:
    """List the raw results of one check, newest first."""
    target, check = call.path["name"], _check(call)
    since, until = span(call, query)
    with unavailable():
        found = await call.monitor.history.records(
            lambda history: history.results(target, check, since, until, query.limit), Observation
        )
    return SampleList(
        items=[
            SampleView(
                at=seen.at,
                status=seen.result.status,
                latency_seconds=seen.result.latency,
                message=seen.result.message,
                metrics=seen.result.metrics,
            )
            for seen in found
        ]
    )
