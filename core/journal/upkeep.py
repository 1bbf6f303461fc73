"""Limits the size of the journal's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from attrs import define

from tocsin.core.journal.file import Entry

KEPT = 7 * 86400.0
"""Age, in seconds, up to which finished outbox rows are kept."""

MOST_FINISHED = 5000
"""Maximum number of finished outbox rows; a start reads them."""

MOST_BYTES = 8 << 20
"""Maximum size of their data, in bytes."""

PRUNE_EVERY = 60.0
"""Seconds between two runs of :func:`prune`."""

PRUNE_AFTER = 1000
"""Written rows after which :func:`prune` runs at once: fewer than one run deletes, so that it keeps
up."""

PRUNED_AT_ONCE = 5000
"""Maximum number of rows deleted in one transaction."""

SPARE_PAGES = 2048
"""Number of unused pages (of 4 KiB) above which a start shrinks the file."""


@define
class Upkeep:
    """Bounds the number and the size of finished rows. Times are steady seconds."""

    now: float = 0.0
    looked_at: float = 0.0
    written: int = 0
    """Rows written since then."""

    def after(self, db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        """Prune if that is due, after entries were written, within the caller's transaction. Raises
        sqlite3.Error."""
        for entry in entries:
            self.written += len(entry.rows)
            self.now = self.now if entry.anchor is None else entry.anchor.steady
        if self.now - self.looked_at > PRUNE_EVERY or self.written >= PRUNE_AFTER:
            prune(db, self.now - KEPT, MOST_FINISHED, MOST_BYTES)
            self.looked_at, self.written = self.now, 0


def prune(db: sqlite3.Connection, before: float, most: int, most_bytes: int) -> None:
    """Delete finished rows that are too old or too many; unfinished rows stay.

    At most PRUNED_AT_ONCE rows are deleted, the rest by later calls.

    Args:
        db: the journal, within a transaction.
        before: steady seconds; older rows are deleted.
        most: maximum number of rows.
        most_bytes: maximum size of their data.

    Raises:
        sqlite3.Error: the file cannot be written.
    """
    db.execute(
        "DELETE FROM outbox WHERE rowid IN (SELECT id FROM (SELECT rowid AS id, steady, "
        "row_number() OVER newest AS number, sum(length(data)) OVER newest AS bytes "
        "FROM outbox WHERE open = 0 WINDOW newest AS (ORDER BY steady DESC, rowid DESC)) "
        "WHERE steady < ? OR number > ? OR bytes > ? ORDER BY steady, id LIMIT ?)",
        (before, most, most_bytes, PRUNED_AT_ONCE),
    )


def shrink(db: sqlite3.Connection) -> None:
    """Release the unused pages of a file that was once much larger.

    Raises:
        sqlite3.Error: the disk has no room for the shorter copy; nothing is lost.
    """
    (unused,) = db.execute("PRAGMA freelist_count").fetchone()
    if unused > SPARE_PAGES:
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
