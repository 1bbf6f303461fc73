"""The data directory: made, held by one tocsin alone, and closed to other users."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tocsin.core.logs import get_logger
from tocsin.core.owned import SHARED, narrow, user_name

log = get_logger(__name__)

API_URL = "api.url"
"""The file of the data directory that says where the API is while it runs."""


class StartError(Exception):
    """tocsin cannot start; the message is one clear sentence with a remedy."""


@contextmanager
def data_directory(path: Path) -> Iterator[Path]:
    """Make the data directory and hold it for this process alone.

    Raises:
        StartError: it cannot be made or written, or another tocsin holds it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.stat().st_uid not in (os.geteuid(), 0):
            raise StartError(
                f"the data directory {path} belongs to {user_name(path.stat().st_uid)}, not to "
                f"{user_name(os.geteuid())}; give it to whom tocsin runs as (chown), or set "
                "TOCSIN_DATA_DIR to another place"
            )
        # Not emptied: it may be another one's.
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StartError(
            f"the data directory {path} cannot be used ({error.strerror}); "
            "set data_dir in tocsin.toml or TOCSIN_DATA_DIR to one that can be written"
        ) from error
    with os.fdopen(descriptor, "r+b", buffering=0) as lock:
        if not _hold(lock.fileno()):
            raise StartError(
                f"another tocsin is using {path}; stop it, or set TOCSIN_DATA_DIR to another place"
            )
        with suppress(OSError):  # for people who look; a full disk does without
            lock.truncate(lock.write(f"{os.getpid()}\n".encode()))
        with suppress(OSError):  # of one that was killed: its port may be anybody's by now
            (path / API_URL).unlink()
        _narrow(path)
        yield path


def _narrow(path: Path) -> None:
    """Take from others what an earlier version, or a copy, left open to them. The directory itself
    may be passed through and listed: that is for whoever runs tocsin to say."""
    try:
        changed = narrow(path, without=("postgres", "postgres.new"))
        status = path.stat()
        if status.st_mode & SHARED and status.st_uid == os.geteuid():
            path.chmod(status.st_mode & ~SHARED)
            changed += 1
        if changed:
            log.warning("files that other users could use were narrowed to their owner",
                        directory=str(path), files=changed)  # fmt: skip
    except OSError as error:
        log.warning("other users may be able to use files of the data directory",
                    directory=str(path), reason=str(error))  # fmt: skip


def _hold(lock: int) -> bool:
    """Lock the data directory. A command that looks whether tocsin runs holds it for a moment."""
    for pause in (0.01, 0.05, 0.2, None):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if pause is None:
                break
            time.sleep(pause)
    return False
