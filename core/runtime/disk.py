"""Telling a place that cannot be written now from other trouble: it is tried again later."""

from __future__ import annotations

import errno

_UNWRITABLE = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
)  # fmt: skip


def is_unwritable(error: OSError) -> bool:
    """Whether it says that nothing can be written there now: no room is left, the file system is
    read-only or fails, or permission is missing."""
    return error.errno in _UNWRITABLE
