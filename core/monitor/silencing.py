"""Silences and maintenance windows that people make and end."""

from __future__ import annotations

from datetime import timedelta

from attrs import define, evolve

from tocsin.core.alerts.silences import Silence, Silencer
from tocsin.core.clock import Clock
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

    def put(self, silence: Silence) -> Silence:
        """Take a new silence, or a changed one of the same id."""
        self.executor.handle(events.SilencePut(silence))
        return silence

    def end(self, silence: Silence) -> Silence:
        """End a silence now: what still fires is told."""
        now = self.clock.now()
        return self.put(evolve(silence, ends_at=now, starts_at=min(silence.starts_at, now)))

    def forget(self) -> None:
        """Let go of those that ended long ago."""
        oldest = self.clock.now() - SHOWN
        over = tuple(s.id for s in self.quiet.silences.values() if s.ends_at < oldest)
        if over:
            self.executor.handle(events.SilencesForgotten(over))
