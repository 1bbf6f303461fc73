"""The journal's file in use: opening, writing, watching, and recovery if it is damaged, lost or
cannot be written. All methods block, and belong to one thread at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from tocsin.core.journal.file import (
    UNREADABLE,
    Entry,
    Saved,
    check,
    note,
    open_file,
    put,
    read,
)
from tocsin.core.journal.salvage import read_copy, salvage
from tocsin.core.journal.upkeep import Upkeep, shrink
from tocsin.core.journal.watch import Watch, frames_in
from tocsin.core.logs import get_logger
from tocsin.core.runtime import crash_points
from tocsin.core.runtime.sqlite_file import BESIDE, DamagedError, is_damage, set_aside, transaction
from tocsin.core.units import format_count

log = get_logger(__name__)

TRIES = 3
"""Attempts to write entries if the file is lost meanwhile."""

SAID = 3.0
"""Seconds for which an incident is still reported after the alert about it was due."""


class Keeper:
    """Manages the journal's file.

    Attributes:
        path: the file.
        trouble: why it cannot be written, or None.
        incident: what was wrong with it, for as long as that is to be reported, or None.
    """

    def __init__(self, path: Path, ask_for_whole: Callable[[], None]) -> None:
        """Set the path; ``ask_for_whole`` is called to request the complete content for
        a new file."""
        self.path = path
        self.trouble: str | None = None
        self.incident: str | None = None
        self._ask_for_whole = ask_for_whole
        self._said_since: float | None = None
        self._watch: Watch | None = None
        self._lacking = False
        self._db: sqlite3.Connection | None = None
        self._upkeep = Upkeep()
        self._owed: list[Entry] = []
        """What was read of a damaged file and could not be written into the new one yet."""

    def start(self) -> Saved:
        """Open the file and return what an earlier run left. Never raises: if the disk cannot be
        written, ``trouble`` names the cause."""
        try:
            return self._take_over()
        except (*UNREADABLE, DamagedError, OSError) as error:
            if not is_damage(error) and isinstance(error, (sqlite3.Error, OSError)):
                self._fail(error)  # the disk is full, or read-only
                return read_copy(self.path)
            return self._begin_anew(str(error) or type(error).__name__)

    def _take_over(self) -> Saved:
        """Open the file, check that it is complete, and read it."""
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
            why = f"{wal.name} is missing, and with it the last changes"
        elif frames is None or frames > max(applied, 0):
            why = f"{wal.name} is damaged, and its content is lost"
        if why is not None:
            self.report(why)
            saved = evolve(saved, doubtful=not saved.fresh)
        self._lacking = saved.fresh or saved.doubtful
        self._mark(db)
        # Move the mark into the main file, where it reveals a write-ahead log lost later.
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        with suppress(sqlite3.Error):
            shrink(db)
        return saved

    def _begin_anew(self, reason: str) -> Saved:
        """Move a damaged file aside, and begin a new one with what can be read of it."""
        self._close()
        saved, aside = Saved(), None
        try:
            aside = set_aside(self.path)
            saved = salvage(aside)
            kept = format_count(len(saved.alerts), "alert")
            kept += f" and {format_count(len(saved.rows), 'message')}"
            self.report(
                f"{self.path.name} was damaged ({reason}), moved to {aside}; read from it: {kept}"
            )
            entry = Entry(
                alerts=saved.alerts, rows=saved.rows, silences=saved.silences, anchor=saved.anchor,
                retry_after_until=saved.retry_after_until, beats=saved.beats,
            )  # fmt: skip
            self._owed = [entry]
            self._take_over()
            self._write_owed()
        except (sqlite3.Error, DamagedError, OSError) as again:
            self._lacking = bool(self._owed)
            if aside is None:
                self.report(f"{self.path.name} is damaged ({reason}) and cannot be moved aside")
            self._fail(again)
        return saved

    def report(self, what: str) -> None:
        """Record damage to the file, in the log and as the incident."""
        self.incident, self._said_since = what, None
        log.error("the journal's file was damaged", file=str(self.path), reason=what)

    def reported(self, now: float, wait: float) -> None:
        """End the incident once an alert about it could be sent.

        Args:
            now: steady seconds; alerts are being sent.
            wait: seconds of trouble after which the alert about it fires.
        """
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
            if mark:  # this write also tests whether the file is writable
                self._mark(self._db)
        return self._db

    def _mark(self, db: sqlite3.Connection) -> None:
        """Mark the file as in use, and as lacking an earlier one's content if it does."""
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
        """Return whether the open file is still the journal; if not, begin a new one
        from memory."""
        lost = None if self._watch is None else self._watch.lost()
        if lost is not None:
            self._lose(f"{lost} while tocsin ran")
        return lost is None

    def _lose(self, what: str) -> None:
        """Give up the file; a new one is written from memory."""
        self._close()
        self._lacking = True
        self._ask_for_whole()
        with suppress(FileNotFoundError):  # a file there now is foreign or damaged
            what += f"; the file found there was moved to {set_aside(self.path)}"
        for suffix in BESIDE:  # they belong to no file any more
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.report(f"{what}; a new one is written from memory")

    def write(self, entries: list[Entry]) -> str | None:
        """Write entries (none: only check the file); return why that failed, or None."""
        try:
            self._write_all(entries)
        except (sqlite3.Error, OSError) as error:
            return self._fail(error)
        if self.trouble is not None:
            log.info("the journal can be written again", entries=len(entries))
        self.trouble = None
        return None

    def _write_all(self, entries: list[Entry]) -> None:
        """Write entries; write them again if the file was lost meanwhile."""
        for _ in range(TRIES):
            self._look()
            try:
                self._write_owed()
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
        raise OSError("its file is lost repeatedly")

    def _write_owed(self) -> None:
        if self._owed:
            self._transact(self._open(), self._owed)
            self._owed = []

    def _one_by_one(self, entries: list[Entry]) -> None:
        """Write each entry in a transaction of its own, and skip those that cannot be encoded."""
        for entry in entries:
            try:
                self._transact(self._open(), [entry])
            except (sqlite3.Error, DamagedError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - see above
                log.error("an entry of the journal cannot be written", reason=type(error).__name__)

    def _fail(self, error: Exception) -> str:
        # A connection that has met a full disk may hold a broken transaction.
        self._close()
        return self.say(f"{self.path} cannot be written: {error}")

    def say(self, trouble: str) -> str:
        """Record and log why the file cannot be written; return it."""
        if self.trouble is None:
            log.error("the journal cannot be written; alerts stay in memory", reason=trouble)
        self.trouble = trouble
        return trouble

    def _transact(self, db: sqlite3.Connection, entries: list[Entry]) -> None:
        with transaction(db):
            for entry in entries:
                put(db, entry)
            self._upkeep.after(db, entries)
            crash_points.point("before commit")

    def end(self) -> None:
        """Close the file and mark it as complete."""
        with suppress(sqlite3.Error, OSError):
            if self._db is not None and self._look():
                self._db.execute("DELETE FROM meta WHERE name = 'running'")
        self._close()
