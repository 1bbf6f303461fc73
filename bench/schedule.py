"""The scheduler under load: how late checks are at 1,000 a second, also while the configuration is
read again, and how 10,000 begin.

    python bench/schedule.py [--quick]

A ``tocsin run`` of its own watches a private nginx. Lateness is what its ``/api/v1/status`` says of
the last 4,096 runs, asked for as often as that; the cold start is read off nginx's access log.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from stand import Running, http_targets, nginx, postgres
from table import line, machine

RATE = 1000
WINDOW = 4.0
"""Seconds between two looks: 4,096 runs at 1,000 a second."""

MANY, INTERVAL = 10_000, 30.0


def lateness(directory: Path, dsn: str, seconds: float) -> None:
    """1,000 checks, each once a second."""
    with nginx() as url:
        config = http_targets(RATE, url, 1)
        with Running(directory, config, {"DATABASE_URL": dsn}) as tocsin:
            time.sleep(10)
            before, start = tocsin.get("/api/v1/status")["scheduler"], time.monotonic()
            p50, p99, most = [], [], []
            while time.monotonic() < start + seconds:
                time.sleep(WINDOW)
                now = tocsin.get("/api/v1/status")["scheduler"]
                p50.append(1000 * now["lateness_p50"])
                p99.append(1000 * now["lateness_p99"])
                most.append(1000 * now["lateness_max"])
            took = time.monotonic() - start
            runs = now["runs_total"] - before["runs_total"]
            skipped = now["skipped_total"] - before["skipped_total"]
            tocsin.stop()
    print(
        f"{runs / took:,.0f} checks a second for {took:.0f} s, {skipped:.0f} skipped; lateness by "
        f"window of {WINDOW:g} s: p50 {statistics.median(p50):.1f} ms, "
        f"p99 {statistics.median(p99):.1f} (worst window {max(p99):.1f}), most {max(most):.1f}"
    )
    line(
        "lateness of a check at 1,000 checks/s",
        "p99 <= 20 ms",
        f"p99 {statistics.median(p99):.1f} ms, in the worst {WINDOW:g} s {max(p99):.1f} ms; "
        f"{runs / took:,.0f}/s, {skipped:.0f} skipped",
        holds=max(p99) <= 20,
    )


def reloading(directory: Path, dsn: str, times: int) -> None:
    """1,000 checks, each once a second, and 1,000 that hardly run, while 2,000 targets are read
    again and again: half of the slow ones get another interval each time."""
    with nginx() as url:
        quick = http_targets(RATE, url, 1)

        def config(round_: int) -> str:
            return quick + "".join(
                f'[targets.s{n}.checks.http]\nprobe = "http"\nurl = "{url}?s{n}"\n'
                f'interval = "{3000 + round_ * (n % 2)}s"\n'
                for n in range(RATE)
            )

        with Running(directory, config(0), {"DATABASE_URL": dsn}) as tocsin:
            time.sleep(10)
            before, p99, most, took = tocsin.get("/api/v1/status")["scheduler"], [], [], []
            for number in range(1, times + 1):
                (directory / "tocsin.toml").write_text(config(number))
                begun = time.monotonic()
                status, answer = tocsin.ask("/api/v1/reload", "POST")
                took.append(time.monotonic() - begun)
                if status != 200:
                    sys.exit(f"the reload was answered with {status}: {answer}")
                time.sleep(max(0.0, WINDOW - took[-1]))
                now = tocsin.get("/api/v1/status")["scheduler"]
                p99.append(1000 * now["lateness_p99"])
                most.append(1000 * now["lateness_max"])
            skipped = now["skipped_total"] - before["skipped_total"]
            tocsin.stop()
    line(
        "lateness of a check at 1,000 checks/s while 2,000 targets are reloaded",
        "p99 <= 20 ms",
        f"p99 {statistics.median(p99):.1f} ms, in the worst {WINDOW:g} s {max(p99):.1f} ms, most "
        f"{max(most):.1f} ms; {skipped:.0f} skipped; a reload took {statistics.median(took):.2f} s",
        holds=max(p99) <= 20,
    )


def cold_start(directory: Path, dsn: str) -> None:
    """10,000 checks, each once in 30 seconds."""
    log = directory / "access.log"
    with nginx(log) as url:
        config = http_targets(MANY, url, INTERVAL)
        with Running(directory, config, {"DATABASE_URL": dsn}) as tocsin:
            watching = time.time()
            time.sleep(INTERVAL + 5)
            tocsin.stop()
    requests = [(float(at), number) for at, number in map(str.split, log.read_text().splitlines())]
    start = min(watching, requests[0][0])
    first: dict[str, float] = {}
    for at, number in requests:
        first.setdefault(number, at - start)
    covered = max(first.values()) if len(first) == MANY else float("inf")
    seconds = Counter(int(at - start) for at, _ in requests if at < start + INTERVAL)
    mean = MANY / INTERVAL
    peak = max(seconds.values()) / mean
    print(f"cold start: {len(first):,} of {MANY:,} checks ran, the last one after {covered:.1f} s")
    line(
        f"cold start with {MANY:,} checks each {INTERVAL:g} s",
        "all within one interval, peak <= 1.5 x mean",
        f"all within {covered:.1f} s, busiest second {peak:.2f} x mean ({mean:.0f}/s)",
        holds=covered <= INTERVAL and peak <= 1.5,
    )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="20 seconds of load only")
    given = options.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as place, postgres() as dsn:
        for name in ("late", "reload", "cold"):
            (Path(place) / name).mkdir()
        lateness(Path(place) / "late", dsn, 20 if given.quick else 60)
        reloading(Path(place) / "reload", dsn, 4 if given.quick else 10)
        cold_start(Path(place) / "cold", dsn)


if __name__ == "__main__":
    main()
