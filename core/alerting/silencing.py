"""Silences and maintenance windows that people make and end: kept, journaled, told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from attrs import evolve

from tocsin.core.alerts.silences import Quiet, Silence
from tocsin.core.bus import Bus
from tocsin.core.clock import Clock
from tocsin.core.journal import Entry, Journal
from tocsin.core.store import Store

SHOWN = timedelta(days=1)
"""For how long one that has ended is still listed."""


class Silencing:
    """What people silence. ``recheck``: called when that has changed."""

    def __init__(
        self, journal: Journal, store: Store, bus: Bus, clock: Clock, recheck: Callable[[], None]
    ) -> None:
        self.quiet = Quiet()
        self._journal, self._store, self._bus = journal, store, bus
        self._clock, self._recheck = clock, recheck

    def put(self, silence: Silence) -> Silence:
        """Take a new silence, or a changed one of the same id."""
        self.quiet.put([silence])
        self._journal.submit(Entry(silences=(silence,)))
        self._store.write(silence)
        self._bus.publish("silence", silence)
        self._recheck()
        return silence

    def end(self, silence: Silence) -> Silence:
        """End a silence now: what still fires is told."""
        now = self._clock.now()
        return self.put(evolve(silence, ends_at=now, starts_at=min(silence.starts_at, now)))

    def forget(self) -> None:
        """Let go of those that ended long ago; history keeps them."""
        oldest = self._clock.now() - SHOWN
        over = [s.id for s in self.quiet.silences.values() if s.ends_at < oldest]
        if over:
            for identity in over:
                del self.quiet.silences[identity]
            self._journal.submit(Entry(gone_silences=tuple(over)))
