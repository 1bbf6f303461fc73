"""The journal: the state that must survive a restart, written by a thread of its own.

SQLite in WAL mode with ``synchronous=FULL``: when a commit has returned, it is on disk
(https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous). One
transaction holds an alert's change together with its outbox rows, before anything is sent. All
entries submitted during a commit are written together in the next one.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import evolve, frozen

from tocsin.core.journal.earlier import HEARTBEATS, beats_in
from tocsin.core.journal.file import Entry, Saved
from tocsin.core.journal.keeper import Keeper
from tocsin.core.runtime import crash_points

__all__ = ["Entry", "Journal", "JournalError", "Saved"]

RETRY = 2.0
"""Seconds between attempts to write entries that could not be written."""

PATIENCE = 2.0
"""Maximum time, in seconds, for which an alert waits for a commit."""

LOOK = 2.0
"""Seconds between checks that the file still exists, while nothing is written."""


class JournalError(Exception):
    """The journal cannot be written now; the entry stays in memory and is written later."""


@frozen(eq=False)
class _Job:
    entry: Entry
    done: asyncio.Future[None]


class Journal:
    """The journal of one data directory.

    ``whole`` returns the complete content of the journal; it is called in the event loop after the
    file was lost, so that a new one is written from memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.whole: Callable[[], Entry] | None = None
        self._keeper = keeper = Keeper(path, self._ask_for_whole)
        self.report, self.reported = keeper.report, keeper.reported
        self._queue: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        """Jobs, those in one transaction that belong together."""
        self._held: list[_Job] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._backlog: list[Entry] = []

    @property
    def trouble(self) -> str | None:
        """Why it cannot be written, or None."""
        return self._keeper.trouble

    @property
    def incident(self) -> str | None:
        """What was wrong with its file, for as long as that is to be reported, or None."""
        return self._keeper.incident

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._thread is not None

    @property
    def waiting(self) -> int:
        """Number of entries that wait in memory to be written."""
        return len(self._backlog)

    # Start and stop

    async def start(self) -> Saved:
        """Open the file and return what an earlier run left. Never raises: if the disk cannot be
        written, all state stays in memory, and ``trouble`` names the cause."""
        saved = await asyncio.to_thread(self._keeper.start)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="tocsin journal", daemon=True)
        self._thread.start()
        return await self._take_beats(saved)

    async def _take_beats(self, saved: Saved) -> Saved:
        """Import the heartbeats that an earlier version kept in a file of their own.

        The file is deleted once the journal has them; until then each start reads it again.
        """
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
        """Write what was submitted, and close the file."""
        if self._thread is not None:
            with suppress(JournalError):  # also lets a lost file be written anew first
                await self.commit(Entry())
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join, 10)
            self._thread = None

    async def commit(self, entry: Entry) -> None:
        """Write an entry; return once it is on disk.

        Raises:
            JournalError: it could not be written yet; it is written once that is possible.
        """
        await self.wait(self.submit(entry))

    async def wait(self, done: asyncio.Future[None]) -> None:
        """Wait for the result of :meth:`submit`, at most PATIENCE seconds. Raises JournalError."""
        await asyncio.wait({done}, timeout=PATIENCE)
        if not done.done():
            raise JournalError(
                self._keeper.say(f"{self.path} is not written within {PATIENCE:g} s")
            )
        done.result()

    def submit(self, entry: Entry) -> asyncio.Future[None]:
        """Queue an entry; entries are written in the order of the calls.

        Returns:
            A future that completes when the entry is on disk, or fails with JournalError.
        """
        assert self._loop is not None  # noqa: S101
        job = _Job(entry, self._loop.create_future())
        if self._held is None:
            self._queue.put([job])
        else:
            self._held.append(job)
        # Retrieve the exception, so that asyncio does not report it if no one awaits the future.
        job.done.add_done_callback(lambda f: None if f.cancelled() else f.exception())
        return job.done

    @contextmanager
    def together(self) -> Iterator[None]:
        """Commit everything submitted within the block in one transaction. The block must not
        await."""
        held: list[_Job] = []
        self._held = held
        try:
            yield
        finally:
            self._held = None
            if held:
                self._queue.put(held)

    # The thread

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
                self._keeper.end()
                return

    def _write(self, jobs: list[_Job]) -> None:
        entries = [*self._backlog, *(job.entry for job in jobs)]
        trouble = self._keeper.write(entries)
        if trouble is not None:
            self._backlog = entries
            self._answer(jobs, JournalError(trouble))
            return
        self._backlog = []
        if entries:
            crash_points.point("after commit")
        self._answer(jobs, None)

    def _answer(self, jobs: Iterable[_Job], error: JournalError | None) -> None:
        def answer() -> None:
            for job in jobs:
                if job.done.done():
                    continue
                if error is None:
                    job.done.set_result(None)
                else:
                    job.done.set_exception(error)

        assert self._loop is not None  # noqa: S101
        with suppress(RuntimeError):  # the loop is closed, so no one waits
            self._loop.call_soon_threadsafe(answer)

    def _ask_for_whole(self) -> None:
        def ask() -> None:
            if self.whole is not None and self.running:
                self.submit(self.whole())

        assert self._loop is not None  # noqa: S101
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(ask)
