"""Batches waiting on disk while the database is away: one fsynced file each, bounded in all.

Files, and not rows of SQLite's: a row cannot be deleted on a full disk, which stays full then.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import msgspec

from tocsin.core.logs import get_logger
from tocsin.core.store.batch import Batch, decode, encode, without_samples
from tocsin.core.store.losses import Losses

log = get_logger(__name__)

SUFFIX = ".batch"
BLOCK = 4096
"""Bytes that a file takes at least; a day of small batches would else fill a disk unseen."""

REJECTED_KEPT = 100
"""Files kept of what the database refused."""


class Spool:
    """A queue of batches in a directory, oldest first; UUIDv7 names sort by time.

    Past ``limit`` bytes the samples of the oldest batches give way; where none are left but in the
    newest, the oldest batch does. A batch the database refuses for what it holds is set aside in
    ``rejected/``. All of it is counted in ``losses``.
    """

    def __init__(self, directory: Path, limit: int, losses: Losses) -> None:
        self._directory = directory
        self._limit = limit
        self._losses = losses
        self._sizes: dict[UUID, int] = {}  # oldest first
        self._rows: dict[UUID, int] = {}
        self.size = 0
        """Bytes on disk."""
        self.rows = 0
        """Rows waiting, as far as they were put by this process."""
        self._thin: set[UUID] = set()
        """Batches that hold no samples any more."""
        self._full = False
        # Of its own: whoever fills the threads that all share must not keep history from the disk.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tocsin spool")

    @property
    def aside(self) -> Path:
        """Where refused batches are kept."""
        return self._directory / "rejected"

    def open(self) -> None:
        """Take over what an earlier process left. Raises OSError."""
        self._make_directory()
        for path in self._directory.glob("*.partial"):
            path.unlink(missing_ok=True)
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            try:
                batch_id = UUID(path.stem)
            except ValueError:
                continue
            self._enter(batch_id, path.stat().st_size, 0)

    def __len__(self) -> int:
        return len(self._sizes)

    def close(self) -> None:
        """Let the thread go; what is under way is finished."""
        self._thread.shutdown(wait=False)

    async def put(self, batch: Batch) -> None:
        """Add a batch, durably, without keeping the event loop waiting for the disk.

        Raises:
            OSError: the disk refuses.
        """
        loop = asyncio.get_running_loop()
        size = await loop.run_in_executor(self._thread, self._save, batch)
        self._enter(batch.id, size, len(batch))
        await self._bound()

    def put_now(self, batch: Batch) -> None:
        """The same, for when nothing can be awaited any more. Raises OSError."""
        self._enter(batch.id, self._save(batch), len(batch))

    def first(self) -> Batch | None:
        """The oldest batch; unreadable ones are set aside. Raises OSError."""
        while self._sizes:
            oldest = next(iter(self._sizes))
            batch = self._read(oldest)
            if batch is not None:
                return batch
            self._set_aside(oldest, "its file cannot be read")
        return None

    def done(self, batch_id: UUID) -> None:
        """A batch is written. Raises OSError."""
        self._forget(batch_id)

    async def reject(self, batch: Batch, why: str) -> None:
        """Set a batch aside that the database refuses. Raises OSError."""
        await self.put(batch)
        self._set_aside(batch.id, why)

    def _set_aside(self, batch_id: UUID, why: str) -> None:
        self._losses.set_aside()
        log.error("a batch of history was refused and set aside", file=str(self.aside), reason=why)
        self.aside.mkdir(exist_ok=True)
        path = self._path(batch_id)
        if path.exists():
            path.replace(self.aside / path.name)
        self._forget(batch_id)
        kept = sorted(self.aside.iterdir(), key=lambda file: file.stat().st_mtime)
        for file in kept[:-REJECTED_KEPT]:
            file.unlink(missing_ok=True)

    def _save(self, batch: Batch) -> int:
        data = encode(batch)
        path = self._path(batch.id)
        partial = path.with_suffix(".partial")
        self._make_directory()  # at the start the disk may have had no room for it
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            directory = os.open(self._directory, os.O_RDONLY)  # the new name is to last, too
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        return len(data)

    def _make_directory(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def _bound(self) -> None:
        while self.size > self._limit and len(self._sizes) > 1:
            *older, _ = self._sizes
            oldest = next((one for one in older if one not in self._thin), None)
            if oldest is None:
                self._drop(older[0])
            else:
                await self._make_thin(oldest)
            if not self._full:  # once an outage, and not for each batch
                log.warning(
                    "the spool is full; its oldest samples are dropped, alerts are kept",
                    bytes=self.size,
                )
            self._full = True

    async def _make_thin(self, oldest: UUID) -> None:
        batch = self._read(oldest)
        rest = None if batch is None else without_samples(batch)
        if batch is None or rest is None or not len(rest):
            self._drop(oldest)
            return
        if lost := len(batch) - len(rest):
            size = await asyncio.get_running_loop().run_in_executor(self._thread, self._save, rest)
            self._enter(oldest, size, len(rest))
            self._losses.drop(lost)
        self._thin.add(oldest)

    def _drop(self, oldest: UUID) -> None:
        lost = self._read(oldest)
        self._losses.drop(len(lost) if lost is not None else 1)
        self._forget(oldest)

    def _read(self, batch_id: UUID) -> Batch | None:
        try:
            return decode(self._path(batch_id).read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _enter(self, batch_id: UUID, size: int, rows: int) -> None:
        self.size += max(size, BLOCK) - self._sizes.get(batch_id, 0)
        self.rows += rows - self._rows.get(batch_id, 0)
        self._sizes[batch_id], self._rows[batch_id] = max(size, BLOCK), rows

    def _forget(self, batch_id: UUID) -> None:
        self._path(batch_id).unlink(missing_ok=True)
        self._thin.discard(batch_id)
        self.size -= self._sizes.pop(batch_id, 0)
        self.rows -= self._rows.pop(batch_id, 0)
        self._full = self._full and bool(self._sizes)

    def _path(self, batch_id: UUID) -> Path:
        return self._directory / f"{batch_id}{SUFFIX}"
