"""What goes on of an earlier run, where its journal is gone or damaged."""

from __future__ import annotations

from uuid import UUID

from attrs import frozen

from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.outbox import Row
from tocsin.core.alerts.silences import Silence
from tocsin.core.journal.file import Entry


@frozen(kw_only=True)
class Past:
    """What goes on of an earlier run. ``ended``: alerts resolved not long ago. ``bare``: alert and
    channel of what is owed without its notice. ``known``: the database has said what it knows.
    ``found``: something of it was taken up."""

    alerts: tuple[Alert, ...] = ()
    ended: tuple[Alert, ...] = ()
    rows: tuple[Row, ...] = ()
    silences: tuple[Silence, ...] = ()
    bare: frozenset[tuple[UUID, str]] = frozenset()
    known: bool = False
    found: bool = False

    def entry(self) -> Entry:
        """What of it the journal has to hold, but for the alerts."""
        return Entry(silences=self.silences, rows=self.rows, restored=self.known)
