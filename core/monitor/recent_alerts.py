"""The newest alerts and rows of the ledger, shown though the database is away."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from attrs import define, field

from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.outbox import Row

MOST = 2000
"""Alerts, and rows, kept in memory."""


@define
class RecentAlerts:
    """Alerts and rows by id, oldest first."""

    alerts: OrderedDict[UUID, Alert] = field(factory=OrderedDict)
    rows: OrderedDict[UUID, Row] = field(factory=OrderedDict)
    own: set[UUID] | None = None
    """Ids of all alerts and rows of this run, for as long as it is not known what the database
    remembers: that has these, too, older than they are by then."""
    _unstored: list[Alert | Row] = field(factory=list)

    def keep(self, alert: Alert) -> None:
        """An alert as it is now; what never fired is nobody's business."""
        if alert.fired_at is None:
            return
        self.alerts[alert.id] = alert
        self.alerts.move_to_end(alert.id)
        if self.own is not None:
            self.own.add(alert.id)
        while len(self.alerts) > MOST:
            self.alerts.popitem(last=False)
        self._unstored.append(alert)

    def note(self, row: Row) -> None:
        """A row as it is now."""
        self.rows[row.id] = row
        if self.own is not None:
            self.own.add(row.id)
        while len(self.rows) > MOST:
            self.rows.popitem(last=False)
        self._unstored.append(row)

    def take_unstored(self) -> tuple[Alert | Row, ...]:
        """What has changed since this was asked last, for history."""
        taken, self._unstored = tuple(self._unstored), []
        return taken
