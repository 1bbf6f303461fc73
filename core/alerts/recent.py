"""What is kept of a target's past for its rules: the newest of each check, and as much more as they
ask for."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Any

from attrs import define, field

from tocsin.core.alerts.rule_set import BoundRule
from tocsin.core.contracts.model import Event, Observation, Status, Target
from tocsin.core.contracts.rule import History

MOST = 256
"""Observations, and events, kept of one target at most."""


@define(eq=False)
class Recent:
    """One target's recent past. ``lookback`` in seconds: the longest any of its rules wants."""

    target: Target
    source: str | None = None
    lookback: float = 0.0
    latest: dict[str, Observation] = field(factory=dict)
    failures: dict[str, int] = field(factory=dict)
    checks: frozenset[str] = frozenset()
    unread: bool = False
    """What history has of it, from before the start, is still to be read."""
    _earlier: tuple[tuple[Observation, ...], tuple[Event, ...]] = ((), ())
    """What was read of that."""
    _plain: History | None = None
    _observations: deque[Observation] = field(factory=lambda: deque(maxlen=MOST))
    _events: deque[Event] = field(factory=lambda: deque(maxlen=MOST))

    def observe(self, observation: Observation) -> None:
        """Take in a result."""
        self.latest[observation.check] = observation
        status = observation.result.status
        if status is Status.DOWN:
            self.failures[observation.check] = self.failures.get(observation.check, 0) + 1
        elif status is not Status.UNKNOWN:
            self.failures.pop(observation.check, None)
        if self.lookback:
            self._observations.append(observation)

    def happened(self, event: Event) -> None:
        """Take in an event."""
        if self.lookback:
            self._events.append(event)

    def read(self, observations: Sequence[Observation], events: Sequence[Event]) -> None:
        """Take in what history has of it, in order of time."""
        self.unread, self._earlier = False, (tuple(observations)[-MOST:], tuple(events)[-MOST:])

    def forget(self, checks: Mapping[str, Any]) -> bool:
        """Leave only the checks that are still there; True where some were not."""
        self.checks = frozenset(checks)
        over = [name for name in self.latest if name not in checks]
        for gone in over:
            del self.latest[gone]
            self.failures.pop(gone, None)
        return bool(over)

    def plain(self) -> History:
        """What a rule sees that does not look back, and has no alert. What was seen is in the same
        tables all the time, so that it is made anew only for another target."""
        made = self._plain
        if (
            made is None
            or made.target is not self.target
            or made.checks is not self.checks
            or made.source != self.source
        ):
            made = self._plain = History(
                target=self.target, latest=self.latest, failures=self.failures,
                source=self.source, checks=self.checks,
            )  # fmt: skip
        return made

    def history(
        self, lookback: float, now: datetime, *, firing: bool, rule_state: Mapping[str, Any],
        snapshot: bool = False, reads_back: bool = False,
    ) -> History:  # fmt: skip
        """What one rule sees. ``snapshot``: for another thread, sharing nothing that changes.
        ``reads_back``: with what was read of the time before the start."""
        observations: tuple[Observation, ...] = ()
        events: tuple[Event, ...] = ()
        if lookback:
            oldest = now - timedelta(seconds=lookback)
            observations = tuple(o for o in self._observations if o.at >= oldest)
            events = tuple(e for e in self._events if e.at >= oldest)
            if reads_back and any(self._earlier):
                earlier = self._earlier
                if max(each[-1].at for each in earlier if each) < now - timedelta(
                    seconds=self.lookback
                ):
                    self._earlier = ((), ())
                observations = (*(o for o in earlier[0] if o.at >= oldest), *observations)
                events = (*(e for e in earlier[1] if e.at >= oldest), *events)
        return History(
            target=self.target,
            latest=dict(self.latest) if snapshot else self.latest,
            observations=observations,
            events=events,
            failures=dict(self.failures) if snapshot else self.failures,
            source=self.source,
            firing=firing,
            rule_state=rule_state,
            checks=self.checks,
        )


@define
class Reading:
    """Which targets wait for what history has of the time before the start, and for how long a
    target that comes may have to: ``until``, a steady time. Then rules that look back judge it."""

    until: float = -inf
    waiting: dict[str, Recent] = field(factory=dict)

    def expect(self, recent: Recent, rules: Collection[BoundRule], now: float) -> None:
        """A target has come; ``rules`` watch it."""
        if now < self.until and any(rule.reads_back for rule in rules):
            recent.unread = True
            self.waiting[recent.target.name] = recent

    def done(
        self,
        name: str,
        observations: Sequence[Observation] = (),
        events: Sequence[Event] = (),
    ) -> None:
        """What history has of a target was read, or cannot be; its rules may judge."""
        if (recent := self.waiting.pop(name, None)) is not None:
            recent.read(observations, events)
