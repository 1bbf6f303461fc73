"""The recent history of a target that is kept in memory for its rules."""

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
"""Maximum number of observations, and of events, kept of one target."""


@define(eq=False)
class Recent:
    """The recent history of one target. ``lookback``: seconds; the longest of its rules."""

    target: Target
    source: str | None = None
    lookback: float = 0.0
    latest: dict[str, Observation] = field(factory=dict)
    failures: dict[str, int] = field(factory=dict)
    checks: frozenset[str] = frozenset()
    unread: bool = False
    """Whether its stored history from before the start has not been read yet."""
    _earlier: tuple[tuple[Observation, ...], tuple[Event, ...]] = ((), ())
    """The stored history, once read."""
    _plain: History | None = None
    _observations: deque[Observation] = field(factory=lambda: deque(maxlen=MOST))
    _events: deque[Event] = field(factory=lambda: deque(maxlen=MOST))

    def observe(self, observation: Observation) -> None:
        """Add a result."""
        self.latest[observation.check] = observation
        status = observation.result.status
        if status is Status.DOWN:
            self.failures[observation.check] = self.failures.get(observation.check, 0) + 1
        elif status is not Status.UNKNOWN:
            self.failures.pop(observation.check, None)
        if self.lookback:
            self._observations.append(observation)

    def happened(self, event: Event) -> None:
        """Add an event."""
        if self.lookback:
            self._events.append(event)

    def read(self, observations: Sequence[Observation], events: Sequence[Event]) -> None:
        """Set the stored history from before the start, oldest first."""
        self.unread, self._earlier = False, (tuple(observations)[-MOST:], tuple(events)[-MOST:])

    def forget(self, checks: Mapping[str, Any]) -> bool:
        """Set the target's checks and delete results of others; return whether there were any."""
        self.checks = frozenset(checks)
        over = [name for name in self.latest if name not in checks]
        for gone in over:
            del self.latest[gone]
            self.failures.pop(gone, None)
        return bool(over)

    def plain(self) -> History:
        """Return the history for a rule without lookback and without an alert.

        It shares the tables of this object, so that one History serves until the target changes.
        """
        made = self._plain
        if (
            made is None
            or made.rule_state  # a rule wrote into it
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
        """Return the history for one rule.

        Args:
            lookback: seconds of observations and events to include.
            now: the end of that time.
            firing: whether the rule's alert fires.
            rule_state: the state that the rule kept.
            snapshot: whether to copy all mutable tables, for use by another thread.
            reads_back: whether to include the stored history from before the start.
        """
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
    """Targets that wait for their stored history from before the start; rules that look back
    evaluate them afterwards. ``until``: the steady time until which new targets have to wait."""

    until: float = -inf
    waiting: dict[str, Recent] = field(factory=dict)

    def expect(self, recent: Recent, rules: Collection[BoundRule], now: float) -> None:
        """Have a new target wait, if one of its rules reads stored history."""
        if now < self.until and any(rule.reads_back for rule in rules):
            recent.unread = True
            self.waiting[recent.target.name] = recent

    def done(
        self,
        name: str,
        observations: Sequence[Observation] = (),
        events: Sequence[Event] = (),
    ) -> None:
        """Set a target's stored history, empty if it cannot be read; its rules may run now."""
        if (recent := self.waiting.pop(name, None)) is not None:
            recent.read(observations, events)
