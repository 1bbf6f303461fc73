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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import define, evolve

from tocsin.core.journal.earlier import HEARTBEATS, beats_in
from tocsin.core.journal.file import (
    BESIDE,
    UNREADABLE,
    Entry,
    Saved,
    check,
    note,
    open_file,
    put,
    read,
)
from tocsin.core.journal.salvage import read_copy, salvage, set_aside
from tocsin.core.journal.upkeep import Upkeep, shrink
from tocsin.core.journal.watch import Watch, frames_in
from tocsin.core.logs import get_logger
from tocsin.core.runtime import crash_points
from tocsin.core.runtime.sqlite_file import DamagedError, is_damage, transaction

__all__ = ["Entry", "Journal", "JournalError", "Saved"]

log = get_logger(__name__)

RETRY = 2.0
"""Seconds between two tries to write what could not be written."""

PATIENCE = 2.0
"""Seconds for which an alert waits for a disk that does not answer."""

LOOK = 2.0
"""Seconds between two looks whether the file is still there, while nothing is written."""

TRIES = 3
"""So often entries are written, where the file is lost in the meantime."""

SAID = 3.0
"""Seconds for which it is still said that the journal was lost, after alerts told of it."""


class JournalError(Exception):
    """The journal cannot be written now; the entry waits in memory and is written when it can."""


@define(eq=False)
class _Job:
    entry: Entry
    done: asyncio.Future[None] | None


class Journal:
    """The journal of one data directory.

    ``trouble`` says why it cannot be written, or is None; ``incident`` what was wrong with its
    file, for as long as that is to be told. ``whole`` gives all that the journal has to hold; it is
    called in the event loop, where the file was lost, so that a new one is written from memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: str | None = None
        self.incident: str | None = None
        self.whole: Callable[[], Entry] | None = None
        self._said_since: float | None = None
        self._watch: Watch | None = None
        self._lacking = False
        self._db: sqlite3.Connection | None = None
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        """Jobs, those in one transaction that belong together."""
        self._held: list[_Job] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._backlog: list[Entry] = []
        self._upkeep = Upkeep()

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
        return await self._take_beats(saved)

    async def _take_beats(self, saved: Saved) -> Saved:
        """Take over the last beats that an earlier version kept in a file of their own. It goes
        once the journal has them; until then each start reads it again."""
        file = self.path.with_name(HEARTBEATS)
        if (found := await asyncio.to_thread(beats_in, file)) is None:
            return saved
        known = saved.beats
        newer = {k: b for k, b in found.items() if k not in known or known[k].at < b.at}
        with suppress(JournalError, OSError):
            await self.commit(Entry(beats=newer))
            file.unlink()
        return evolve(saved, beats={**known, **newer})

    async def stop(self) -> None:
        """Write what was submitted, and close."""
        if self._thread is not None:
            with suppress(JournalError):  # where the file was lost, all of it is asked for before
                await self.commit(Entry())
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
            self._say(f"{self.path} is not written within {PATIENCE:g} s")
            raise JournalError(self.trouble)
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
            return self._take_over()
        except (*UNREADABLE, DamagedError, OSError) as error:
            if not is_damage(error) and isinstance(error, (sqlite3.Error, OSError)):
                self._failed(error)  # the disk is full, or read-only
                return read_copy(self.path)
            return self._begin_anew(str(error) or type(error).__name__)

    def _take_over(self) -> Saved:
        """Open the file, look whether it is whole, and read it."""
        there = self.path.exists()
        wal = self.path.with_name(f"{self.path.name}-wal")
        if there and not self.path.stat().st_size:
            self.tell(f"{self.path} was empty")
        frames = frames_in(wal)
        db = self._open(mark=False)
        check(db)
        saved = read(db)
        _, applied, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        why = None
        if not saved.clean and not frames and not applied:
            why = f"{wal.name} is gone, and with it what was written last"
        elif frames is None or frames > max(applied, 0):
            why = f"{wal.name} is damaged, and what it held is lost"
        if why is not None:
            self.tell(why)
            saved = evolve(saved, doubtful=not saved.fresh)
        self._lacking = saved.fresh or saved.doubtful
        self._mark(db)
        # Into the file itself: without its write-ahead log it then says that this is missing.
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        with suppress(sqlite3.Error):
            shrink(db)
        return saved

    def _begin_anew(self, reason: str) -> Saved:
        """Set a damaged file aside, and begin a new one with what can be read of it."""
        self._close()
        saved, aside = Saved(), None
        try:
            aside = set_aside(self.path)
            saved = salvage(aside)
            kept = f"{len(saved.alerts)} alerts and {len(saved.rows)} messages were read from it"
            self.tell(f"{self.path.name} was damaged ({reason}) and lies in {aside}; {kept}")
            self._take_over()
            entry = Entry(
                alerts=saved.alerts, rows=saved.rows, silences=saved.silences, gates=saved.gates,
                anchor=saved.anchor, beats=saved.beats,
            )  # fmt: skip
            self._transact(self._open(), [entry])
        except (sqlite3.Error, DamagedError, OSError) as again:
            if aside is None:
                self.tell(f"{self.path.name} is damaged ({reason}) and cannot be set aside")
            self._failed(again)
        return saved

    def tell(self, what: str) -> None:
        """Say what was wrong with the file, in the log and as an incident."""
        self.incident, self._said_since = what, None
        log.error("the journal's file was damaged", file=str(self.path), reason=what)

    def told(self, now: float, wait: float) -> None:
        """Alerts go out at the steady second ``now``, after ``wait`` seconds of trouble: an
        incident is over once it could be told."""
        if self.incident is None:
            return
        if self._said_since is None:
            self._said_since = now
        elif now - self._said_since >= wait + SAID:
            self.incident = None

    def _open(self, *, mark: bool = True) -> sqlite3.Connection:
        if self._db is None:
            self._db = open_file(self.path)
            self._watch = Watch(self.path)
            if mark:  # which also shows whether it can be written
                self._mark(self._db)
        return self._db

    def _mark(self, db: sqlite3.Connection) -> None:
        """Note that the file is in use, and whether it lacks what was in an earlier one."""
        with transaction(db):
            note(db, "running")
            if self._lacking:
                note(db, "restoring")
        self._lacking = False

    def _close(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = self._watch = None

    def _look(self) -> bool:
        """Whether the file that is open is still the journal. Where it is not, all that the journal
        has to hold is asked for, and written into a new one."""
        lost = None if self._watch is None else self._watch.lost()
        if lost is not None:
            self._lose(f"{lost} while tocsin ran")
        return lost is None

    def _lose(self, what: str) -> None:
        """Go on with a new file, to be written from memory."""
        self._close()
        self._lacking = True
        self._ask_for_whole()
        with suppress(FileNotFoundError):  # what stands there now is somebody else's, or broken
            what += f"; what is there instead lies in {set_aside(self.path)}"
        for suffix in BESIDE:  # of no file any more
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.tell(f"{what}; it is written anew from memory")

    def _ask_for_whole(self) -> None:
        def ask() -> None:
            if self.whole is not None and self.running:
                self.submit(self.whole())

        assert self._loop is not None  # noqa: S101
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(ask)

    def _serve(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=RETRY if self._backlog else LOOK)
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
                self._close_in_order()
                return

    def _write(self, jobs: list[_Job]) -> None:
        entries = [*self._backlog, *(job.entry for job in jobs)]
        try:
            self._write_all(entries)
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            self._backlog = entries
            self._answer(jobs, JournalError(self.trouble))
            return
        if self.trouble is not None:
            log.info("the journal can be written again", entries=len(entries))
        self._backlog, self.trouble = [], None
        if entries:
            crash_points.point("after commit")
        self._answer(jobs, None)

    def _write_all(self, entries: list[Entry]) -> None:
        """Write entries into the file that is there, once more where it was lost meanwhile."""
        for _ in range(TRIES):
            self._look()
            try:
                if entries or self.trouble is not None:
                    self._transact(self._open(), entries)
            except (sqlite3.Error, DamagedError, OSError) as error:
                if not is_damage(error):
                    raise
                self._lose(f"{self.path.name} was damaged while tocsin ran ({error})")
                continue
            except Exception:  # noqa: BLE001 - one entry must not keep the others from the disk
                self._one_by_one(entries)
            if self._look():
                return
        raise OSError("its file is lost again and again")

    def _one_by_one(self, entries: list[Entry]) -> None:
        """Write what can be put into words, and leave out what cannot."""
        for entry in entries:
            try:
                self._transact(self._open(), [entry])
            except (sqlite3.Error, DamagedError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - see above
                log.error("an entry of the journal is left out", reason=type(error).__name__)

    def _failed(self, error: Exception) -> None:
        self._say(f"{self.path} cannot be written: {error}")
        # A connection that has met a full disk may hold a broken transaction.
        self._close()

    def _say(self, trouble: str) -> None:
        if self.trouble is None:
            log.error("the journal cannot be written; alerts go on in memory", reason=trouble)
        self.trouble = trouble

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
        with transaction(db):
            for entry in entries:
                put(db, entry)
            self._upkeep.after(db, entries)
            crash_points.point("before commit")

    def _close_in_order(self) -> None:
        with suppress(sqlite3.Error, OSError):
            if self._db is not None and self._look():
                self._db.execute("DELETE FROM meta WHERE name = 'running'")
        self._close()
