"""Containers: state, logs, events, inspection and restart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import frozen

from tocsin.core.contracts.model import Event, Status
from tocsin.core.contracts.route import Role, Routes
from tocsin.core.http import actions
from tocsin.core.http.actions import InspectView, LogList, LogQuery, RestartView
from tocsin.core.http.changes import ChangesQuery, select
from tocsin.core.http.history import SpanQuery, span, unavailable
from tocsin.core.http.paging import IdCursor, Limit
from tocsin.core.http.problems import not_found
from tocsin.core.http.routing import Call
from tocsin.core.http.views import (
    CONTAINERS,
    ContainerView,
    container_view,
    is_container,
    shown_labels,
)
from tocsin.core.state import TargetState

routes = Routes()


@frozen(kw_only=True)
class ContainerQuery(ChangesQuery):
    """Filters are combined with AND. See ``whole`` in the answer for ``since``."""

    status: Status | None = None
    state: str | None = None
    project: str | None = None
    q: str | None = None


@frozen(kw_only=True)
class ContainerPage:
    """A page of containers, sorted by name; ``total`` counts all that match, changed or not.

    If ``whole`` is true, all that match are listed. If it is false, only those that changed after
    the revision given as ``since`` are: remove the items named by ``removed`` from your copy, then
    add or replace ``items``. Over several pages, keep the ``revision`` of the first one.
    """

    items: list[ContainerView]
    total: int
    next: str | None
    revision: str
    whole: bool
    removed: list[str]


@frozen(kw_only=True)
class ContainerDetail:
    """One container, the targets that depend on it, and what can be done with it: ``actions`` are
    those of ``logs``, ``restart`` and ``inspect`` that its source is capable of."""

    container: ContainerView
    labels: Mapping[str, str]
    dependents: list[str]
    actions: list[str]
    restart_allowed: bool


@frozen(kw_only=True)
class EventQuery(SpanQuery):
    """The time range is from ``since``, or the last ``hours``, until ``until`` or now."""

    limit: Limit = 100
    cursor: IdCursor | None = None


@frozen(kw_only=True)
class EventView:
    """An event as the container engine reported it."""

    id: UUID
    at: datetime
    target: str
    source: str
    action: str
    attributes: Mapping[str, Any]


@frozen(kw_only=True)
class EventPage:
    """A page of events, newest first."""

    items: list[EventView]
    next: UUID | None


def find(call: Call) -> TargetState:
    """Return the state of the container that the path names.

    Raises:
        Problem: 404, there is no such container.
    """
    name = call.path["name"]
    state = call.monitor.state.targets.get(name)
    if state is None or not is_container(state):
        raise not_found("container", name)
    return state


@routes.get("/api/v1/containers")
async def list_containers(call: Call, query: ContainerQuery) -> ContainerPage:
    """List containers, filtered by status, engine state, Compose project, or a part of the name."""
    wanted = None if query.q is None else query.q.lower()

    def scope(state: TargetState) -> bool:
        return is_container(state) and (wanted is None or wanted in state.target.name.lower())

    def matches(state: TargetState) -> bool:
        facts = state.container
        return (
            (query.status is None or state.status is query.status)
            and (query.state is None or (facts is not None and facts.state == query.state))
            and (query.project is None or (facts is not None and facts.project == query.project))
        )

    found, encoded = select(call.monitor.state, query, scope, matches), call.request.app[CONTAINERS]
    return ContainerPage(
        items=[encoded.of(state) for state in found.states], total=found.total,
        next=found.next, revision=found.revision, whole=found.whole, removed=found.removed,
    )  # fmt: skip


@routes.get("/api/v1/containers/{name}", errors=(404,))
async def get_container(call: Call) -> ContainerDetail:
    """Return one container."""
    state = find(call)
    name = state.target.name
    return ContainerDetail(
        container=container_view(state),
        labels=shown_labels(state.target.labels),
        dependents=call.monitor.dependents(name),
        actions=sorted(call.monitor.actions.actions(name)),
        restart_allowed=call.monitor.actions.may_restart(name),
    )


@routes.get("/api/v1/containers/{name}/logs", errors=(404, 502))
async def get_logs(call: Call, query: LogQuery) -> LogList:
    """Return the last lines of a container's log, oldest first."""
    return await actions.logs(call, find(call), query)


@routes.get("/api/v1/containers/{name}/events", errors=(404, 503))
async def get_events(call: Call, query: EventQuery) -> EventPage:
    """List the events of a container, newest first."""
    name = find(call).target.name
    since, until = span(call, query)
    with unavailable():
        events = await call.monitor.history.records(
            lambda history: history.events(name, since, until, query.limit, query.cursor), Event
        )
    items = [
        EventView(
            id=event.id,
            at=event.at,
            target=event.target,
            source=event.source,
            action=event.action,
            attributes=event.attributes,
        )
        for event in events
    ]
    full = len(items) == query.limit
    return EventPage(items=items, next=items[-1].id if full else None)


@routes.get("/api/v1/containers/{name}/inspect", role=Role.OPERATOR, errors=(404, 502))
async def inspect(call: Call) -> InspectView:
    """Return the engine's inspect document of a container, environment and secrets redacted."""
    return await actions.inspect(call, find(call))


@routes.post("/api/v1/containers/{name}/restart", role=Role.OPERATOR, errors=(404, 409, 502))
async def restart(call: Call) -> RestartView:
    """Restart a container, if ``[actions] restart`` in the configuration allows it.

    The attempt is recorded in the audit log, whatever its outcome.
    """
    return await actions.restart(call, find(call))
