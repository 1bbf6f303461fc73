"""The channels whose notification of a firing is still queued, by the rows of the outbox."""

from __future__ import annotations

from uuid import UUID

from attrs import define, field

from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.contracts.message import Kind


@define
class Underway:
    """Queued rows that notify of a firing, by alert."""

    _rows: dict[UUID, dict[UUID, str]] = field(factory=dict)
    """By alert: the channel of each row id."""

    def note(self, row: Row) -> None:
        """Record the present state of a row."""
        if row.notice is None or row.notice.kind is Kind.RESOLVED:
            return
        if row.decision is Decision.QUEUED:
            self._rows.setdefault(row.alert, {})[row.id] = row.channel
        elif (rows := self._rows.get(row.alert)) is not None:
            rows.pop(row.id, None)
            if not rows:
                del self._rows[row.alert]

    def channels(self, alert: UUID) -> frozenset[str]:
        """Return the channels whose notification of an alert's firing is queued."""
        return frozenset(self._rows.get(alert, {}).values())
