"""Batches waiting on disk while the database is away: one fsynced file each, bounded in all."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

import msgspec

from tocsin.core.logs import get_logger
from tocsin.core.store.batch import Batch, decode, encode

log = get_logger(__name__)

SUFFIX = ".batch"


class Spool:
    """A queue of batches in a directory, oldest first; UUIDv7 names sort by time.

    Past ``limit`` bytes the oldest batch gives way and its rows are counted in ``dropped``. A
    batch the database refuses for what it holds is set aside in ``rejected/``.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._sizes: dict[UUID, int] = {}
        self._rows: dict[UUID, int] = {}
        self.dropped = 0
        self.rejected = 0

    @property
    def aside(self) -> Path:
        """Where refused batches are kept."""
        return self._directory / "rejected"

    def open(self) -> None:
        """Take over what an earlier process left. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            try:
                self._sizes[UUID(path.stem)] = path.stat().st_size
            except ValueError:
                continue
        for path in self._directory.glob("*.partial"):
            path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(self._sizes.values())

    @property
    def rows(self) -> int:
        """Rows waiting, as far as they were put by this process."""
        return sum(self._rows.values())

    def put(self, batch: Batch) -> None:
        """Add a batch, durably. Raises OSError when the disk refuses; the batch is then counted
        as dropped."""
        data = encode(batch)
        path = self._path(batch.id)
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        except OSError:
            self.dropped += len(batch)
            partial.unlink(missing_ok=True)
            raise
        self._sizes[batch.id] = len(data)
        self._rows[batch.id] = len(batch)
        while self.size > self._limit and len(self._sizes) > 1:
            oldest = min(self._sizes)
            lost = self._read(oldest)
            self.dropped += len(lost) if lost is not None else 1
            self._forget(oldest)
            log.warning("the spool is full; its oldest history is dropped", dropped=self.dropped)

    def first(self) -> Batch | None:
        """The oldest batch; unreadable ones are set aside."""
        while self._sizes:
            oldest = min(self._sizes)
            batch = self._read(oldest)
            if batch is not None:
                return batch
            self.reject(oldest, "its file cannot be read")
        return None

    def done(self, batch_id: UUID) -> None:
        """A batch is written."""
        self._forget(batch_id)

    def reject(self, batch_id: UUID, why: str) -> None:
        """Set a batch aside that would block all others."""
        aside = self.aside
        aside.mkdir(exist_ok=True)
        path = self._path(batch_id)
        if path.exists():
            path.rename(aside / path.name)
        self._forget(batch_id)
        self.rejected += 1
        log.error("a batch of history was refused and set aside", file=str(aside), reason=why)

    def _read(self, batch_id: UUID) -> Batch | None:
        try:
            return decode(self._path(batch_id).read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None

    def _forget(self, batch_id: UUID) -> None:
        self._path(batch_id).unlink(missing_ok=True)
        self._sizes.pop(batch_id, None)
        self._rows.pop(batch_id, None)

    def _path(self, batch_id: UUID) -> Path:
        return self._directory / f"{batch_id}{SUFFIX}"
