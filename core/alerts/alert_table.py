"""The table of all alerts that are not closed, with their changes and timers."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import count
from uuid import UUID

from attrs import define, evolve, field

from tocsin.core.alerts.due import due
from tocsin.core.alerts.inhibition import Inhibition
from tocsin.core.alerts.model import Alert, Key, Moment, Transition
from tocsin.core.alerts.outcomes import record_acknowledgement


@define
class AlertTable:
    """Alerts by rule and target.

    Attributes:
        inhibition: supplies the policies, and is updated with every alert.
        alerts: the alerts.
        dirty: alerts to write to the journal, or to delete there; the monitor takes and clears it.
    """

    inhibition: Inhibition
    alerts: dict[Key, Alert] = field(factory=dict)
    dirty: set[Key] = field(factory=set)
    _keys: dict[UUID, Key] = field(factory=dict)
    """Keys of alerts, by id."""
    _timers: list[tuple[float, int, Key]] = field(factory=list)
    """A heap of steady times at which an alert may be due."""
    _order: count[int] = field(factory=count)

    def load(self, alerts: Iterable[Alert]) -> None:
        """Add the alerts of an earlier run."""
        for alert in alerts:
            self.put(alert)

    def put(self, alert: Alert) -> None:
        """Add or update an alert, and set its timer."""
        self.alerts[alert.key] = alert
        self._keys[alert.id] = alert.key
        self.dirty.add(alert.key)
        self.inhibition.put(alert)
        when = due(alert, self.inhibition.policy(alert.key))
        if when is not None:
            heapq.heappush(self._timers, (when, next(self._order), alert.key))

    def remove(self, alert: Alert) -> None:
        """Remove a closed alert."""
        self.alerts.pop(alert.key, None)
        self.forget(alert.id)
        self.inhibition.drop(alert.key)
        self.dirty.add(alert.key)

    def forget(self, alert_id: UUID) -> None:
        """Remove an id from the index."""
        self._keys.pop(alert_id, None)

    def find(self, alert_id: UUID) -> Alert | None:
        """Return an alert by id, or None if it is unknown or closed."""
        key = self._keys.get(alert_id)
        return None if key is None else self.alerts.get(key)

    def take_due(self, now: float) -> Iterator[Key]:
        """Yield the alerts that are due at the steady time ``now``, each checked again when its
        turn comes."""
        while self._timers and self._timers[0][0] <= now:
            _, _, key = heapq.heappop(self._timers)
            if (alert := self.alerts.get(key)) is not None:
                when = due(alert, self.inhibition.policy(key))
                if when is not None and when <= now:
                    yield key

    def next_due(self) -> float | None:
        """Return the steady time from which :meth:`take_due` may yield a key, or None."""
        return self._timers[0][0] if self._timers else None

    # Changes by people and channels

    def acknowledge(self, alert: Alert, by: str | None, comment: str, now: Moment) -> Transition:
        """Acknowledge a firing alert, or (``by`` None) withdraw that; return the change."""
        changed, change = record_acknowledgement(alert, by, comment, now)
        changed = evolve(changed, revision=alert.revision + 1)
        self.put(changed)
        return evolve(change, alert=changed)

    def queued(self, key: Key, channels: Collection[str], *, recovered: bool = False) -> None:
        """Record that notifications of the firing, or (``recovered``) of its end, were queued for
        channels."""
        alert = self.alerts.get(key)
        if alert is not None:
            notified = frozenset[str]() if recovered else alert.notified_channels
            self.alerts[key] = evolve(
                alert,
                notified_channels=notified,
                deferred_channels=alert.deferred_channels - frozenset(channels),
            )
            self.dirty.add(key)

    def revise(self, alert_id: UUID, become: Callable[[Alert], Alert]) -> None:
        """Apply a function of :mod:`tocsin.core.alerts.outcomes` to an alert, if it is known."""
        alert = self.find(alert_id)
        if alert is not None and (changed := become(alert)) != alert:
            self.alerts[alert.key] = evolve(changed, revision=alert.revision + 1)
            self.dirty.add(alert.key)
