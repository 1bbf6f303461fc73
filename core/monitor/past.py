"""The state of an earlier run, to be restored if its journal is missing or damaged."""

from __future__ import annotations

from uuid import UUID

from attrs import frozen

from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.outbox import Row
from tocsin.core.alerts.silences import Silence
from tocsin.core.journal.file import Entry


@frozen(kw_only=True)
class Past:
    """The state to restore from an earlier run.

    Attributes:
        alerts: open alerts.
        ended: alerts that resolved not long ago.
        rows: outbox rows.
        silences: silences and maintenance windows.
        bare: alert and channel of notifications that are pending but whose notice is lost.
        known: whether the database was read, or is disabled.
        found: whether anything was restored.
    """

    alerts: tuple[Alert, ...] = ()
    ended: tuple[Alert, ...] = ()
    rows: tuple[Row, ...] = ()
    silences: tuple[Silence, ...] = ()
    bare: frozenset[tuple[UUID, str]] = frozenset()
    known: bool = False
    found: bool = False

    def entry(self) -> Entry:
        """Return the part that the journal must store, without the alerts."""
        return Entry(silences=self.silences, rows=self.rows, restored=self.known)
