"""The API's views of targets, checks and containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

import msgspec
from aiohttp import web
from attrs import frozen

from tocsin.core.contracts.container import CONTAINER_METRICS
from tocsin.core.contracts.model import Status
from tocsin.core.encoding import encode
from tocsin.core.hiding import clean_data
from tocsin.core.state import CheckState, TargetState


@frozen(kw_only=True)
class CheckView:
    """The current state of a check. Durations are in seconds, times in UTC."""

    id: str
    target: str
    name: str
    probe: str
    status: Status
    message: str
    since: datetime | None
    last_run: datetime | None
    latency_seconds: float | None
    interval_seconds: float
    failures: int
    runs: int
    skipped: int
    broken: str | None
    metrics: Mapping[str, float]


@frozen(kw_only=True)
class TargetView:
    """The current state of a target; its status is the worst of its checks."""

    name: str
    kind: str
    status: Status
    message: str
    since: datetime | None
    last_seen: datetime | None
    critical: bool
    declared: bool
    source: str | None
    depends_on: tuple[str, ...]
    expected: Mapping[str, float]
    labels: Mapping[str, str]
    checks: list[CheckView]


@frozen(kw_only=True)
class ContainerView:
    """The state of a container at ``last_seen``. ``cpu_percent``: 100 is one core.

    ``uptime_seconds`` is the uptime at ``last_seen``; use ``started_at`` to compute it for another
    time.
    """

    name: str
    status: Status
    message: str
    since: datetime | None
    last_seen: datetime | None
    state: str
    reason: str
    health: str
    exit_code: int | None
    oom_killed: bool
    restart_count: int | None
    restart_policy: str | None
    started_at: datetime | None
    finished_at: datetime | None
    uptime_seconds: float | None
    id: str | None
    image: str | None
    ports: tuple[str, ...]
    cpu_percent: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    memory_percent: float | None
    network_rx_bytes: int | None
    network_tx_bytes: int | None
    critical: bool
    depends_on: tuple[str, ...]
    expected: Mapping[str, float]
    project: str | None
    service: str | None
    source: str | None
    checks: list[CheckView]


View = TypeVar("View")

LABELS, LONGEST_LABEL, ALL_LABELS = 300, 300, 20_000
"""Most labels of a target that are shown, and most characters of one label and of all."""


class Encoded(Generic[View]):
    """Caches the JSON of targets' views, one per target until the target changes.

    Args:
        view: returns the view of a target; it may depend on the target only.
    """

    def __init__(self, view: Callable[[TargetState], View]) -> None:
        self._view = view
        self._made: WeakKeyDictionary[TargetState, tuple[int, View]] = WeakKeyDictionary()

    def of(self, state: TargetState) -> View:
        """Return the target's view, already encoded."""
        made = self._made.get(state)
        if made is None or made[0] != state.revision:
            raw = msgspec.Raw(encode(self._view(state)))
            made = self._made[state] = (state.revision, cast(View, raw))
        return made[1]


def shown_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels with secrets removed: container labels often hold passwords."""
    if not labels:
        return {}
    few = dict(islice(labels.items(), LABELS))  # images may carry megabytes of labels
    shown: dict[str, str] = clean_data(few, lines=False, longest=LONGEST_LABEL, most=ALL_LABELS)
    return shown


def check_view(check: CheckState) -> CheckView:
    """Return the API's view of a check."""
    last = check.last
    result = None if last is None else last.result
    return CheckView(
        id=check.id,
        target=check.target,
        name=check.name,
        probe=check.probe,
        status=check.status,
        message="no result yet" if result is None else result.message,
        since=check.since,
        last_run=None if last is None else last.at,
        latency_seconds=None if result is None else result.latency,
        interval_seconds=check.interval,
        failures=check.failures,
        runs=check.runs,
        skipped=check.skipped,
        broken=check.broken,
        metrics={} if result is None else result.metrics,
    )


def target_view(state: TargetState) -> TargetView:
    """Return the API's view of a target."""
    target = state.target
    return TargetView(
        name=target.name,
        kind=target.kind,
        status=state.status,
        message=state.message,
        since=state.since,
        last_seen=state.last_seen,
        critical=target.critical,
        declared=state.declared,
        source=state.source,
        depends_on=target.depends_on,
        expected=target.expected,
        labels=shown_labels(target.labels),
        checks=[check_view(check) for check in state.checks.values()],
    )


def is_container(state: TargetState) -> bool:
    """Return whether a target is a container, discovered or declared."""
    return state.target.kind == "container"


def container_view(state: TargetState) -> ContainerView:
    """Return the API's view of a container. If the engine never reported it, its facts are None."""
    facts = state.container
    target = state.target
    common: dict[str, Any] = {
        **{name: getattr(facts, name, None) for name in CONTAINER_METRICS},
        "name": target.name,
        "status": state.status,
        "message": state.message,
        "since": state.since,
        "last_seen": state.last_seen,
        "critical": target.critical,
        "depends_on": target.depends_on,
        "expected": target.expected,
        "source": state.source,
        "checks": [check_view(check) for check in state.checks.values()],
    }
    if facts is None:
        own = state.checks.get(state.source or "")
        attributes = own.last.result.attributes if own is not None and own.last else {}
        reason = str(attributes.get("reason", "unseen"))
        return ContainerView(
            state="missing" if reason == "missing" else "unknown", reason=reason, health="none",
            exit_code=None, oom_killed=False, restart_policy=None, started_at=None,
            finished_at=None, uptime_seconds=None, id=None, image=None, ports=(), project=None,
            service=None, **common,
        )  # fmt: skip
    alive = facts.state in ("running", "paused")
    seen, began = state.last_seen, facts.started_at
    uptime = (seen - began).total_seconds() if alive and seen and began else None
    return ContainerView(
        state=facts.state, reason=facts.reason.value, health=facts.health,
        exit_code=facts.exit_code, oom_killed=facts.oom_killed,
        restart_policy=facts.restart_policy, started_at=facts.started_at,
        finished_at=facts.finished_at,
        uptime_seconds=None if uptime is None else max(0.0, uptime), id=facts.id,
        image=facts.image, ports=facts.ports, project=facts.project, service=facts.service,
        **common,
    )  # fmt: skip


TARGETS: web.AppKey[Encoded[TargetView]] = web.AppKey("targets", Encoded)
CONTAINERS: web.AppKey[Encoded[ContainerView]] = web.AppKey("containers", Encoded)
