"""Telling a place that cannot be written now from other trouble: it is tried again later."""

from __future__ import annotations

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def is_disk_full(error: OSError) -> bool:
    """Whether it says that there is no room left, on the disk or within a quota."""
    return error.errno in _FULL


def is_unwritable(error: OSError) -> bool:
    """Whether it says that nothing can be written there now: no room is left, the file system is
    read-only or fails, or permission is missing."""
    return error.errno in (*_FULL, *_REFUSED)
