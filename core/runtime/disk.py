"""Recognition of places that cannot be written now, which is tried again later."""

from __future__ import annotations

import errno

_UNWRITABLE = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
)  # fmt: skip


def is_unwritable(error: OSError) -> bool:
    """Return whether an error says that a place cannot be written now: the disk is full, the file
    system is read-only or faulty, or permission is missing."""
    return error.errno in _UNWRITABLE
