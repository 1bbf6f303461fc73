"""Memory of the core at 1,000 checks a second, over an hour.

    python bench/soak.py [--quick] [--minutes 60]

A ``tocsin run`` of its own watches a private nginx and writes to a private PostgreSQL (which is not
counted). Flat means: the last tenth of the time takes at most 5 % more than the second tenth, the
first being for warming up.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from attrs import frozen
from stand import Running, cpu_of, http_targets, memory_of, nginx, postgres
from table import line, machine

RATE = 1000
EVERY = 10.0
"""Seconds between two looks."""


@frozen
class Look:
    """Seconds since the start, and megabytes."""

    at: float
    rss: float
    pss: float


def soak(directory: Path, dsn: str, url: str, minutes: float) -> tuple[list[Look], str]:
    """Watch it; the looks, and what was done meanwhile in words."""
    config = http_targets(RATE, url, 1)
    looks = []
    with Running(directory, config, {"DATABASE_URL": dsn}) as tocsin:
        assert tocsin.process is not None
        pid, start = tocsin.process.pid, time.monotonic()
        while (at := time.monotonic() - start) < minutes * 60:
            looks.append(Look(at, *memory_of(pid)))
            if len(looks) % 30 == 1:
                print(f"{at / 60:5.1f} min  {looks[-1].rss:6.1f} MB resident", flush=True)
            time.sleep(EVERY)
        said, took = tocsin.get("/api/v1/status")["scheduler"], time.monotonic() - start
        rate, skipped = said["runs_total"] / took, said["skipped_total"]
        words = (
            f"{rate:,.0f} checks/s, {skipped:.0f} skipped, {cpu_of(pid) / took:.0%} of a core, "
            f"{said['runs_total']:,.0f} checks in all"
        )
        tocsin.stop()
    return looks, words


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="two minutes")
    options.add_argument("--minutes", type=float, default=60)
    given = options.parse_args()
    minutes = 2 if given.quick else given.minutes
    print(machine())
    with tempfile.TemporaryDirectory() as place, postgres() as dsn, nginx() as url:
        looks, words = soak(Path(place), dsn, url, minutes)
    tenth = max(1, len(looks) // 10)
    early, late = looks[tenth : 2 * tenth], looks[-tenth:]
    begin, end = (statistics.median(look.rss for look in part) for part in (early, late))
    pss = statistics.median(look.pss for look in late)
    print(f"{words}; most {max(look.rss for look in looks):.1f} MB resident")
    line(
        f"memory of the core over {minutes:g} minutes at 1,000 checks/s",
        "flat: last tenth <= 1.05 x second tenth",
        f"{begin:.1f} to {end:.1f} MB resident ({end / begin - 1:+.1%}), "
        f"{pss:.1f} MB proportional; {words}",
        holds=end <= 1.05 * begin,
    )


if __name__ == "__main__":
    main()
