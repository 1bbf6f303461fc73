"""SQLite files in the data directory: how they are opened, and what their errors mean."""

from __future__ import annotations

import errno
import itertools
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BESIDE = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite keeps beside a file."""

MOST_ASIDE = 5
"""Number of damaged files of one name that are kept."""

_DAMAGE = frozenset(
    (
        sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH,
    )
)  # fmt: skip


class DamagedError(Exception):
    """The file does not hold what it should; the message says what is wrong, as a clause."""


def is_damage(error: Exception) -> bool:
    """Return whether an error concerns the file's content, and not the disk or the machine."""
    return isinstance(error, DamagedError) or _code(error) in _DAMAGE


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another process is changing the file."""
    return _code(error) == sqlite3.SQLITE_BUSY


def as_os_error(error: Exception, path: Path) -> OSError:
    """Return an error of the disk or the machine as an OSError of the operating system."""
    if _code(error) == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return OSError(errno.EIO, str(error), str(path))


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def connect(path: Path, *, ahead: bool) -> sqlite3.Connection:
    """Open a file for writing, and create it, for its owner alone, if it does not exist.

    When a commit has returned, the data is on disk. Nothing else in this process may have the file
    open: closing any descriptor of it releases this process's locks
    (https://www.sqlite.org/howtocorrupt.html#_2_2_).

    Args:
        path: the file.
        ahead: whether to write to a write-ahead log first, which is fast and needs more files; only
            one connection uses it. Otherwise the file alone holds everything between changes.

    Raises:
        sqlite3.Error, OSError: it cannot be opened or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # SQLite would create it with the umask's mode, and its errors say less about the cause.
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
        else:  # the end of a change, too, must be on disk: a revoked token stays revoked
            db.execute("PRAGMA synchronous=EXTRA")
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Return a context manager for one transaction: on disk as a whole, or not at all. Raises
    sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def set_aside(path: Path) -> Path:
    """Rename a damaged file, and what SQLite keeps beside it, with the time in the name; delete all
    but the newest MOST_ASIDE.

    Returns:
        The new path.

    Raises:
        OSError: the file does not exist, or its directory cannot be written.
    """
    stamp = f"{path.name}.broken-{int(time.time())}"
    names = (path.with_name(stamp if not n else f"{stamp}-{n}") for n in itertools.count())
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    for suffix in BESIDE:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    kept = [
        each for each in path.parent.glob(f"{path.name}.broken-*") if not each.name.endswith(BESIDE)
    ]
    for old in sorted(kept, key=lambda file: file.stat().st_mtime)[:-MOST_ASIDE]:
        for suffix in ("", *BESIDE):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return aside
