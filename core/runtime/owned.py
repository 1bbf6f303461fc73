"""Whose a file is: what somebody else could have written is not what it seems, and files that are
written are their owner's alone."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tocsin.core.runtime.process import PROCESS

SHARED = stat.S_IWGRP | stat.S_IWOTH


def user_name(uid: int) -> str:
    """A user as people call it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def why_not_ours(status: os.stat_result, owners: Collection[int]) -> str | None:
    """Why somebody else than ``owners`` could have written a file or directory, or None."""
    if status.st_uid not in owners:
        return f"belongs to {user_name(status.st_uid)}, not to {user_name(os.geteuid())}"
    if status.st_mode & SHARED:
        return "can be written by others than its owner (chmod go-w)"
    return None


def open_directory(path: str | Path) -> int:
    """A descriptor of a directory that holds while its name may come to mean another. Raises
    OSError."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_file(name: str, directory: int, *, follow: bool = False) -> int:
    """A descriptor of a regular file of a directory, for reading; waits for no pipe.

    Raises:
        OSError: it cannot be opened, or is something else (ELOOP: a symbolic link).
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(name, flags, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file")
    return descriptor


@contextmanager
def private_files() -> Iterator[None]:
    """Meanwhile what this process makes is its user's alone, SQLite's and libraries' files too."""
    before, outer = os.umask(0o077), PROCESS.given_umask
    PROCESS.given_umask = before if outer is None else outer
    try:
        yield
    finally:
        os.umask(before)
        PROCESS.given_umask = outer


def program_umask() -> int:
    """The umask for programs that are run for others, such as a backup script: that which tocsin
    was started with. tocsin's own, which they would inherit, hides all files from other users."""
    if PROCESS.given_umask is not None:
        return PROCESS.given_umask
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def narrow(directory: Path, without: Collection[str] = ()) -> int:
    """Take what lies in a directory from group and others, but for entries ``without``; returns how
    many files that were. What belongs to another user is left alone."""
    changed = 0
    for folder, folders, files in os.walk(directory):
        if folder == os.fspath(directory):
            folders[:] = [name for name in folders if name not in without]
        for name in (*folders, *files):
            path = os.path.join(folder, name)  # noqa: PTH118 - there may be thousands
            status = os.lstat(path)
            mode = stat.S_IMODE(status.st_mode)
            plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
            if plain and mode & 0o077 and status.st_uid == os.geteuid():
                os.chmod(path, mode & 0o700)  # noqa: PTH101
                changed += 1
    return changed


def write_private(path: Path, data: bytes) -> None:
    """Put a file in place whole or not at all, readable by its owner only."""
    partial = path.with_suffix(".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # also where a crash left a file with another mode behind
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
