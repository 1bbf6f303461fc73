"""Whether what a row needs is here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection

from tests.faults.fault import ENGINE, ROOT

PROGRAMS = ("dockerd", "docker", "busybox", "unshare")


def lacking(needs: Collection[str]) -> str | None:
    """What is not here of it, in a sentence; None where everything is."""
    if needs and os.geteuid() != 0:
        return "it needs root"
    if ENGINE in needs:
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        if missing:
            return f"it needs a Docker Engine of its own; not installed: {', '.join(missing)}"
    return None


__all__ = ["ENGINE", "ROOT", "lacking"]
