"""The journal's file: its tables, and how they are read and written. Nothing here waits or retries.

The tables have a rowid although each has a key of its own: rows of up to four kilobytes then fit
into their page, and what remains of a damaged file can be read by ranges of rowids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from attrs import Factory, frozen

from tocsin.core.alerts.durable_clock import Anchor
from tocsin.core.alerts.model import Alert, Key, cleaned_alert
from tocsin.core.alerts.outbox import Decision, Row, cleaned_row
from tocsin.core.alerts.silences import Silence
from tocsin.core.alerts.stored import decode
from tocsin.core.contracts.model import Heartbeat
from tocsin.core.encoding import encode
from tocsin.core.runtime.sqlite_file import DamagedError, connect, transaction

RECENT = 86400.0
"""Age, in seconds, up to which finished rows are read at a start."""

RULE_STATE = "carried "
"""Prefix of the names in ``meta`` that hold the state of a rule."""

UNREADABLE = (sqlite3.Error, msgspec.MsgspecError, KeyError, ValueError, TypeError)
"""Exceptions that reading a damaged file may raise."""

_TABLES = {
    "meta": "(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "alerts": "(rule TEXT NOT NULL, target TEXT NOT NULL, data BLOB NOT NULL, "
    "PRIMARY KEY (rule, target))",
    "outbox": "(id TEXT PRIMARY KEY, open INTEGER NOT NULL, steady REAL NOT NULL, "
    "data BLOB NOT NULL)",
    "silences": "(id TEXT PRIMARY KEY, data BLOB NOT NULL)",
    "gates": "(channel TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
}
_INDEX = "CREATE INDEX outbox_open ON outbox (open, steady)"
_BEATS = "CREATE TABLE beats (key TEXT PRIMARY KEY, data BLOB NOT NULL)"
"""Created after all other tables and before the index, as VACUUM orders them: every table then
begins at the same page in each file, and the others as in files of versions without this one."""


@frozen(kw_only=True)
class Life:
    """One run of tocsin, as the settling phase sees it.

    Attributes:
        since: the steady time at which settling began.
        settled: whether it is over.
        ended: whether the run was stopped in order.
    """

    since: float
    settled: bool = False
    ended: bool = False


@frozen(kw_only=True)
class Entry:
    """Changes that are committed together.

    Attributes:
        alerts: new or changed alerts.
        closed: keys of closed alerts.
        rows: new or changed outbox rows.
        silences: new or changed silences.
        gone_silences: ids of deleted silences.
        retry_after_until: by channel, the steady time before which it must not be used.
        anchor: the present moment.
        life: the settling phase of this run.
        restored: the state of an earlier run was restored, as far as it is known.
    """

    alerts: tuple[Alert, ...] = ()
    closed: tuple[Key, ...] = ()
    rows: tuple[Row, ...] = ()
    silences: tuple[Silence, ...] = ()
    gone_silences: tuple[UUID, ...] = ()
    retry_after_until: Mapping[str, float] = Factory(dict)
    anchor: Anchor | None = None
    life: Life | None = None
    restored: bool = False
    rule_states: Mapping[Key, Mapping[str, Any]] = Factory(dict)
    """States of rules without an alert; empty: the state was deleted."""
    beats: Mapping[str, Heartbeat] = Factory(dict)
    """The last heartbeats, by key."""


@frozen(kw_only=True)
class Saved:
    """The state that an earlier run left.

    Attributes:
        alerts: alerts that are not closed.
        rows: unfinished rows, and those finished not long ago, oldest first.
        references: the provider's name of the last message, by channel and open alert.
        silences: silences and maintenance windows.
        retry_after_until: steady times before which a channel must not be used.
        anchor: the last moment that the run recorded.
        life: its settling phase at the anchor.
        fresh: there was no journal.
        doubtful: there was one, but it may lack the last changes; history may know more.
        clean: the last process that used it closed it.
        rule_states: states of rules without an alert.
        beats: the last heartbeats, by key.
    """

    alerts: tuple[Alert, ...] = ()
    rows: tuple[Row, ...] = ()
    references: Mapping[tuple[str, UUID], str] = Factory(dict)
    silences: tuple[Silence, ...] = ()
    retry_after_until: Mapping[str, float] = Factory(dict)
    anchor: Anchor | None = None
    life: Life | None = None
    fresh: bool = True
    doubtful: bool = False
    clean: bool = True
    rule_states: Mapping[Key, Mapping[str, Any]] = Factory(dict)
    beats: Mapping[str, Heartbeat] = Factory(dict)


def open_file(path: Path) -> sqlite3.Connection:
    """Open the journal; create it if there is none.

    Raises:
        sqlite3.Error: it cannot be opened or written.
        OSError: it cannot be opened or written.
        DamagedError: it is another kind of database.
    """
    db = connect(path, ahead=True)
    try:
        _lay_out(db)
    except BaseException:
        db.close()
        raise
    return db


def _lay_out(db: sqlite3.Connection) -> None:
    """Create the tables; copy those of earlier versions, which have no rowid, into new ones."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version:
        raise DamagedError(f"it has the version {version}, which this tocsin does not know")
    found = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
    if not found:
        with transaction(db):
            for name, columns in _TABLES.items():
                db.execute(f"CREATE TABLE {name} {columns}")
            db.execute(_BEATS)
            db.execute(_INDEX)
        return
    if missing := sorted(_TABLES.keys() - found.keys()):
        raise DamagedError(f"it lacks the tables {', '.join(missing)}")
    old = [n for n, sql in _TABLES.items() if "ROWID" not in sql and "ROWID" in found[n].upper()]
    if old:
        with transaction(db):
            db.execute("DROP INDEX outbox_open")
            for name in old:
                db.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
                db.execute(f"CREATE TABLE {name} {_TABLES[name]}")
                db.execute(f"INSERT INTO {name} SELECT * FROM old_{name}")
                db.execute(f"DROP TABLE old_{name}")
            db.execute(_INDEX)
    if "beats" not in found:
        db.execute(_BEATS)
        with suppress(sqlite3.Error):  # no room for it: then salvage may not find this table
            db.execute("VACUUM")


def check(db: sqlite3.Connection) -> None:
    """Check every page. Raises DamagedError, sqlite3.Error."""
    (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise DamagedError(" ".join(str(said).split())[:200])


def read(db: sqlite3.Connection) -> Saved:
    """Return everything that a start needs. Raises any of ``UNREADABLE``."""
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
        retry_after_until=dict(db.execute("SELECT channel, until FROM gates").fetchall()),
        anchor=anchor,
        life=msgspec.json.decode(meta["life"], type=Life) if "life" in meta else None,
        fresh=anchor is None,
        doubtful="restoring" in meta and anchor is not None,
        clean="running" not in meta,
        rule_states={
            _key(name): msgspec.json.decode(value)
            for name, value in meta.items()
            if name.startswith(RULE_STATE)
        },
        beats=dict(_beats(db)),
    )


def _beats(db: sqlite3.Connection) -> list[tuple[str, Heartbeat]]:
    # A read-only file of an earlier version lacks the table.
    there = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'beats'").fetchone()
    return _decode(db.execute("SELECT data FROM beats"), tuple[str, Heartbeat]) if there else []


def _key(name: str) -> Key:
    rule, target = msgspec.json.decode(name.removeprefix(RULE_STATE), type=tuple[str, str])
    return rule, target


def references(alerts: Iterable[UUID], rows: Iterable[Row]) -> dict[tuple[str, UUID], str]:
    """Return the provider's name of the last message about the given alerts, by channel
    and alert."""
    known = set(alerts)
    return {
        (row.channel, row.alert): row.reference
        for row in rows
        if row.alert in known and row.reference is not None
    }


def put(db: sqlite3.Connection, entry: Entry) -> None:
    """Write an entry, within the caller's transaction.

    Raises:
        sqlite3.Error: the file cannot be written.
        Exception: a value supplied by a plugin cannot be encoded.
    """
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
        "INSERT OR REPLACE INTO gates (channel, until) VALUES (?, ?)",
        list(entry.retry_after_until.items()),
    )
    db.executemany(
        "INSERT INTO beats (key, data) VALUES (?, ?) "
        "ON CONFLICT (key) DO UPDATE SET data = excluded.data",
        [(key, encode((key, beat))) for key, beat in entry.beats.items()],
    )
    for name, value in (("anchor", entry.anchor), ("life", entry.life)):
        if value is not None:
            note(db, name, msgspec.json.encode(value).decode())
    for key, rule_state in entry.rule_states.items():
        name = RULE_STATE + msgspec.json.encode(key).decode()
        if rule_state:
            note(db, name, encode(rule_state).decode())
        else:
            db.execute("DELETE FROM meta WHERE name = ?", (name,))
    if entry.restored:
        db.execute("DELETE FROM meta WHERE name = 'restoring'")


def note(db: sqlite3.Connection, name: str, value: str = "1") -> None:
    """Write one line of ``meta``. Raises sqlite3.Error."""
    db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))


def _decode(rows: Iterable[tuple[bytes]], kind: Any) -> list[Any]:
    return [decode(data, kind) for (data,) in rows]
