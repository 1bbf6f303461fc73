"""Checks that the journal's files are still those being written, and hold what was written."""

from __future__ import annotations

import os
import struct
from pathlib import Path

_WAL_HEADER, _FRAME_HEADER = 32, 24
_SQLITE = b"SQLite format 3\0"
_MAGIC = (0x377F0682, 0x377F0683)


class Watch:
    """The files behind a connection: the journal and its write-ahead log.

    Neither shrinks while the connection is open. If one is deleted, replaced or truncated, SQLite
    keeps writing to a file that no one will read.
    """

    def __init__(self, path: Path) -> None:
        self._paths = (path, path.with_name(f"{path.name}-wal"))
        self._known = [self._look(each) for each in self._paths]

    def lost(self) -> str | None:
        """Return what has happened to the files, as a clause, or None. Takes a few microseconds.

        Raises:
            OSError: a file cannot be examined.
        """
        for n, path in enumerate(self._paths):
            before, now = self._known[n], self._look(path)
            if before is None:
                self._known[n] = now
            elif now is None:
                return f"{path.name} was deleted"
            elif now[:2] != before[:2]:
                return f"{path.name} was replaced by another file"
            elif now[2] < before[2]:
                return f"{path.name} was cut from {before[2]} to {now[2]} bytes"
            elif now[2] and not _begins_well(path):
                return f"{path.name} was overwritten"
            else:
                self._known[n] = now
        return None

    @staticmethod
    def _look(path: Path) -> tuple[int, int, int] | None:
        try:
            status = os.stat(path)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_dev, status.st_ino, status.st_size


def _begins_well(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(16)
    return begin == _SQLITE or struct.unpack(">I", begin[:4])[0] in _MAGIC


def frames_in(wal: Path) -> int | None:
    """Return the number of frames of a write-ahead log up to its last commit, judged by their
    salts; None if it has content that cannot be applied.

    SQLite silently stops at the first frame whose checksum is wrong
    (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
    """
    try:
        size = wal.stat().st_size
    except FileNotFoundError:
        return 0
    with wal.open("rb") as file:
        header = file.read(_WAL_HEADER)
        if size <= _WAL_HEADER + _FRAME_HEADER:
            return 0
        magic, _, page, _, *salt = struct.unpack(">6I", header[:24])
        if magic not in _MAGIC or not 512 <= page <= 65536:
            return None
        frames, own = 0, 0
        for n in range((size - _WAL_HEADER) // (_FRAME_HEADER + page)):
            file.seek(_WAL_HEADER + n * (_FRAME_HEADER + page))
            _, pages, *mark = struct.unpack(">4I", file.read(16))
            if mark == salt:
                own += 1
                frames = n + 1 if pages else frames
        return frames if own else None
