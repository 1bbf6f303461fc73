"""A queue of batches on disk, used while the database is unavailable.

Each batch is one fsynced file, and the total size is limited. It is not an SQLite database, since
SQLite cannot delete a row on a full disk, which would therefore stay full.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import msgspec

from tocsin.plugins.history._log import log
from tocsin.plugins.history.batch import Batch, decode, encode, without_samples
from tocsin.plugins.history.losses import Losses

SUFFIX = ".batch"
BLOCK = 4096
"""Least size that a file is counted with, in bytes: it occupies at least one block of the disk."""

REJECTED_KEPT = 100
"""Most files of rejected batches that are kept."""


class Spool:
    """A queue of batches in a directory, oldest first; their names are UUIDv7 and sort by time.

    If it grows beyond ``limit``, the samples of the oldest batches are dropped. If only the newest
    batch still has samples, the oldest batch is dropped. A batch that the database rejects because
    of its content is moved to ``rejected/``.

    Args:
        directory: directory of the files.
        limit: most bytes on disk, except that the newest batch is always kept.
        losses: counts what is dropped and set aside.
    """

    def __init__(self, directory: Path, limit: int, losses: Losses) -> None:
        self._directory = directory
        self._limit = limit
        self._losses = losses
        self._sizes: dict[UUID, int] = {}  # oldest first
        self._rows: dict[UUID, int] = {}
        self.size = 0
        """Size on disk, in bytes."""
        self.rows = 0
        """Number of rows in the queue, without those that an earlier process added."""
        self._thin: set[UUID] = set()
        """Batches whose samples were dropped."""
        self._full = False
        # A separate pool: if the shared threads are all busy, history is still written.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tocsin spool")

    @property
    def aside(self) -> Path:
        """Return the directory of rejected batches."""
        return self._directory / "rejected"

    def open(self) -> None:
        """Queue the batches that an earlier process left.

        Raises:
            OSError: the directory cannot be used.
        """
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
        """Stop the thread after its current work, without waiting for it."""
        self._thread.shutdown(wait=False)

    async def put(self, batch: Batch) -> None:
        """Add a batch durably, without blocking the event loop.

        Raises:
            OSError: it cannot be written.
        """
        loop = asyncio.get_running_loop()
        size = await loop.run_in_executor(self._thread, self._save, batch)
        self._enter(batch.id, size, len(batch))
        await self._bound()

    def put_now(self, batch: Batch) -> None:
        """Add a batch durably from code that cannot await. Blocks.

        Raises:
            OSError: it cannot be written.
        """
        self._enter(batch.id, self._save(batch), len(batch))

    def first(self) -> Batch | None:
        """Return the oldest batch, setting unreadable ones aside; None if the queue is empty.

        Raises:
            OSError: a file cannot be read or moved.
        """
        while self._sizes:
            oldest = next(iter(self._sizes))
            batch = self._read(oldest)
            if batch is not None:
                return batch
            self._set_aside(oldest, "its file cannot be read")
        return None

    def done(self, batch_id: UUID) -> None:
        """Remove a batch that was written to the database.

        Raises:
            OSError: its file cannot be removed.
        """
        self._forget(batch_id)

    async def reject(self, batch: Batch, why: str) -> None:
        """Set aside a batch that the database rejected.

        Raises:
            OSError: it cannot be written or moved.
        """
        await self.put(batch)
        self._set_aside(batch.id, why)

    def _set_aside(self, batch_id: UUID, why: str) -> None:
        self._losses.set_aside()
        log.error("a batch of history was rejected and set aside", file=str(self.aside), reason=why)
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
        self._make_directory()  # the disk may have been full at the start
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            directory = os.open(self._directory, os.O_RDONLY)  # makes the new name durable
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
            if not self._full:  # once for each outage, not for each batch
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
