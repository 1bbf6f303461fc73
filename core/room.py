"""Telling a disk without room from other trouble: what only needs room is tried again later."""

from __future__ import annotations

import errno


def is_full(error: OSError) -> bool:
    """Whether it says that there is no room left, on the disk or within a quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
