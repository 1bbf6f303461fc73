"""The newest alerts and outbox rows, kept in memory so that they can be shown without
the database."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from attrs import define, field

from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.outbox import Row

MOST = 2000
"""Maximum number of alerts, and of rows, kept in memory."""


@define
class RecentAlerts:
    """Alerts and rows by id, oldest first."""

    alerts: OrderedDict[UUID, Alert] = field(factory=OrderedDict)
    rows: OrderedDict[UUID, Row] = field(factory=OrderedDict)
    own: set[UUID] | None = None
    """Ids of all alerts and rows of this run, kept until the database's content is known: the
    database contains these too, possibly in an older state."""
    _unstored: list[Alert | Row] = field(factory=list)

    def keep(self, alert: Alert) -> None:
        """Add or update an alert; alerts that never fired are ignored."""
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
        """Add or update a row."""
        self.rows[row.id] = row
        if self.own is not None:
            self.own.add(row.id)
        while len(self.rows) > MOST:
            self.rows.popitem(last=False)
        self._unstored.append(row)

    def take_unstored(self) -> tuple[Alert | Row, ...]:
        """Return the changes since the last call, to be stored in history."""
        taken, self._unstored = tuple(self._unstored), []
        return taken
