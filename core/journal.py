"""The journal: what must survive us, in one local file, on a thread of its own.

SQLite in WAL mode with ``synchronous=FULL``: when a commit has returned, the disk has it
(https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous). One
transaction holds an alert's change together with its outbox rows, before anything is sent. What is
submitted while a commit is under way goes into the next one together.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from attrs import Factory, define, frozen

from tocsin.core import faults
from tocsin.core.alerts.model import Alert, Key, cleaned_alert
from tocsin.core.alerts.silences import Silence
from tocsin.core.alerts.steady import Anchor
from tocsin.core.encoding import encode
from tocsin.core.logs import get_logger
from tocsin.core.outbox import Decision, Row, cleaned_row

log = get_logger(__name__)

RETRY = 2.0
"""Seconds between two tries to write what could not be written."""

PATIENCE = 2.0
"""Seconds for which an alert waits for a disk that does not answer."""

KEPT = 7 * 86400.0
"""Seconds for which finished outbox rows are kept."""

RECENT = 86400.0
"""Seconds of finished rows that a start reads."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (
    rule TEXT NOT NULL, target TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (rule, target)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    id TEXT PRIMARY KEY, open INTEGER NOT NULL, steady REAL NOT NULL, data BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outbox_open ON outbox (open, steady);
CREATE TABLE IF NOT EXISTS silences (id TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gates (channel TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
"""


class JournalError(Exception):
    """The journal cannot be written now; the entry waits in memory and is written when it can."""


@frozen(kw_only=True)
class Life:
    """One life of tocsin. ``since``: the steady time from which it looks around; ``settled``: it
    has, and tells; ``ended``: it was stopped in order."""

    since: float
    settled: bool = False
    ended: bool = False


@frozen(kw_only=True)
class Entry:
    """What belongs together. ``gates``: steady times before which a channel must not be used."""

    alerts: tuple[Alert, ...] = ()
    closed: tuple[Key, ...] = ()
    rows: tuple[Row, ...] = ()
    silences: tuple[Silence, ...] = ()
    gone_silences: tuple[UUID, ...] = ()
    gates: Mapping[str, float] = Factory(dict)
    anchor: Anchor | None = None
    life: Life | None = None


@frozen(kw_only=True)
class Saved:
    """What an earlier run left. ``fresh``: there was no journal. ``life``: how it stood with that
    run at its ``anchor``. ``rows``: unfinished, and those finished not long ago, oldest first.
    ``references``: what providers called their last message about an alert that is still open, by
    channel and alert."""

    alerts: tuple[Alert, ...] = ()
    rows: tuple[Row, ...] = ()
    references: Mapping[tuple[str, UUID], str] = Factory(dict)
    silences: tuple[Silence, ...] = ()
    gates: Mapping[str, float] = Factory(dict)
    anchor: Anchor | None = None
    life: Life | None = None
    fresh: bool = True


@define(eq=False)
class _Job:
    entry: Entry
    done: asyncio.Future[None] | None


class Journal:
    """The journal of one data directory. ``trouble`` says why it cannot be written, or is None."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: str | None = None
        self._db: sqlite3.Connection | None = None
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        """Jobs, those in one transaction that belong together."""
        self._held: list[_Job] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._backlog: list[Entry] = []
        self._pruned = 0.0

    @property
    def running(self) -> bool:
        """Started, and not stopped."""
        return self._thread is not None

    @property
    def waiting(self) -> int:
        """Entries that wait in memory to be written."""
        return len(self._backlog)

    # Life

    async def start(self) -> Saved:
        """Open the file and read what an earlier run left. Never raises: without a disk that can be
        written, alerts live in memory, and ``trouble`` says so."""
        saved = await asyncio.to_thread(self._open_first)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="tocsin journal", daemon=True)
        self._thread.start()
        return saved

    async def stop(self) -> None:
        """Write what was submitted, and close."""
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join, 10)
            self._thread = None

    async def commit(self, entry: Entry) -> None:
        """Write an entry; on return it is on disk.

        Raises:
            JournalError: it is not, and will be written once that is possible.
        """
        await self.wait(self.submit(entry))

    async def wait(self, done: asyncio.Future[None]) -> None:
        """Wait for what :meth:`submit` gave. Raises JournalError."""
        await asyncio.wait({done}, timeout=PATIENCE)
        if not done.done():
            raise JournalError(f"{self.path} is not written within {PATIENCE:g} s")
        done.result()

    def submit(self, entry: Entry) -> asyncio.Future[None]:
        """Write an entry, in the order of the calls; the future is done when it is on disk, or
        fails with JournalError."""
        assert self._loop is not None  # noqa: S101
        job = _Job(entry, self._loop.create_future())
        if self._held is None:
            self._queue.put([job])
        else:
            self._held.append(job)
        assert job.done is not None  # noqa: S101
        # Nobody may ask.
        job.done.add_done_callback(lambda f: None if f.cancelled() else f.exception())
        return job.done

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is submitted within is on disk as a whole, or not at all. Nothing may be awaited."""
        held: list[_Job] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            if held:
                self._queue.put(held)

    # The thread

    def _open_first(self) -> Saved:
        try:
            return self._read(self._open())
        except sqlite3.OperationalError as error:  # the disk is full, or read-only
            self._failed(error)
            return self._read_only()
        except (sqlite3.DatabaseError, msgspec.MsgspecError, KeyError, ValueError) as error:
            self._close()
            aside = self.path.with_name(f"{self.path.name}.broken-{int(time.time())}")
            log.error(
                "the journal is damaged and was set aside", file=str(aside), reason=str(error)
            )
            with suppress(OSError):
                self.path.rename(aside)
                for suffix in ("-wal", "-shm"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            try:
                return self._read(self._open())
            except (sqlite3.Error, OSError) as again:
                self._failed(again)
                return Saved()
        except OSError as error:
            self._failed(error)
            return Saved()

    def _read_only(self) -> Saved:
        """What an earlier run left, where nothing can be written: SQLite needs room beside a file
        in WAL mode, unless it is told that nobody changes it. What was not moved out of the WAL yet
        is not seen so."""
        uri, wal = self.path.absolute().as_uri(), self.path.with_name(f"{self.path.name}-wal")
        with suppress(sqlite3.Error, OSError, msgspec.MsgspecError, KeyError, ValueError):
            if self.path.exists() and not (wal.exists() and wal.stat().st_size):
                with closing(sqlite3.connect(f"{uri}?immutable=1", uri=True)) as db:
                    return self._read(db)
        return Saved()

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            db = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=5
            )
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                db.executescript(_SCHEMA)
            except BaseException:
                db.close()
                raise
            self.path.chmod(0o600)
            self._db = db
        return self._db

    def _close(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    @staticmethod
    def _read(db: sqlite3.Connection) -> Saved:
        meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
        anchor = msgspec.json.decode(meta["anchor"], type=Anchor) if "anchor" in meta else None
        since = 0.0 if anchor is None else anchor.steady - RECENT
        rows = db.execute(
            "SELECT data FROM outbox WHERE open = 1 OR steady >= ? ORDER BY steady, id", (since,)
        )
        found = _decode(db.execute("SELECT data FROM alerts"), Alert)
        alerts = tuple(map(cleaned_alert, found))
        still = {alert.id for alert in alerts}
        told = db.execute("SELECT data FROM outbox WHERE open = 0 ORDER BY steady, id")
        return Saved(
            alerts=alerts,
            rows=tuple(map(cleaned_row, _decode(rows, Row))),
            references={
                (row.channel, row.alert): row.reference
                for row in (_decode(told, Row) if still else ())
                if row.alert in still and row.reference is not None
            },
            silences=tuple(_decode(db.execute("SELECT data FROM silences"), Silence)),
            gates=dict(db.execute("SELECT channel, until FROM gates").fetchall()),
            anchor=anchor,
            life=msgspec.json.decode(meta["life"], type=Life) if "life" in meta else None,
            fresh=not meta,
        )

    def _serve(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=RETRY if self._backlog else None)
            except queue.Empty:
                self._write([])
                continue
            jobs: list[_Job] = []
            last = item is None
            while item is not None:
                jobs += item
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                last = item is None
            if jobs:
                self._write(jobs)
            if last:
                if self._backlog:
                    self._write([])
                self._close()
                return

    def _write(self, jobs: list[_Job]) -> None:
        entries = [*self._backlog, *(job.entry for job in jobs)]
        try:
            try:
                self._transact(self._open(), entries)
            except (sqlite3.Error, OSError):
                raise
            except Exception:  # noqa: BLE001 - one entry must not keep the others from the disk
                self._one_by_one(entries)
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            self._backlog = entries
            self._answer(jobs, JournalError(self.trouble))
            return
        if self.trouble is not None:
            log.info("the journal can be written again", entries=len(entries))
        self._backlog, self.trouble = [], None
        faults.point("after commit")
        self._answer(jobs, None)

    def _one_by_one(self, entries: list[Entry]) -> None:
        """Write what can be put into words, and leave out what cannot."""
        for entry in entries:
            try:
                self._transact(self._open(), [entry])
            except (sqlite3.Error, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - see above
                log.error("an entry of the journal is left out", reason=type(error).__name__)

    def _failed(self, error: Exception) -> None:
        text = f"{self.path} cannot be written: {error}"
        if self.trouble is None:
            log.error("the journal cannot be written; alerts go on in memory", reason=text)
        self.trouble = text
        # A connection that has met a full disk may hold a broken transaction.
        self._close()

    def _answer(self, jobs: Iterable[_Job], error: JournalError | None) -> None:
        def answer() -> None:
            for job in jobs:
                if job.done is None or job.done.done():
                    continue
                if error is None:
                    job.done.set_result(None)
                else:
                    job.done.set_exception(error)

        assert self._loop is not None  # noqa: S101
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(answer)

    def _transact(self, db: sqlite3.Connection, entries: list[Entry]) -> None:
        db.execute("BEGIN IMMEDIATE")
        try:
            for entry in entries:
                _put(db, entry)
            anchors = [entry.anchor for entry in entries if entry.anchor is not None]
            if anchors:
                self._prune(db, anchors[-1].steady)
            faults.point("before commit")
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise

    def _prune(self, db: sqlite3.Connection, now: float) -> None:
        if now - self._pruned > 3600:
            self._pruned = now
            db.execute("DELETE FROM outbox WHERE open = 0 AND steady < ?", (now - KEPT,))


def _put(db: sqlite3.Connection, entry: Entry) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO alerts (rule, target, data) VALUES (?, ?, ?)",
        [(a.rule, a.target, encode(a)) for a in entry.alerts],
    )
    db.executemany("DELETE FROM alerts WHERE rule = ? AND target = ?", entry.closed)
    db.executemany(
        "INSERT OR REPLACE INTO outbox (id, open, steady, data) VALUES (?, ?, ?, ?)",
        [(str(r.id), int(r.decision is Decision.QUEUED), r.steady, encode(r)) for r in entry.rows],
    )
    db.executemany(
        "INSERT OR REPLACE INTO silences (id, data) VALUES (?, ?)",
        [(str(s.id), encode(s)) for s in entry.silences],
    )
    db.executemany("DELETE FROM silences WHERE id = ?", [(str(i),) for i in entry.gone_silences])
    db.executemany(
        "INSERT OR REPLACE INTO gates (channel, until) VALUES (?, ?)", list(entry.gates.items())
    )
    for name, value in (("anchor", entry.anchor), ("life", entry.life)):
        if value is not None:
            db.execute(
                "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)",
                (name, msgspec.json.encode(value).decode()),
            )


def _decode(rows: Iterable[tuple[bytes]], kind: Any) -> list[Any]:
    return [msgspec.json.decode(data, type=kind) for (data,) in rows]
