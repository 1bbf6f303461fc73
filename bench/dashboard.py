"""How long the dashboard's overview takes to open: 13 targets and 1,000, in a real Chromium; and
for the last of fifty readers who look at it at once.

    python bench/dashboard.py [--rounds 10] [--readers 50] [--quick]

Needs Chromium (Debian: chromium) and the extras ``dashboard`` and ``dev``. Each round is a new
reader with an empty cache, on loopback, from asking for the address until every card that is to be
seen is there and the script rests. Prints median and longest; asserts nothing, for machines differ.
Of the many readers each stays, and the last alone has a browser: the others (``bench/reader.py``)
speak its protocol, since so many browsers would wait for themselves. The dashboard has the first
core for itself, all else the last. Chromium gives a page up where the machine's networks change:
no containers may come and go meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from attrs import frozen
from playwright.sync_api import Browser, sync_playwright
from table import line

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.dashboard.browser import launch, settled, visit  # noqa: E402
from tests.dashboard.test_browser import Served  # noqa: E402
from tests.dashboard.test_pages import up  # noqa: E402
from tests.dashboard.town import Town  # noqa: E402

from tocsin.plugins.history.embedded import EmbeddedPostgres  # noqa: E402

BOUND = 2.0
CROWDED = 10.0
OLD = 3.0
"""So many times the longest wait between two looks a page may be old among many readers."""

WATCHED = 60.0
"""Seconds for which many readers are watched."""

SHOWN = 60
"""Cards on one page."""

COUNT = "document.querySelectorAll('[class*=\"st-key-tone-\"]').length"


def opening(browser: Browser, url: str, cards: int) -> float:
    """Seconds until the overview is there for a new reader."""
    with visit(browser) as (page, _):
        began = time.perf_counter()
        page.goto(url)
        page.wait_for_function(f"n => {COUNT} >= n", arg=cards)
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


@frozen(kw_only=True)
class Crowd:
    """How many readers fare. ``last``: seconds until the browser, which came last, showed its
    cards; ``first``: until each other reader had theirs. The rest is of the while in which all were
    watched: ages of the pages; looks of each reader; seconds they were told to wait at its end;
    looks of the others that overlapped, or were without all cards; shares of a core that the
    dashboard took, and the process of the readers; how late that was itself."""

    last: float
    first: list[float]
    ages: list[float]
    looks: list[int]
    waits: list[float]
    overlaps: int
    impatient: int
    short: int
    busy: float
    readers_busy: float
    readers_late: float

    @property
    def holds(self) -> bool:
        """Whether it is as it should be."""
        return (
            max(self.last, *self.first) <= CROWDED
            and max(self.ages) <= OLD * max(self.waits)
            and not self.overlaps + self.impatient + self.short
        )


def pin(process: psutil.Process, cores: Iterable[int]) -> None:
    """Have a process, with all of its threads, on these cores."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for thread in process.threads():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, cores)


def files_of(browser: Browser, url: str, cards: int) -> list[str]:
    """What a browser with an empty cache asks for, but for what Streamlit answers itself."""
    paths: dict[str, None] = {}
    with contextlib.closing(browser.new_context()) as context:
        page = context.new_page()
        page.on("request", lambda r: paths.setdefault(urlsplit(r.url).path)
                if r.url.startswith(url + "/") else None)  # fmt: skip
        page.goto(url)
        page.wait_for_function(f"n => {COUNT} >= n", arg=cards)
        settled(page)
    return [path for path in paths if path != "/" and not path.startswith("/_stcore/")]


@contextlib.contextmanager
def others(url: str, readers: int, cards: int) -> Iterator[subprocess.Popen[str]]:
    """The readers without a browser."""
    command = [sys.executable, str(Path(__file__).with_name("reader.py")), url,
               "--readers", str(readers), "--cards", str(cards)]  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def tell(process: subprocess.Popen[str], what: str) -> None:
    """Give the readers a line."""
    assert process.stdin is not None
    process.stdin.write(what + "\n")
    process.stdin.flush()


def told(process: subprocess.Popen[str]) -> Any:
    """What the readers tell next."""
    assert process.stdout is not None
    if not (answer := process.stdout.readline()):
        raise RuntimeError("the readers are gone; what they said is above")
    return json.loads(answer)


def crowd(browser: Browser, dsn: str, readers: int, seconds: float) -> Crowd:
    """So many readers come one after another, stay, and are watched for a while."""
    directory = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    here, cores = psutil.Process(), sorted(os.sched_getaffinity(0))
    town = Town(directory, dsn)
    town.start()
    try:
        town.trade_system()
        cards = len(town.stack.state.targets)
        served = Served(town, directory)
        town.reach(served.port)
        child = next(
            p for p in here.children(recursive=True) if "tocsin.dashboard.serve" in p.cmdline()
        )
        for process in (here, *here.children(recursive=True)):
            pin(process, cores[:1] if process == child else cores[-1:])
        files = files_of(browser, served.url, cards)
        with (
            others(served.url, readers - 1, cards) as rest,
            contextlib.closing(browser.new_context()) as context,
        ):
            tell(rest, json.dumps(files))
            first = told(rest)
            page = context.new_page()
            page.set_default_timeout(120_000)
            began = time.perf_counter()
            page.goto(served.url)
            page.wait_for_function(f"n => {COUNT} >= n", arg=cards)
            last = time.perf_counter() - began
            page.wait_for_function("window.tocsinDrawn > 0")
            tell(rest, str(seconds))
            before, begin = sum(child.cpu_times()[:2]), time.monotonic()
            ages, drawn = [], set()
            while time.monotonic() < begin + seconds:
                now, at = page.evaluate("[Date.now(), window.tocsinDrawn]")
                ages.append((now - at) / 1000)
                drawn.add(at)
                page.wait_for_timeout(250)
            busy = (sum(child.cpu_times()[:2]) - before) / (time.monotonic() - begin)
            seen = told(rest)
        served.stop()
        counts = seen["counts"]
        return Crowd(
            last=last, first=first, ages=seen["ages"] + ages, waits=seen["waits"],
            looks=[each["looks"] for each in counts] + [len(drawn) - 1],
            overlaps=sum(each["overlaps"] for each in counts),
            impatient=sum(each["impatient"] + each["loads"] for each in counts),
            short=sum(each["short"] for each in counts),
            busy=busy, readers_busy=seen["busy"], readers_late=seen["late"],
        )  # fmt: skip
    finally:
        pin(here, cores)
        town.stop()
        shutil.rmtree(directory, ignore_errors=True)


def figure_of(seen: Crowd, seconds: float) -> str:
    """What there is to say of many readers."""
    looks = seen.looks
    return (
        f"the last one, a browser, after {seen.last:.1f} s, the others after "
        f"{statistics.median(seen.first):.1f} s in the median, {max(seen.first):.1f} s at most; "
        f"pages {statistics.median(seen.ages):.1f} s old in the median, {max(seen.ages):.1f} s at "
        f"most, waits of {statistics.median(seen.waits):.1f} s; {sum(looks)} looks in {seconds:g} "
        f"s, {min(looks)} to {max(looks)} a reader, {seen.overlaps} overlapped, {seen.impatient} "
        f"asked for too early, {seen.short} without all cards; {seen.busy:.0%} of a core"
    )


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
            seconds = WATCHED / 3 if given.quick else WATCHED
            seen = crowd(browser, dsn, readers, seconds)
            print(
                f"the readers themselves took {seen.readers_busy:.0%} of the other core, and were "
                f"late by {seen.readers_late:.2f} s at most", flush=True,
            )  # fmt: skip
            line(
                f"{readers} readers at once, the dashboard on one core",
                f"all cards in {CROWDED:g} s, none older than {OLD:g} waits",
                figure_of(seen, seconds), holds=seen.holds,
            )  # fmt: skip
            browser.close()
    finally:
        asyncio.run(server.stop())
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
