"""Files of the data directory that SQLite keeps: how they are opened, and what its errors mean."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DAMAGE = frozenset(
    (
        sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH,
    )
)  # fmt: skip


class DamagedError(Exception):
    """The file holds something else than it should; says what, as a clause."""


def is_damage(error: Exception) -> bool:
    """Whether an error is of the file's content, and not of the disk or the machine."""
    return isinstance(error, DamagedError) or _code(error) in _DAMAGE


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process is changing the file."""
    return _code(error) == sqlite3.SQLITE_BUSY


def as_os_error(error: Exception, path: Path) -> OSError:
    """An error of the disk or the machine in the words of the operating system."""
    if _code(error) == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return OSError(errno.EIO, str(error), str(path))


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def connect(path: Path, *, ahead: bool) -> sqlite3.Connection:
    """Open a file to change it, making it where there is none, for its owner alone. When a commit
    has returned, the disk has it. Nothing else in this process may have the file open: closing any
    descriptor of it gives up this process's locks (https://www.sqlite.org/howtocorrupt.html#_2_2_).

    Args:
        path: the file.
        ahead: writes go into a log beside it first, which is fast and needs more files; it is used
            by one connection. Without, the file alone holds all while nothing is being changed.

    Raises:
        sqlite3.Error, OSError: it cannot be opened, or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # SQLite would make it for all whom the umask allows, and say less of why it cannot.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        if ahead:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
        else:  # also that the end of a change is on the disk: a token revoked stays revoked
            db.execute("PRAGMA synchronous=EXTRA")
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """What is done within is on disk as a whole, or not at all. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
