"""Whether what a row needs is here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from tests.faults.fault import ENGINE, FAKETIME, ROOT

PROGRAMS = ("dockerd", "docker", "busybox", "unshare")
LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
"""Gives a process another wall clock."""


def lacking(needs: Collection[str]) -> str | None:
    """What is not here of it, in a sentence; None where everything is."""
    if ROOT in needs and os.geteuid() != 0:
        return "it needs root"
    if ENGINE in needs:
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            return f"it needs a Docker Engine of its own; not installed: {', '.join(missing)}"
    if FAKETIME in needs and LIBRARY is None:
        return "it needs libfaketime"
    return None


__all__ = ["ENGINE", "FAKETIME", "LIBRARY", "ROOT", "lacking"]
