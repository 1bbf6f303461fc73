"""One line of the table of figures, and the machine they were measured on.

Every bench prints what it likes, then a line for each bound it measures; ``bench/all.py`` runs the
benches in turn and gathers these lines.
"""

from __future__ import annotations

import os
from pathlib import Path

MARK = "figure"


def line(what: str, bound: str, figure: str, *, holds: bool | None) -> None:
    """Print one figure beside its bound; ``holds`` None where there is no bound to hold."""
    verdict = {True: "holds", False: "misses", None: "-"}[holds]
    print(" | ".join((MARK, what, bound, figure, verdict)), flush=True)


def machine() -> str:
    """Cores, memory and processor of this machine, in one line."""
    model = next(
        (row.partition(":")[2].strip() for row in _rows("/proc/cpuinfo") if "model name" in row),
        "processor unknown",
    )
    kib = next((int(row.split()[1]) for row in _rows("/proc/meminfo") if "MemTotal" in row), 0)
    return f"{os.cpu_count()} cores, {kib / 2**20:.0f} GiB, {model}"


def _rows(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
