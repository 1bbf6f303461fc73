"""Notification of observer plugins about changes of alerts, each in its own task."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping

from attrs import define, field

from tocsin.core.alerts.model import Transition
from tocsin.core.config.settings import ObserverSettings
from tocsin.core.contracts.observer import AlertChange, ObserverRuntime
from tocsin.core.logs import get_logger
from tocsin.core.plugin.runtimes import Runtime
from tocsin.core.plugin.sandbox import Isolation, PluginFault

log = get_logger(__name__)

DEADLINE = 10.0
"""Timeout, in seconds, of an observer's handling of one change."""

QUEUE = 1000
"""Maximum number of changes queued for an observer; beyond it the oldest are dropped."""


def change_of(transition: Transition) -> AlertChange:
    """Return the observers' view of a transition."""
    alert = transition.alert
    return AlertChange(
        id=transition.id,
        alert=alert.id,
        kind=transition.kind.value,
        rule=alert.rule,
        target=alert.target,
        severity=alert.severity,
        message=alert.resolution or alert.message,
        at=transition.at,
        notify=transition.notify,
        reason=str(transition.reason),
        why=transition.why,
        actor=transition.actor,
        downtime=alert.downtime,
        details=alert.details,
    )


@define(eq=False)
class _Watch:
    """One observer and its queue of changes."""

    settings: ObserverSettings
    runtime: Runtime[ObserverRuntime]
    waiting: deque[AlertChange] = field(factory=lambda: deque(maxlen=QUEUE))
    ready: asyncio.Event = field(factory=asyncio.Event)
    missed: int = 0
    task: asyncio.Task[None] | None = None

    @property
    def part(self) -> str:
        """The part of the plugin that is at fault if it fails."""
        return f"observer {self.settings.name}"


@define
class Observers:
    """All observers."""

    isolation: Isolation
    _watches: dict[str, _Watch] = field(init=False, factory=dict)

    def tell(self, changes: Iterable[Transition]) -> None:
        """Queue changes that are in the journal for every observer. Never waits."""
        if not self._watches:
            return
        for change in map(change_of, changes):
            for watch in self._watches.values():
                if len(watch.waiting) == QUEUE:
                    watch.missed += 1
                watch.waiting.append(change)
                watch.ready.set()

    async def apply(self, settings: Mapping[str, ObserverSettings]) -> None:
        """Apply a configuration; unchanged observers keep running."""
        for name, watch in list(self._watches.items()):
            if settings.get(name) != watch.settings:
                del self._watches[name]
                await self._end(watch)
                self.isolation.works(watch.settings.plugin or "", watch.part)
        for name, one in settings.items():
            if name not in self._watches and one.observer is not None:
                context = self.isolation.contexts.of(one.plugin or "", name)
                watch = self._watches[name] = _Watch(one, Runtime(one.observer, context))
                watch.task = asyncio.create_task(self._serve(watch), name=f"observer {name}")

    async def stop(self) -> None:
        """Stop; changes still queued are dropped."""
        watches, self._watches = list(self._watches.values()), {}
        await asyncio.gather(*map(self._end, watches))

    async def _end(self, watch: _Watch) -> None:
        if watch.task is not None:
            watch.task.cancel()
            await asyncio.gather(watch.task, return_exceptions=True)
        await self.isolation.close(watch.settings.plugin or "", watch.runtime)

    async def _serve(self, watch: _Watch) -> None:
        while True:
            await watch.ready.wait()
            watch.ready.clear()
            while watch.waiting:
                await self._tell_one(watch, watch.waiting.popleft())

    async def _tell_one(self, watch: _Watch, change: AlertChange) -> None:
        plugin, name = watch.settings.plugin or "", watch.settings.name
        if watch.missed:
            log.warning("an observer is too slow and missed changes", observer=name,
                        missed=watch.missed)  # fmt: skip
            watch.missed = 0

        async def process() -> None:
            await (await watch.runtime.get()).changed(change)

        try:
            await self.isolation.call(plugin, process, DEADLINE)
        except PluginFault as fault:
            self.isolation.breach(plugin, watch.part, fault)
        except TimeoutError:
            self.isolation.breach(plugin, watch.part, f"did not end within {DEADLINE:g} s")
        else:
            self.isolation.works(plugin, watch.part)
