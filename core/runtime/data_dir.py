"""The data directory: created, locked by one tocsin, and closed to other users."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tocsin.core.runtime.disk import is_unwritable
from tocsin.core.runtime.owned import SHARED, narrow, user_name

LOCK = "lock"
"""The file in the data directory that a running tocsin locks."""

API_URL = "api.url"
"""The file in the data directory with the URL of the API while tocsin runs."""


class StartError(Exception):
    """tocsin cannot start; the message is one clear sentence with a remedy."""


@contextmanager
def data_directory(path: Path) -> Iterator[Path]:
    """Return a context manager that creates the data directory and locks it for this process.

    If it cannot be written now (full, read-only, no permission), tocsin runs nevertheless and keeps
    what it must in memory, so that it can alert people to it.

    Args:
        path: the directory.

    Raises:
        StartError: it is no directory, belongs to another user, or is used by another tocsin.
    """
    with ExitStack() as stack:
        _make(path)
        # The directory is locked, too, since a file cannot be created in every directory.
        _hold(stack, path, os.O_RDONLY | os.O_DIRECTORY)
        # The file is not emptied: it may be in use by another tocsin.
        lock = _hold(stack, path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        with suppress(OSError):  # of a killed tocsin: another program may use its port now
            (path / API_URL).unlink(missing_ok=True)
        if lock is not None:
            with suppress(OSError):  # for people who look; optional, if the disk is full
                os.ftruncate(lock, os.write(lock, f"{os.getpid()}\n".encode()))
        elif not (path / API_URL).exists():  # else commands would use what an earlier run wrote
            _hold(stack, path / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
        _narrow(path)
        yield path


def _log() -> Any:
    from tocsin.core.logs import get_logger  # imported late: commands need only names of files

    return get_logger(__name__)


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.stat().st_uid not in (os.geteuid(), 0):
            raise StartError(
                f"the data directory {path} belongs to {user_name(path.stat().st_uid)}, not to "
                f"{user_name(os.geteuid())}; change its owner to that user (chown), or set "
                "TOCSIN_DATA_DIR to another place"
            )
    except OSError as error:
        _refuse_or_tell(path, path, error)


def _refuse_or_tell(directory: Path, place: Path, error: OSError) -> None:
    if not is_unwritable(error):
        raise StartError(
            f"the data directory {directory} cannot be used ({error.strerror}); "
            "set data_dir in tocsin.toml or TOCSIN_DATA_DIR to one that can be written"
        ) from error
    _log().error("the data directory cannot be written; its content stays in memory",
              path=str(place), reason=str(error))  # fmt: skip


def _narrow(path: Path) -> None:
    """Remove other users' access to files that an earlier version, or a copy, left accessible. The
    directory's own mode is not changed: the user who runs tocsin decides who may list it."""
    try:
        changed = narrow(path, without=("postgres", "postgres.new"))
        status = path.stat()
        if status.st_mode & SHARED and status.st_uid == os.geteuid():
            path.chmod(status.st_mode & ~SHARED)
            changed += 1
        if changed:
            _log().warning("access of other users to files was removed",
                        directory=str(path), files=changed)  # fmt: skip
    except OSError as error:
        _log().warning("other users may be able to use files of the data directory",
                    directory=str(path), reason=str(error))  # fmt: skip


def _hold(stack: ExitStack, place: Path, flags: int) -> int | None:
    """Lock the data directory, or a file in it.

    A command that checks whether tocsin runs locks the file for a moment.

    Args:
        stack: releases the lock.
        place: the directory or file.
        flags: for ``os.open``.

    Returns:
        The descriptor; None if it cannot be locked.

    Raises:
        StartError: another tocsin has locked it, or it is something else.
    """
    directory = place if flags & os.O_DIRECTORY else place.parent
    try:
        descriptor = os.open(place, flags | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # it could not be created, which is already logged
        return None
    except OSError as error:
        _refuse_or_tell(directory, place, error)
        return None
    stack.callback(os.close, descriptor)
    for pause in (0.01, 0.05, 0.2, None):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if pause is None:
                raise StartError(
                    f"another tocsin is using {directory}; stop it, or set TOCSIN_DATA_DIR to "
                    "another place"
                ) from error
            time.sleep(pause)
        except OSError as error:  # network file systems lock only writable files
            _log().warning(
                "the data directory cannot be locked", path=str(place), reason=str(error)
            )
            break
        else:
            break
    return descriptor
