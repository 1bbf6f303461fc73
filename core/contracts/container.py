"""Containers: the facts that a source knows about one, and why it is in its state."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import fields, frozen

REPLICATED = "replicated-service"
"""Kind of a target that is a service of several containers. Rules for the kind ``container`` apply
to it, too."""


class Reason(StrEnum):
    """Why a container is in the state it is in.

    Attributes:
        RUNNING: it runs, and is healthy if it has a health check.
        STARTING: it runs, and its health check has not passed yet.
        UNHEALTHY: it runs, and its health check fails.
        CRASHED: it ended by itself, with an exit code other than 0.
        OOM_KILLED: the kernel killed it because it reached its memory limit.
        STOPPED: a person or a tool stopped it: docker stop, docker kill, compose stop.
        COMPLETED: it ended with exit code 0, and its restart policy lets it end.
        PAUSED: it is paused.
        RESTARTING: the engine waits before it starts it again (a restart loop).
        CREATED: it was created, and never started.
        MISSING: the configuration declares it, and the engine does not have it.
        REMOVED: it was removed.
        UNSEEN: the engine does not answer.
    """

    RUNNING = "running"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    CRASHED = "crashed"
    OOM_KILLED = "oom-killed"
    STOPPED = "stopped"
    COMPLETED = "completed"
    PAUSED = "paused"
    RESTARTING = "restarting"
    CREATED = "created"
    MISSING = "missing"
    REMOVED = "removed"
    UNSEEN = "unseen"


@frozen(kw_only=True)
class Container:
    """Facts about one container; None where they are not known.

    Attributes:
        id: its id in the engine.
        image: name of its image.
        state: the engine's name of its state: ``created``, ``running``, ``paused``,
            ``restarting``, ``removing``, ``exited`` or ``dead``.
        reason: why it is in this state.
        health: of its health check: ``healthy``, ``unhealthy``, ``starting``; ``none`` without one.
        exit_code: of its last run.
        oom_killed: whether the kernel killed its last run for want of memory.
        restart_count: how often the engine restarted it.
        restart_policy: the engine's name of its restart policy, such as ``always``.
        created_at: when it was created, aware UTC.
        started_at: when it was last started, aware UTC.
        finished_at: when it last ended, aware UTC.
        ports: published ports as ``8003:8000/tcp``, others as ``8000/tcp``.
        project: its project in Docker Compose.
        service: its service in Docker Compose or a swarm.
        cpu_percent: CPU as ``docker stats`` counts it: 100 is one core.
        memory_bytes: memory in use, in bytes.
        memory_limit_bytes: its memory limit, in bytes.
        memory_percent: memory in use, in per cent of its limit.
        network_rx_bytes: bytes received since it was started.
        network_tx_bytes: bytes sent since it was started.
    """

    id: str
    image: str
    state: str
    reason: Reason
    health: str = "none"
    exit_code: int | None = None
    oom_killed: bool = False
    restart_count: int = 0
    restart_policy: str = "no"
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ports: tuple[str, ...] = ()
    project: str | None = None
    service: str | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_percent: float | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """Return the known ones of its numbers by name: of the fields whose names end in a unit."""
        values = ((name, getattr(self, name)) for name in CONTAINER_METRICS)
        return {name: float(value) for name, value in values if value is not None}


CONTAINER_METRICS = tuple(
    field.name
    for field in fields(Container)
    if field.name.endswith(("_percent", "_bytes", "_count"))
)
"""Names of a container's metrics: the fields whose names end in a unit, as those of all metrics."""
