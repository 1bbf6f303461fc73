"""Silences and maintenance windows that people make and end."""

from __future__ import annotations

from datetime import timedelta

from attrs import define, evolve

from tocsin.core.alerts.silences import Silence, Silencer
from tocsin.core.clock import Clock
from tocsin.core.contracts.model import AuditEntry
from tocsin.core.monitor import events
from tocsin.core.monitor.executor import Executor

SHOWN = timedelta(days=1)
"""For how long one that has ended is still listed."""


@define
class Silencing:
    """What people silence. ``executor`` takes the events."""

    clock: Clock
    executor: Executor

    @property
    def quiet(self) -> Silencer:
        """All of it."""
        return self.executor.monitor.quiet

    async def put(self, silence: Silence, audit: AuditEntry | None = None) -> Silence:
        """Take a new silence, or a changed one of the same id, with the row that says who made it.
        Returns it when it is on disk."""
        await self.executor.submit(events.SilencePut(silence, audit))
        return silence

    async def end(self, silence: Silence, audit: AuditEntry) -> Silence:
        """End a silence now: what still fires is notified. Returns it when that is on disk."""
        now = self.clock.now()
        ended = evolve(silence, ends_at=now, starts_at=min(silence.starts_at, now))
        return await self.put(ended, audit)

    def forget(self) -> None:
        """Let go of those that ended long ago."""
        oldest = self.clock.now() - SHOWN
        over = tuple(s.id for s in self.quiet.silences.values() if s.ends_at < oldest)
        if over:
            self.executor.handle(events.SilencesForgotten(over))
