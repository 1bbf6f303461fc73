"""What a tocsin takes up over an hour: at 1,000 checks a second, or at 500 with flapping alerts.

    python bench/soak.py [--flapping] [--quick] [--minutes 60]

A ``tocsin run`` of its own watches a private nginx and writes to a private PostgreSQL (which is not
counted). With ``--flapping`` a hundred of its targets fail for three seconds in each ten, and a
webhook is told. Flat means: the last tenth of the time takes at most 5 % more memory than the
second tenth, the first being for warming up, and at most a few more descriptors and threads
(connections come and go); the journal's files are at most a fifth longer.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from attrs import frozen
from stand import Running, cpu_of, http_targets, memory_of, nginx, postgres
from table import line, machine

RATE = 1000
STEADY, FLAPPING = 400, 100
"""Targets with a check each second, where alerts flap."""

EVERY = 10.0
"""Seconds between two looks."""

FEW = 5
"""Descriptors and threads that may come and go."""


@frozen
class Look:
    """Seconds since the start; megabytes; descriptors, threads; megabytes of the journal."""

    at: float
    rss: float
    pss: float
    descriptors: int
    threads: int
    journal: float

    def words(self) -> str:
        """As a line."""
        return (
            f"{self.at / 60:5.1f} min  {self.rss:6.1f} MB resident, "
            f"{self.descriptors} descriptors, {self.threads} threads, journal {self.journal:.1f} MB"
        )


def configuration(url: str, *, flapping: bool) -> str:
    """What is watched."""
    if not flapping:
        return http_targets(RATE, url, 1)
    tables = (
        f'[targets.f{n}.checks.http]\nprobe = "http"\nurl = "{url}flap?phase={n % 3}"\n'
        for n in range(FLAPPING)
    )
    return (
        http_targets(STEADY, url, 1)
        + "".join(tables)
        + '[alerts]\ncooldown = "30s"\n[rules.health_check_failed]\nfailures = 2\n'
        + f'[channels.hook]\nnotifier = "webhook"\nurl = "{url}"\n'
    )


def look(pid: int, data: Path, at: float) -> Look:
    """What the process takes up now."""
    process = psutil.Process(pid)
    journal = sum(file.stat().st_size for file in data.glob("journal.db*"))
    return Look(
        at, *memory_of(pid), process.num_fds(), process.num_threads(), journal / 1e6,
    )  # fmt: skip


def soak(
    directory: Path, dsn: str, url: str, minutes: float, *, flapping: bool
) -> tuple[list[Look], str]:
    """Watch it; the looks, and what was done meanwhile in words."""
    config = configuration(url, flapping=flapping)
    looks = []
    with Running(directory, config, {"DATABASE_URL": dsn}) as tocsin:
        assert tocsin.process is not None
        pid, start = tocsin.process.pid, time.monotonic()
        while (at := time.monotonic() - start) < minutes * 60:
            looks.append(look(pid, tocsin.data, at))
            if len(looks) % 30 == 1:
                print(looks[-1].words(), flush=True)
            time.sleep(EVERY)
        status, took = tocsin.get("/api/v1/status"), time.monotonic() - start
        said = status["scheduler"]
        rate, skipped = said["runs_total"] / took, said["skipped_total"]
        words = (
            f"{rate:,.0f} checks/s, {skipped:.0f} skipped, {cpu_of(pid) / took:.0%} of a core, "
            f"{said['runs_total']:,.0f} checks in all"
        )
        if flapping:
            changes = tocsin.output().count("change")
            words += f", {changes:,} changes of alerts"
        tocsin.stop()
        if flapping:
            began = time.monotonic()
            with Running(directory, config, {"DATABASE_URL": dsn}) as again:
                words += f", started again in {time.monotonic() - began:.1f} s"
                again.stop()
    return looks, words


def middle(looks: Sequence[Look], name: str) -> float:
    """The median of one figure."""
    return float(statistics.median(getattr(look, name) for look in looks))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--flapping", action="store_true", help="500 checks/s, alerts flapping")
    options.add_argument("--quick", action="store_true", help="two minutes")
    options.add_argument("--minutes", type=float, default=60)
    given = options.parse_args()
    minutes = 2 if given.quick else given.minutes
    print(machine())
    with tempfile.TemporaryDirectory() as place, postgres() as dsn, nginx() as url:
        looks, words = soak(Path(place), dsn, url, minutes, flapping=given.flapping)
    tenth = max(1, len(looks) // 10)
    early, late = looks[tenth : 2 * tenth], looks[-tenth:]
    begin, end = middle(early, "rss"), middle(late, "rss")
    print(f"{words}; most {max(look.rss for look in looks):.1f} MB resident")
    line(
        f"memory of the core over {minutes:g} minutes at "
        + ("500 checks/s, alerts flapping" if given.flapping else "1,000 checks/s"),
        "flat: last tenth <= 1.05 x second tenth",
        f"{begin:.1f} to {end:.1f} MB resident ({end / begin - 1:+.1%}), "
        f"{middle(late, 'pss'):.1f} MB proportional; {words}",
        holds=end <= 1.05 * begin,
    )
    for name in ("descriptors", "threads"):
        before, after = middle(early, name), middle(late, name)
        line(
            f"{name} meanwhile", f"level: at most {FEW} more",
            f"{before:.0f} to {after:.0f}", holds=after <= before + FEW,
        )  # fmt: skip
    before, after = middle(early, "journal"), middle(late, "journal")
    line(
        "the journal's files meanwhile", "level: at most a fifth more",
        f"{before:.1f} to {after:.1f} MB", holds=after <= 1.2 * before,
    )  # fmt: skip


if __name__ == "__main__":
    main()
