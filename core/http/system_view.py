"""What plugins may read of the running tocsin; see :class:`tocsin.core.contracts.view.SystemView`.

A plugin may call from its own thread and event loop; the state is read in the core's loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from attrs import define, field

from tocsin.core.contracts.metric import Metric
from tocsin.core.contracts.model import Status
from tocsin.core.contracts.view import (
    AlertSnapshot,
    ChannelSnapshot,
    CheckSnapshot,
    ComponentSnapshot,
    PluginSnapshot,
    Statistics,
    TargetSnapshot,
)
from tocsin.core.hiding import clean
from tocsin.core.http.metrics import descriptions, values_of
from tocsin.core.http.monitor import Monitor
from tocsin.core.http.views import is_container
from tocsin.core.shapes import is_number
from tocsin.core.state import CheckState, TargetState

T = TypeVar("T")

PORTION = 2000
"""Targets that are read at once; checks go on in between."""


@define
class RunningSystem:
    """The view of one tocsin; made in the core's loop."""

    _monitor: Monitor
    _home: asyncio.AbstractEventLoop = field(init=False, factory=asyncio.get_running_loop)

    async def _read(self, read: Callable[[], T]) -> T:
        """Call a function in the core's loop."""
        if asyncio.get_running_loop() is self._home:
            return read()

        async def there() -> T:
            return read()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), self._home))

    async def targets(self) -> AsyncIterator[TargetSnapshot]:
        """Iterate over all targets, in portions."""
        names = await self._read(lambda: list(self._monitor.state.targets))
        for start in range(0, len(names), PORTION):
            portion = names[start : start + PORTION]
            for target in await self._read(partial(self._targets, portion)):
                yield target
            await asyncio.sleep(0)

    def _targets(self, names: Sequence[str]) -> list[TargetSnapshot]:
        known = self._monitor.state.targets
        return [_target(known[name]) for name in names if name in known]

    async def alerts(self) -> list[AlertSnapshot]:
        """Return the firing alerts, newest first."""
        return await self._read(
            lambda: [
                AlertSnapshot(
                    id=alert.id, rule=alert.rule, target=alert.target, severity=alert.severity,
                    state=alert.state, message=alert.message, since=alert.since_at,
                )
                for alert in self._monitor.alerting.active()
            ]
        )  # fmt: skip

    async def channels(self) -> list[ChannelSnapshot]:
        """Return the channels."""
        return await self._read(
            lambda: [
                ChannelSnapshot(
                    name=name, sent=one.record.sent_total, failed=one.record.failed_total,
                    waiting=len(one.queue.rows),
                )
                for name, one in self._monitor.alerting.channels.items()
            ]
        )  # fmt: skip

    async def components(self) -> list[ComponentSnapshot]:
        """Return the health of the components of tocsin."""
        return await self._read(
            lambda: [
                ComponentSnapshot(
                    name=name, status=part.status, message=clean(part.message),
                    numbers={k: float(v) for k, v in part.details.items() if is_number(v)},
                )
                for name, part in self._monitor.health().items()
            ]
        )  # fmt: skip

    async def plugins(self) -> list[PluginSnapshot]:
        """Return the plugins, sorted by name."""
        return await self._read(
            lambda: [
                PluginSnapshot(name=one.name, status=one.status, reason=one.reason)
                for one in self._monitor.plugins.records
            ]
        )

    async def descriptions(self) -> dict[str, Mapping[str, Metric]]:
        """Return what the metrics of each probe and source mean."""
        return await self._read(lambda: descriptions(self._monitor.plugins))

    async def statistics(self) -> Statistics:
        """Return the counters of tocsin itself."""
        return await self._read(self._statistics)

    def _statistics(self) -> Statistics:
        stats = self._monitor.stats()
        return Statistics(
            version=self._monitor.version,
            started_at=self._monitor.started_at,
            checks=stats.checks,
            running=stats.running,
            runs=stats.runs_total,
            skipped=stats.skipped_total,
            lateness_p50=stats.lateness_p50,
            lateness_p99=stats.lateness_p99,
            lateness_max=stats.lateness_max,
            journal_waiting=self._monitor.alerting.journal.waiting,
        )


def _target(state: TargetState) -> TargetSnapshot:
    return TargetSnapshot(
        target=state.target,
        status=state.status,
        message=state.message,
        since=state.since,
        checks=tuple(map(_check, state.checks.values())),
        container=state.container if is_container(state) else None,
    )


def _check(state: CheckState) -> CheckSnapshot:
    last = state.last
    if last is None:
        return CheckSnapshot(
            name=state.name, probe=state.probe, status=Status.UNKNOWN, skipped=state.skipped
        )
    return CheckSnapshot(
        name=state.name, probe=state.probe, status=state.status, message=last.result.message,
        at=last.at, since=state.since, latency=last.result.latency,
        metrics=values_of(last.result.container, last.result.metrics),
        failures=state.failures, runs=state.runs, skipped=state.skipped,
    )  # fmt: skip
