"""Keeping the journal's file small."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from attrs import define

from tocsin.core.journal.file import Entry

KEPT = 7 * 86400.0
"""Seconds for which finished outbox rows are kept."""

MOST_FINISHED = 5000
"""So many finished outbox rows are kept at most; a start reads them."""

MOST_BYTES = 8 << 20
"""The same in bytes of what they hold."""

PRUNE_EVERY = 60.0
"""Seconds between two looks for finished rows that have to go."""

PRUNE_AFTER = 1000
"""So many rows written have it look at once: fewer than one look deletes, so that it keeps up."""

PRUNED_AT_ONCE = 5000
"""Rows that are deleted in one transaction."""

SPARE_PAGES = 2048
"""Unused pages (of 4 KiB) that the file may have; of more it is freed at a start."""


@define
class Upkeep:
    """Keeps the number and the size of the finished rows bounded. Times are steady seconds."""

    now: float = 0.0
    looked_at: float = 0.0
    written: int = 0
    """Rows since then."""

    def after(self, db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        """Delete what has to go, once entries were written, within the caller's transaction; of
        very many some, the rest another time. Raises sqlite3.Error."""
        for entry in entries:
            self.written += len(entry.rows)
            self.now = self.now if entry.anchor is None else entry.anchor.steady
        if self.now - self.looked_at > PRUNE_EVERY or self.written >= PRUNE_AFTER:
            prune(db, self.now - KEPT, MOST_FINISHED, MOST_BYTES)
            self.looked_at, self.written = self.now, 0


def prune(db: sqlite3.Connection, before: float, most: int, most_bytes: int) -> None:
    """Delete finished rows from before a steady second, and the oldest of more than ``most`` or of
    more than ``most_bytes`` in all; of very many some, the rest another time. What is still to be
    told stays. Raises sqlite3.Error."""
    db.execute(
        "DELETE FROM outbox WHERE rowid IN (SELECT id FROM (SELECT rowid AS id, steady, "
        "row_number() OVER newest AS number, sum(length(data)) OVER newest AS bytes "
        "FROM outbox WHERE open = 0 WINDOW newest AS (ORDER BY steady DESC, rowid DESC)) "
        "WHERE steady < ? OR number > ? OR bytes > ? ORDER BY steady, id LIMIT ?)",
        (before, most, most_bytes, PRUNED_AT_ONCE),
    )


def shrink(db: sqlite3.Connection) -> None:
    """Give back what a file that once held far more has unused. Raises sqlite3.Error, where the
    disk has no room for the shorter file beside the longer one; nothing is lost then."""
    (unused,) = db.execute("PRAGMA freelist_count").fetchone()
    if unused > SPARE_PAGES:
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
