"""A damaged journal: moved aside, and read as far as possible.

The file itself is never changed: SQLite reads a copy.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from tocsin.core.alerts.durable_clock import Anchor
from tocsin.core.alerts.model import Alert, cleaned_alert
from tocsin.core.alerts.outbox import Row, cleaned_row
from tocsin.core.alerts.silences import Silence
from tocsin.core.alerts.stored import decode
from tocsin.core.contracts.model import Heartbeat
from tocsin.core.journal.file import UNREADABLE, Saved, open_file, read, references
from tocsin.core.runtime.sqlite_file import BESIDE

MOST_QUERIES = 20_000
"""Maximum number of queries for one table: after the loss of an inner page, every range below it
fails."""

_HIGHEST = 1 << 22
"""The highest rowid to search for if the file does not reveal it."""


def read_copy(path: Path) -> Saved:
    """Return what an earlier run left if the directory cannot be written; nothing if it cannot be
    read.

    SQLite writes next to a file in WAL mode, so a copy is read. If there is no room for a copy, the
    file is read alone, provided that its write-ahead log is empty.
    """
    if not path.exists():
        return Saved()
    wal = path.with_name(f"{path.name}-wal")
    with suppress(*UNREADABLE, OSError), tempfile.TemporaryDirectory() as place:
        copy = Path(place) / path.name
        shutil.copyfile(path, copy)
        if wal.exists():
            shutil.copyfile(wal, copy.with_name(wal.name))
        with closing(sqlite3.connect(copy)) as db:
            return read(db)
    with suppress(*UNREADABLE, OSError):
        uri = f"{path.absolute().as_uri()}?immutable=1"
        if not (wal.exists() and wal.stat().st_size):
            with closing(sqlite3.connect(uri, uri=True)) as db:
                return read(db)
    return Saved()


def salvage(path: Path) -> Saved:
    """Return what can be read of a damaged journal. Never raises.

    If the first page is damaged, the copy gets that of a new journal: tables are always created in
    the same order, and so begin at the same pages.
    """
    # The system's directory for temporary files may lack the space, or the journal's own.
    for room in (path.parent, None):
        with suppress(OSError), tempfile.TemporaryDirectory(dir=room) as place:
            return _salvage_copy(path, Path(place) / "journal.db")
    return Saved()


def _salvage_copy(path: Path, copy: Path) -> Saved:
    best = Saved()
    for mended in (False, True):
        for suffix in ("", *BESIDE[:1]):
            source = path.with_name(path.name + suffix)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        if mended:
            with suppress(*UNREADABLE, OSError):
                _give_first_page(copy, copy.with_name("new.db"))
        with (
            suppress(*UNREADABLE, OSError),
            closing(sqlite3.connect(copy, isolation_level=None)) as db,
        ):
            # Otherwise SQLite refuses a file that lacks pages at its end.
            db.execute("PRAGMA writable_schema=ON")
            found = _read(db)
            if _size(found) > _size(best):
                best = found
        if best.anchor is not None:
            break
    return best


def _size(saved: Saved) -> tuple[bool, int]:
    return saved.anchor is not None, sum(
        map(len, (saved.alerts, saved.rows, saved.silences, saved.beats))
    )


def _give_first_page(damaged: Path, new: Path) -> None:
    open_file(new).close()
    with new.open("rb") as source, damaged.open("r+b") as file:
        page = source.read(4096)
        # Clear the page count, which is not this file's; SQLite then uses the file's size.
        file.write(page[:92] + b"\0\0\0\0" + page[96:])


def _read(db: sqlite3.Connection) -> Saved:
    meta: dict[str, str] = {}
    with suppress(sqlite3.Error):
        for name, value in db.execute("SELECT name, value FROM meta"):
            meta[name] = value
    anchor = None
    with suppress(KeyError, msgspec.MsgspecError):
        anchor = msgspec.json.decode(meta["anchor"], type=Anchor)
    retry_after_until: dict[str, float] = {}
    with suppress(sqlite3.Error):
        retry_after_until |= dict(db.execute("SELECT channel, until FROM gates").fetchall())
    alerts = {a.key: cleaned_alert(a) for a in _items(db, "alerts", Alert)}
    rows = sorted(
        {row.id: cleaned_row(row) for row in _items(db, "outbox", Row)}.values(),
        key=lambda row: (row.steady, row.id),
    )
    return Saved(
        alerts=tuple(alerts.values()),
        rows=tuple(rows),
        references=references((a.id for a in alerts.values()), rows),
        silences=tuple(_items(db, "silences", Silence)),
        retry_after_until=retry_after_until,
        beats=dict(_items(db, "beats", tuple[str, Heartbeat])),
        anchor=anchor,
        fresh=False,
        doubtful=True,
    )


def _items(db: sqlite3.Connection, table: str, kind: Any) -> Iterator[Any]:
    """Yield the readable rows of a table: a range that fails is halved, down to single rows."""
    highest = _HIGHEST
    with suppress(sqlite3.Error):
        (most,) = db.execute(f"SELECT max(rowid) FROM {table}").fetchone()
        highest = most or 0
    query = f"SELECT data FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ?"
    ranges, left = [(1, highest)], MOST_QUERIES
    while ranges and left:
        low, high = ranges.pop()
        left -= 1
        try:
            found = db.execute(query, (low, high)).fetchall() if low <= high else []
        except sqlite3.Error:
            if low < high:
                middle = (low + high) // 2
                # The lower half first: if the highest rowid is unknown, the rows are there.
                ranges += [(middle + 1, high), (low, middle)]
            continue
        for (data,) in found:
            with suppress(msgspec.MsgspecError, UnicodeDecodeError, TypeError):
                yield decode(data, kind)
