"""How long the dashboard's overview takes to open: 13 targets and 1,000, in a real Chromium; and
for the last of fifty readers who look at it at once.

    python bench/dashboard.py [--rounds 10] [--readers 50] [--quick]

Needs Chromium (Debian: chromium) and the extras ``dashboard`` and ``dev``. Each round is a new
reader with an empty cache, on loopback, from asking for the address until every card that is to be
seen is there and the script rests. Prints median and longest; asserts nothing, for machines differ.
Of the many readers each stays; the dashboard has the first core for itself, the browser the last.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from datetime import time as clock
from pathlib import Path

import psutil
from playwright.sync_api import Browser, sync_playwright
from table import line

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.dashboard.browser import launch, settled, visit  # noqa: E402
from tests.dashboard.test_browser import Served  # noqa: E402
from tests.dashboard.test_pages import up  # noqa: E402
from tests.dashboard.town import Town  # noqa: E402

from tocsin.core.embedded import EmbeddedPostgres  # noqa: E402

BOUND = 2.0
CROWDED = 10.0
SHOWN = 60
"""Cards on one page."""


def opening(browser: Browser, url: str, cards: int) -> float:
    """Seconds until the overview is there for a new reader."""
    with visit(browser) as (page, _):
        began = time.perf_counter()
        page.goto(url)
        page.wait_for_function(
            "n => document.querySelectorAll('[class*=\"st-key-tone-\"]').length >= n", arg=cards
        )
        settled(page)
        return time.perf_counter() - began


def measure(browser: Browser, dsn: str, targets: int, rounds: int) -> list[float]:
    """The rounds of one size, after one to warm up."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    town = Town(directory, dsn)
    town.start()
    try:
        if targets == 13:
            town.trade_system()
        else:
            for n in range(targets):
                up(f"svc-{n:04}", town)
        served = Served(town, directory)
        town.reach(served.port)
        cards = min(targets, SHOWN)
        times = [opening(browser, served.url, cards) for _ in range(rounds + 1)][1:]
        served.stop()
        return times
    finally:
        town.stop()
        shutil.rmtree(directory, ignore_errors=True)


def crowd(browser: Browser, dsn: str, readers: int) -> tuple[list[float], list[float], float]:
    """So many readers come one after another and stay. Seconds until each saw its cards; seconds
    since each page was drawn, looked at for a minute; cores that the dashboard took then."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    town = Town(directory, dsn)
    town.start()
    try:
        town.trade_system()
        served = Served(town, directory)
        town.reach(served.port)
        child = next(
            p for p in psutil.Process().children(recursive=True)
            if "tocsin.dashboard.serve" in p.cmdline()
        )  # fmt: skip
        cores = sorted(os.sched_getaffinity(0))
        for process in psutil.Process().children(recursive=True):
            process.cpu_affinity([cores[0] if process == child else cores[-1]])
        pages, opened, ages = [], [], []
        for _ in range(readers):
            page = browser.new_context().new_page()
            page.set_default_timeout(120_000)
            began = time.perf_counter()
            page.goto(served.url)
            page.wait_for_function(
                "document.querySelectorAll('[class*=\"st-key-tone-\"]').length >= 13"
            )
            opened.append(time.perf_counter() - began)
            pages.append(page)
        before, begin = sum(child.cpu_times()[:2]), time.monotonic()
        while time.monotonic() < begin + 60:
            for page in pages:
                words = page.get_by_text("Updated ").first.inner_text().split()[-1]
                drawn = datetime.combine(datetime.now(UTC).date(), clock.fromisoformat(words), UTC)
                ages.append((datetime.now(UTC) - drawn).total_seconds())
        busy = (sum(child.cpu_times()[:2]) - before) / (time.monotonic() - begin)
        served.stop()
        return opened, ages, busy
    finally:
        town.stop()
        shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=10)
    options.add_argument("--readers", type=int, default=50)
    options.add_argument("--quick", action="store_true")
    given = options.parse_args()
    rounds = 3 if given.quick else given.rounds
    directory = tempfile.mkdtemp(prefix="tocsin-bench-")
    server = EmbeddedPostgres()
    dsn = asyncio.run(server.start(Path(directory) / "pg"))
    try:
        with sync_playwright() as playwright:
            browser = launch(playwright)
            for targets, bound in ((13, f"{BOUND:g} s"), (1000, "usable")):
                times = measure(browser, dsn, targets, rounds)
                figure = f"median {statistics.median(times):.2f} s, longest {max(times):.2f} s"
                holds = statistics.median(times) <= BOUND if targets == 13 else None
                line(f"overview of {targets:,} targets is there", bound, figure, holds=holds)
            readers = 14 if given.quick else given.readers
            opened, ages, busy = crowd(browser, dsn, readers)
            line(
                f"{readers} readers at once, the dashboard on one core", "each sees all cards",
                f"the last one after {opened[-1]:.1f} s (longest {max(opened):.1f} s); pages "
                f"{statistics.median(ages):.0f} s old in the median, {max(ages):.0f} s at most; "
                f"{busy:.0%} of a core",
                holds=max(opened) <= CROWDED,
            )  # fmt: skip
            browser.close()
    finally:
        asyncio.run(server.stop())
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
