"""Ownership of files: refusal of files that another user could have written, and creation of files
that only their owner can read."""

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
    """Return a user's name; ``user UID`` if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def why_not_ours(status: os.stat_result, owners: Collection[int]) -> str | None:
    """Return why a user other than ``owners`` could have written a file or directory, or None.

    Args:
        status: its status.
        owners: ids of the users who may have written it.
    """
    if status.st_uid not in owners:
        return f"belongs to {user_name(status.st_uid)}, not to {user_name(os.geteuid())}"
    if status.st_mode & SHARED:
        return "can be written by others than its owner (chmod go-w)"
    return None


def open_directory(path: str | Path) -> int:
    """Return a descriptor of a directory, which stays valid if the name is given to another one.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_file(name: str, directory: int, *, follow: bool = False) -> int:
    """Return a descriptor of a regular file in a directory, for reading. Does not wait for a pipe.

    Args:
        name: name of the file.
        directory: descriptor of the directory.
        follow: whether the file may be a symbolic link.

    Raises:
        OSError: it cannot be opened, or is not a regular file (ELOOP: a symbolic link).
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(name, flags, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a regular file")
    return descriptor


@contextmanager
def private_files() -> Iterator[None]:
    """Create files for the owner alone within a ``with`` block, including those of SQLite and other
    libraries."""
    before, outer = os.umask(0o077), PROCESS.given_umask
    PROCESS.given_umask = before if outer is None else outer
    try:
        yield
    finally:
        os.umask(before)
        PROCESS.given_umask = outer


def program_umask() -> int:
    """Return the umask for programs that are run for others, such as a backup script: the one that
    tocsin was started with. They would inherit tocsin's own, which hides files from other users."""
    if PROCESS.given_umask is not None:
        return PROCESS.given_umask
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def narrow(directory: Path, without: Collection[str] = ()) -> int:
    """Remove the access of group and others from everything in a directory.

    Files of other users are not changed.

    Args:
        directory: the directory.
        without: names of entries to omit.

    Returns:
        The number of files changed.
    """
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
    """Write a file completely or not at all, readable by its owner only."""
    partial = path.with_suffix(".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # also if a crash left a file with another mode
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise


def give_to_owner(path: Path) -> None:
    """Give a file or directory that root made to the owner of the directory that it is in: a
    command that root runs must not lock out the user whom tocsin runs as.

    Raises:
        OSError: it cannot be given.
    """
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
