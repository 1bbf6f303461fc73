"""A read-only view of the running tocsin, for plugins. All that it returns is passed by value."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from attrs import Factory, frozen

from tocsin.core.contracts.container import Container
from tocsin.core.contracts.metric import Metric
from tocsin.core.contracts.model import Health, Status, Target
from tocsin.core.contracts.rule import Severity


@frozen(kw_only=True)
class CheckSnapshot:
    """The current state of one check.

    Attributes:
        name: its name; unique within the target.
        probe: name of the probe or source.
        status: of the last result; unknown before the first one.
        message: of the last result.
        at: time of the last result, aware UTC; None before the first one.
        since: since when the status is unchanged.
        latency: seconds that the last run took.
        metrics: all numbers of the last result, those of a container included.
        failures: number of consecutive results other than up.
        runs: number of results since the start.
        skipped: number of runs that were skipped, because the previous one was still running or
            it was too late.
    """

    name: str
    probe: str
    status: Status = Status.UNKNOWN
    message: str = ""
    at: datetime | None = None
    since: datetime | None = None
    latency: float | None = None
    metrics: Mapping[str, float] = Factory(dict)
    failures: int = 0
    runs: int = 0
    skipped: int = 0


@frozen(kw_only=True)
class TargetSnapshot:
    """The current state of one target.

    Attributes:
        target: the target.
        status: the worst status of its checks.
        message: of the check that decides the status.
        since: since when that check has its status, aware UTC.
        checks: its checks.
        container: facts about the container, if the target is one and was seen.
    """

    target: Target
    status: Status = Status.UNKNOWN
    message: str = ""
    since: datetime | None = None
    checks: tuple[CheckSnapshot, ...] = ()
    container: Container | None = None


@frozen(kw_only=True)
class AlertSnapshot:
    """A firing alert.

    Attributes:
        id: its id.
        rule: name of its rule.
        target: name of its target.
        severity: how urgent it is.
        state: ``firing``, ``acknowledged``, ``suppressed`` and so on, as in the API.
        message: the rule's message.
        since: when the trouble began, aware UTC.
    """

    id: UUID
    rule: str
    target: str
    severity: Severity
    state: str
    message: str = ""
    since: datetime


@frozen(kw_only=True)
class ChannelSnapshot:
    """A channel and its counters since the start.

    Attributes:
        name: its name.
        sent: number of messages that it has delivered.
        failed: number of attempts that failed.
        waiting: number of notifications that wait for it.
    """

    name: str
    sent: int = 0
    failed: int = 0
    waiting: int = 0


@frozen(kw_only=True)
class ComponentSnapshot:
    """The health of a component of tocsin, as ``/health`` shows it.

    Attributes:
        name: its name.
        status: its health.
        message: why it is not ok.
        numbers: its counters, by name.
    """

    name: str
    status: Health
    message: str = ""
    numbers: Mapping[str, float] = Factory(dict)


@frozen(kw_only=True)
class PluginSnapshot:
    """A plugin.

    Attributes:
        name: its name.
        status: ``ok``, ``failed`` or ``disabled``.
        reason: why it is not ok.
    """

    name: str
    status: str
    reason: str | None = None


@frozen(kw_only=True)
class Statistics:
    """Counters of tocsin itself.

    Attributes:
        version: the version that runs.
        started_at: when it started, aware UTC.
        checks: scheduled checks.
        running: runs in progress.
        runs: runs begun since the start.
        skipped: runs skipped since the start.
        lateness_p50, lateness_p99, lateness_max: seconds by which recent runs began late.
        journal_waiting: entries that the journal could not write yet.
    """

    version: str
    started_at: datetime
    checks: int = 0
    running: int = 0
    runs: int = 0
    skipped: int = 0
    lateness_p50: float = 0.0
    lateness_p99: float = 0.0
    lateness_max: float = 0.0
    journal_waiting: int = 0


class SystemView(Protocol):
    """Reads the state of the running tocsin. Each call returns the state at that moment."""

    def targets(self) -> AsyncIterator[TargetSnapshot]:
        """Iterate over all targets. They are read in portions, so that one may be added or removed
        meanwhile."""

    async def alerts(self) -> Sequence[AlertSnapshot]:
        """Return the firing alerts, newest first."""

    async def channels(self) -> Sequence[ChannelSnapshot]:
        """Return the channels."""

    async def components(self) -> Sequence[ComponentSnapshot]:
        """Return the health of the components of tocsin."""

    async def plugins(self) -> Sequence[PluginSnapshot]:
        """Return the plugins, sorted by name."""

    async def descriptions(self) -> Mapping[str, Mapping[str, Metric]]:
        """Return what the metrics of each probe and source mean, by the name of the probe and that
        of the metric."""

    async def statistics(self) -> Statistics:
        """Return the counters of tocsin itself."""
