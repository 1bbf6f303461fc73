"""The journal's file in use: opened, written, watched; and what becomes of it where it is damaged,
lost, or cannot be written. All of it blocks, and belongs to one thread at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import evolve

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

log = get_logger(__name__)

TRIES = 3
"""So often entries are written, where the file is lost in the meantime."""

SAID = 3.0
"""Seconds for which it is still said that the journal was lost, after alerts told of it."""


class Keeper:
    """Keeps one file.

    Attributes:
        path: the file.
        trouble: why it cannot be written, or None.
        incident: what was wrong with it, for as long as that is to be told, or None.
    """

    def __init__(self, path: Path, ask_for_whole: Callable[[], None]) -> None:
        """``ask_for_whole`` is called where the file was lost: a new one is to hold everything."""
        self.path = path
        self.trouble: str | None = None
        self.incident: str | None = None
        self._ask_for_whole = ask_for_whole
        self._said_since: float | None = None
        self._watch: Watch | None = None
        self._lacking = False
        self._db: sqlite3.Connection | None = None
        self._upkeep = Upkeep()

    def start(self) -> Saved:
        """Open the file and read what an earlier run left. Never raises: without a disk that can be
        written there is ``trouble``."""
        try:
            return self._take_over()
        except (*UNREADABLE, DamagedError, OSError) as error:
            if not is_damage(error) and isinstance(error, (sqlite3.Error, OSError)):
                self._fail(error)  # the disk is full, or read-only
                return read_copy(self.path)
            return self._begin_anew(str(error) or type(error).__name__)

    def _take_over(self) -> Saved:
        """Open the file, look whether it is whole, and read it."""
        there = self.path.exists()
        wal = self.path.with_name(f"{self.path.name}-wal")
        if there and not self.path.stat().st_size:
            self.report(f"{self.path} was empty")
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
            self.report(why)
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
            self.report(f"{self.path.name} was damaged ({reason}) and lies in {aside}; {kept}")
            self._take_over()
            entry = Entry(
                alerts=saved.alerts, rows=saved.rows, silences=saved.silences, anchor=saved.anchor,
                retry_after_until=saved.retry_after_until, beats=saved.beats,
            )  # fmt: skip
            self._transact(self._open(), [entry])
        except (sqlite3.Error, DamagedError, OSError) as again:
            if aside is None:
                self.report(f"{self.path.name} is damaged ({reason}) and cannot be set aside")
            self._fail(again)
        return saved

    def report(self, what: str) -> None:
        """Say what was wrong with the file, in the log and as an incident."""
        self.incident, self._said_since = what, None
        log.error("the journal's file was damaged", file=str(self.path), reason=what)

    def reported(self, now: float, wait: float) -> None:
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
        self.report(f"{what}; it is written anew from memory")

    def write(self, entries: list[Entry]) -> str | None:
        """Write entries, or just look after the file; returns why that is not possible now."""
        try:
            self._write_all(entries)
        except (sqlite3.Error, OSError) as error:
            return self._fail(error)
        if self.trouble is not None:
            log.info("the journal can be written again", entries=len(entries))
        self.trouble = None
        return None

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

    def _fail(self, error: Exception) -> str:
        # A connection that has met a full disk may hold a broken transaction.
        self._close()
        return self.say(f"{self.path} cannot be written: {error}")

    def say(self, trouble: str) -> str:
        """Say why the file is not written; returns that."""
        if self.trouble is None:
            log.error("the journal cannot be written; alerts go on in memory", reason=trouble)
        self.trouble = trouble
        return trouble

    def _transact(self, db: sqlite3.Connection, entries: list[Entry]) -> None:
        with transaction(db):
            for entry in entries:
                put(db, entry)
            self._upkeep.after(db, entries)
            crash_points.point("before commit")

    def end(self) -> None:
        """Close the file and note that nothing is missing in it."""
        with suppress(sqlite3.Error, OSError):
            if self._db is not None and self._look():
                self._db.execute("DELETE FROM meta WHERE name = 'running'")
        self._close()
