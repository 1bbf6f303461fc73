"""Which channels are still to be told that an alert fires: by the rows of the outbox."""

from __future__ import annotations

from uuid import UUID

from attrs import define, field

from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.contracts.notifier import Kind


@define
class Underway:
    """Rows that tell of a firing and are to go out, by alert."""

    _rows: dict[UUID, dict[UUID, str]] = field(factory=dict)
    """By alert: row and channel."""

    def note(self, row: Row) -> None:
        """A row as it is now."""
        if row.notice is None or row.notice.kind is Kind.RESOLVED:
            return
        if row.decision is Decision.QUEUED:
            self._rows.setdefault(row.alert, {})[row.id] = row.channel
        elif (rows := self._rows.get(row.alert)) is not None:
            rows.pop(row.id, None)
            if not rows:
                del self._rows[row.alert]

    def channels(self, alert: UUID) -> frozenset[str]:
        """The channels that are still to be told of an alert, and may never be."""
        return frozenset(self._rows.get(alert, {}).values())
