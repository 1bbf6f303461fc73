"""Creation and end of silences and maintenance windows by people."""

from __future__ import annotations

from datetime import timedelta

from attrs import define, evolve

from tocsin.core.alerts.silences import Silence, Silencer
from tocsin.core.clock import Clock
from tocsin.core.contracts.model import AuditEntry
from tocsin.core.monitor import events
from tocsin.core.monitor.executor import Executor

SHOWN = timedelta(days=1)
"""How long a silence that has ended is still listed."""


@define
class Silencing:
    """Manages silences. ``executor`` handles the events."""

    clock: Clock
    executor: Executor

    @property
    def quiet(self) -> Silencer:
        """All silences and windows in force."""
        return self.executor.monitor.quiet

    async def put(self, silence: Silence, audit: AuditEntry | None = None) -> Silence:
        """Add or replace a silence, with its audit entry; return it once it is on disk."""
        await self.executor.submit(events.SilencePut(silence, audit))
        return silence

    async def end(self, silence: Silence, audit: AuditEntry) -> Silence:
        """End a silence now, so that alerts still firing are notified; return it once that is on
        disk."""
        now = self.clock.now()
        ended = evolve(silence, ends_at=now, starts_at=min(silence.starts_at, now))
        return await self.put(ended, audit)

    def forget(self) -> None:
        """Delete silences that ended more than ``SHOWN`` ago."""
        oldest = self.clock.now() - SHOWN
        over = tuple(s.id for s in self.quiet.silences.values() if s.ends_at < oldest)
        if over:
            self.executor.handle(events.SilencesForgotten(over))
