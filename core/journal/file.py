"""The journal's file: its tables, and how they are read and written. Nothing here waits or retries.

The tables have row numbers, though each has a key of its own: rows of up to four kilobytes then lie
in their page whole, and what a damaged file still holds can be read by ranges of numbers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from attrs import Factory, define, frozen

from tocsin.core.alerts.durable_clock import Anchor
from tocsin.core.alerts.model import Alert, Key, cleaned_alert
from tocsin.core.alerts.outbox import Decision, Row, cleaned_row
from tocsin.core.alerts.silences import Silence
from tocsin.core.encoding import encode

RECENT = 86400.0
"""Seconds of finished rows that a start reads."""

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

CARRIED = "carried "
"""What the names of lines of ``meta`` begin with that hold what a rule carries."""

BESIDE = ("-wal", "-shm")
"""What the names of SQLite's files beside the journal end with."""

UNREADABLE = (sqlite3.Error, msgspec.MsgspecError, KeyError, ValueError, TypeError)
"""What reading a damaged file may raise."""

_TABLES = {
    "meta": "(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "alerts": "(rule TEXT NOT NULL, target TEXT NOT NULL, data BLOB NOT NULL, "
    "PRIMARY KEY (rule, target))",
    "outbox": "(id TEXT PRIMARY KEY, open INTEGER NOT NULL, steady REAL NOT NULL, "
    "data BLOB NOT NULL)",
    "silences": "(id TEXT PRIMARY KEY, data BLOB NOT NULL)",
    "gates": "(channel TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
}
_SCHEMA = "".join(f"CREATE TABLE {name} {columns};\n" for name, columns in _TABLES.items())
_INDEX = "CREATE INDEX IF NOT EXISTS outbox_open ON outbox (open, steady);\n"

_DAMAGE = frozenset(
    (
        sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH,
    )
)  # fmt: skip


class DamagedError(Exception):
    """The file holds something else than a whole journal; says what, as a clause."""


@frozen(kw_only=True)
class Life:
    """One life of tocsin. ``since``: the steady time from which it looks around; ``settled``: it
    has, and tells; ``ended``: it was stopped in order."""

    since: float
    settled: bool = False
    ended: bool = False


@frozen(kw_only=True)
class Entry:
    """What belongs together. ``gates``: steady times before which a channel must not be used.
    ``restored``: what an earlier run left was taken up, as far as anybody knows of it."""

    alerts: tuple[Alert, ...] = ()
    closed: tuple[Key, ...] = ()
    rows: tuple[Row, ...] = ()
    silences: tuple[Silence, ...] = ()
    gone_silences: tuple[UUID, ...] = ()
    gates: Mapping[str, float] = Factory(dict)
    anchor: Anchor | None = None
    life: Life | None = None
    restored: bool = False
    carried: Mapping[Key, Mapping[str, Any]] = Factory(dict)
    """What rules carry without an alert; empty: nothing any more."""


@frozen(kw_only=True)
class Saved:
    """What an earlier run left. ``life``: how it stood with that run at its ``anchor``. ``rows``:
    unfinished, and those finished not long ago, oldest first. ``references``: what providers called
    their last message about an alert that is still open, by channel and alert. ``fresh``: there was
    no journal. ``doubtful``: there was, and it may be older than what was written last, or lack
    some of it; history may know more. ``clean``: who used it last closed it."""

    alerts: tuple[Alert, ...] = ()
    rows: tuple[Row, ...] = ()
    references: Mapping[tuple[str, UUID], str] = Factory(dict)
    silences: tuple[Silence, ...] = ()
    gates: Mapping[str, float] = Factory(dict)
    anchor: Anchor | None = None
    life: Life | None = None
    fresh: bool = True
    doubtful: bool = False
    clean: bool = True
    carried: Mapping[Key, Mapping[str, Any]] = Factory(dict)


def is_damage(error: Exception) -> bool:
    """Whether an error is of the file's content, and not of the disk or the machine."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, DamagedError) if code is None else code & 0xFF in _DAMAGE


def open_file(path: Path) -> sqlite3.Connection:
    """Open the journal, making it where there is none.

    Raises:
        sqlite3.Error, OSError: it cannot be opened, or written.
        DamagedError: it is another kind of database.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        _lay_out(db)
        path.chmod(0o600)
    except BaseException:
        db.close()
        raise
    return db


def _lay_out(db: sqlite3.Connection) -> None:
    """Make the tables; those of earlier versions, without row numbers, are copied into new ones."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version:
        raise DamagedError(f"it has the version {version}, which this tocsin does not know")
    found = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
    if not found:
        db.executescript(f"BEGIN IMMEDIATE;\n{_SCHEMA}{_INDEX}COMMIT;")
        return
    if missing := sorted(_TABLES.keys() - found.keys()):
        raise DamagedError(f"it lacks the tables {', '.join(missing)}")
    old = [n for n, sql in _TABLES.items() if "ROWID" not in sql and "ROWID" in found[n].upper()]
    if old:
        copied = "".join(
            f"ALTER TABLE {name} RENAME TO old_{name};\nCREATE TABLE {name} {_TABLES[name]};\n"
            f"INSERT INTO {name} SELECT * FROM old_{name};\nDROP TABLE old_{name};\n"
            for name in old
        )
        try:
            db.executescript(f"BEGIN IMMEDIATE;\nDROP INDEX outbox_open;\n{copied}{_INDEX}COMMIT;")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def check(db: sqlite3.Connection) -> None:
    """Look at every page. Raises DamagedError, sqlite3.Error."""
    (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise DamagedError(" ".join(str(said).split())[:200])


def read(db: sqlite3.Connection) -> Saved:
    """Everything that a start needs. Raises what ``UNREADABLE`` lists."""
    meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
    anchor = msgspec.json.decode(meta["anchor"], type=Anchor) if "anchor" in meta else None
    since = 0.0 if anchor is None else anchor.steady - RECENT
    rows = db.execute(
        "SELECT data FROM outbox WHERE open = 1 OR steady >= ? ORDER BY steady, id", (since,)
    )
    alerts = _decode(db.execute("SELECT data FROM alerts"), Alert)
    still = {alert.id for alert in alerts}
    told = db.execute("SELECT data FROM outbox WHERE open = 0 ORDER BY steady, id")
    return Saved(
        alerts=tuple(map(cleaned_alert, alerts)),
        rows=tuple(map(cleaned_row, _decode(rows, Row))),
        references=references(still, _decode(told, Row) if still else ()),
        silences=tuple(_decode(db.execute("SELECT data FROM silences"), Silence)),
        gates=dict(db.execute("SELECT channel, until FROM gates").fetchall()),
        anchor=anchor,
        life=msgspec.json.decode(meta["life"], type=Life) if "life" in meta else None,
        fresh=anchor is None,
        doubtful="restoring" in meta and anchor is not None,
        clean="running" not in meta,
        carried={
            _key(name): msgspec.json.decode(value)
            for name, value in meta.items()
            if name.startswith(CARRIED)
        },
    )


def _key(name: str) -> Key:
    rule, target = msgspec.json.decode(name.removeprefix(CARRIED), type=tuple[str, str])
    return rule, target


def references(alerts: Iterable[UUID], rows: Iterable[Row]) -> dict[tuple[str, UUID], str]:
    """What providers called their last message about some alerts, by channel and alert."""
    known = set(alerts)
    return {
        (row.channel, row.alert): row.reference
        for row in rows
        if row.alert in known and row.reference is not None
    }


def put(db: sqlite3.Connection, entry: Entry) -> None:
    """Write an entry, within the caller's transaction. Raises sqlite3.Error; encoding may raise
    anything, for what a plugin put in."""
    db.executemany(
        "INSERT INTO alerts (rule, target, data) VALUES (?, ?, ?) "
        "ON CONFLICT (rule, target) DO UPDATE SET data = excluded.data",
        [(a.rule, a.target, encode(a)) for a in entry.alerts],
    )
    db.executemany("DELETE FROM alerts WHERE rule = ? AND target = ?", entry.closed)
    db.executemany(
        "INSERT INTO outbox (id, open, steady, data) VALUES (?, ?, ?, ?) ON CONFLICT (id) "
        "DO UPDATE SET open = excluded.open, steady = excluded.steady, data = excluded.data",
        [(str(r.id), int(r.decision is Decision.QUEUED), r.steady, encode(r)) for r in entry.rows],
    )
    db.executemany(
        "INSERT INTO silences (id, data) VALUES (?, ?) "
        "ON CONFLICT (id) DO UPDATE SET data = excluded.data",
        [(str(s.id), encode(s)) for s in entry.silences],
    )
    db.executemany("DELETE FROM silences WHERE id = ?", [(str(i),) for i in entry.gone_silences])
    db.executemany(
        "INSERT OR REPLACE INTO gates (channel, until) VALUES (?, ?)", list(entry.gates.items())
    )
    for name, value in (("anchor", entry.anchor), ("life", entry.life)):
        if value is not None:
            note(db, name, msgspec.json.encode(value).decode())
    for key, carry in entry.carried.items():
        name = CARRIED + msgspec.json.encode(key).decode()
        if carry:
            note(db, name, encode(carry).decode())
        else:
            db.execute("DELETE FROM meta WHERE name = ?", (name,))
    if entry.restored:
        db.execute("DELETE FROM meta WHERE name = 'restoring'")


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


def note(db: sqlite3.Connection, name: str, value: str = "1") -> None:
    """Write one line of ``meta``. Raises sqlite3.Error."""
    db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))


def _decode(rows: Iterable[tuple[bytes]], kind: Any) -> list[Any]:
    return [msgspec.json.decode(data, type=kind) for (data,) in rows]
