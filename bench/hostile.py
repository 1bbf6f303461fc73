"""What misbehaving plugins of strangers do to 200 good checks, their alerts and the API.

    python bench/hostile.py [--quick] [--seconds 300] [--alone] [--lanes 1] [--list] [NAME ...]

Each plugin of ``bench/hostile_plugins`` is a distribution of its own in a temporary folder. With
``--alone`` each is run by itself beside the good checks. Without it, those that may take down the
process are run alone first (a few at a time); all that did not are then run at once for
``--seconds``. Lateness is what ``/api/v1/status`` says, so it counts the checks of the misbehaving
probes too; the good target is down for half of each cycle, and each time its alert has to arrive at
a webhook. Nothing is asserted: the table says what is so today.

Everything listens on loopback. The bench adopts every orphan among its descendants, and kills what
is left, each by its pid, also when it is interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import asyncpg
from hostile_plugins import PLUGINS, Hostile
from hostile_run import END, Interrupted, Outcome, observe, stopping
from hostile_stand import adopt_orphans, first_line, heed_signals, sweep
from rich.console import Console
from rich.table import Table
from stand import nginx, postgres
from table import line, machine

ALONE, ALONE_QUICK = 8.0, 5.0
"""Seconds for each plugin that runs alone."""

AT_ONCE, AT_ONCE_QUICK = 300.0, 15.0

CYCLE, CYCLE_SHORT = 20.0, 4.0
"""Seconds in which the good target goes down and up; the short one where time is short."""

FIRST_LANES = 4
"""Plugins that run side by side in the first pass, where only what dies counts."""

MEMORY, MEMORY_EACH = 1000.0, 10.0
"""Megabytes of the whole tree: half a gigabyte for the core, as much for what plugins take until
they are ended, and the process of each plugin."""

LINES = 200
"""Lines of log a minute."""

Run = Callable[[Sequence[Hostile], float, float], Outcome]


class Bench:
    """Runs plugins beside good checks that ask ``good``, each time with a database of its own."""

    def __init__(self, good: str, dsn: str) -> None:
        self.good, self.dsn = good, dsn
        self._numbers = itertools.count()
        self._creating = threading.Lock()

    def run(self, plugins: Sequence[Hostile], seconds: float, cycle: float) -> Outcome:
        """Run some at once."""
        name = f"hostile_{next(self._numbers)}"
        with self._creating:
            asyncio.run(self._execute(f"CREATE DATABASE {name}"))
        try:
            dsn = self.dsn.replace("/postgres?", f"/{name}?")
            return observe(plugins, seconds, cycle, self.good, dsn)
        finally:
            with self._creating:
                asyncio.run(self._execute(f"DROP DATABASE {name} WITH (FORCE)"))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def alone(
        self, plugins: Sequence[Hostile], seconds: float, lanes: int, *, quick: bool = False
    ) -> list[Outcome]:
        """Run each by itself, so many side by side; in the order in which they are given. Some need
        longer, unless it is quick."""

        def long(one: Hostile) -> float:
            return seconds if quick else max(seconds, one.needs)

        found: dict[str, Outcome] = {}
        with ThreadPoolExecutor(lanes) as pool:
            jobs = {pool.submit(self.run, [one], long(one), CYCLE_SHORT): one for one in plugins}
            try:
                for job in as_completed(jobs):
                    one = jobs[job]
                    try:
                        found[one.name] = job.result()
                    except Interrupted:
                        raise
                    except Exception:  # noqa: BLE001 - the others are still to be run
                        print(f"{one.name}: the bench itself failed\n{traceback.format_exc()}")
                        continue
                    print(brief(found[one.name]), flush=True)
            except BaseException:
                stopping.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return [found[one.name] for one in plugins if one.name in found]


def milliseconds(seconds: float | None) -> str:
    """For people; "-" where nothing was measured."""
    return "-" if seconds is None else f"{1000 * seconds:,.0f}"


def memory_bound(outcome: Outcome) -> float:
    """The megabytes that a run may take."""
    return MEMORY + MEMORY_EACH * len(outcome.plugins)


def answered(outcome: Outcome) -> bool:
    """Whether /health and /metrics were asked, and answered in time throughout."""
    return bool(outcome.asked) and not any(outcome.refused.values())


def told(outcome: Outcome) -> bool:
    """Whether each alert of the good target came within half a cycle."""
    return bool(outcome.arrivals) and None not in outcome.arrivals


def ended(outcome: Outcome) -> bool:
    """Whether it ended in time, at the signal, and left no process behind."""
    return outcome.exit_time is not None and not outcome.left


def unnamed(outcome: Outcome) -> list[str]:
    """The plugins that were not named although they ask for it."""
    return [one.name for one in outcome.plugins if outcome.named(one) is False]


def cells(outcome: Outcome) -> list[str]:
    """A row of the table."""
    came = sum(1 for late in outcome.arrivals if late is not None)
    asked, refused = sum(outcome.asked.values()), sum(outcome.refused.values())
    names = {True: "named", False: "NOT named", None: ""}
    return [
        outcome.plugins[0].name if len(outcome.plugins) == 1 else f"{len(outcome.plugins)} at once",
        milliseconds(outcome.p99), milliseconds(outcome.worst),
        f"{outcome.memory:,.0f}/{outcome.memory_last:,.0f}", f"{outcome.lines:,.0f}",
        f"{asked - refused}/{asked}", f"{came}/{len(outcome.arrivals)}",
        names[outcome.named(outcome.plugins[0])] if len(outcome.plugins) == 1
        else f"{len(unnamed(outcome))} not named",
        "killed" if outcome.exit_time is None and not outcome.death
        else "-" if outcome.exit_time is None else f"{outcome.exit_time:.1f}",
        str(len(outcome.left) or ""), outcome.down(),
    ]  # fmt: skip


def brief(outcome: Outcome) -> str:
    """One plugin's row as text, and the first thing that was said of it."""
    name, p99, worst, memory, lines, asked, came, named, end, left, down = cells(outcome)
    said = first_line(outcome.reasons.get(name, [outcome.log_end])[0])
    return (
        f"{name:17s} late {p99:>6s}/{worst:>6s} ms  {memory:>9s} MB  {lines:>9s} lines/min  "
        f"answers {asked:>5s}  alerts {came}  ends {end}{' left ' + left if left else ''}  "
        f"{named}{'  DOWN: ' + down if down else ''}{'  «' + said + '»' if said else ''}"
    )


def show(outcomes: Sequence[Outcome], title: str) -> None:
    """Print the table."""
    heads = ("plugin", "p99 ms", "worst ms", "MB max/last", "lines/min", "answers", "alerts",
             "named", "ends s", "left", "takes down")  # fmt: skip
    table = Table(*heads, title=title)
    for outcome in outcomes:
        table.add_row(*cells(outcome))
    Console(width=150).print(table)


def figures_alone(outcomes: Sequence[Outcome]) -> None:
    """One row for each bound: with how many plugins, each alone, it holds."""
    total = len(outcomes)

    def row(what: str, bound: str, misses: list[str]) -> None:
        print(f"{what}, {bound}: not with {', '.join(misses) or 'none'}")
        line(f"a misbehaving plugin alone: {what}", bound,
             f"{total - len(misses)} of {total} plugins", holds=not misses)  # fmt: skip

    def missing(holds: Callable[[Outcome], bool]) -> list[str]:
        return [one.plugins[0].name for one in outcomes if not holds(one)]

    row("the process goes on", "all", missing(lambda o: not o.down()))
    row("lateness of checks", "p99 < 1 s", missing(lambda o: o.p99 is not None and o.p99 < 1))
    row("memory", f"<= {MEMORY + MEMORY_EACH:,.0f} MB",
        missing(lambda o: o.memory <= memory_bound(o)))  # fmt: skip
    row("/health and /metrics", "answer in 2 s", missing(answered))
    row("alerts of a good target", "all arrive", missing(told))
    row("it is named", "all", missing(lambda o: not unnamed(o)))
    row("log", f"< {LINES} lines/min", missing(lambda o: bool(o.asked) and o.lines < LINES))
    row("end", f"in {END:g} s, nothing left", missing(ended))


def figures_at_once(outcome: Outcome, seconds: float) -> None:
    """One row for each bound, with all at once."""
    beside = f"{len(outcome.plugins)} misbehaving plugins at once for {seconds:g} s: "
    late = [at for at in outcome.arrivals if at is not None]
    slowest = milliseconds(max(late, default=None))
    names = unnamed(outcome)
    due = sum(1 for one in outcome.plugins if one.named)
    print(f"not named: {', '.join(names) or 'none'}")
    for name, refused in outcome.refused.items():
        print(f"{name}: {refused} of {outcome.asked[name]} not answered in 2 s")
    line(beside + "lateness of checks", "p99 < 1 s",
         f"p99 {milliseconds(outcome.p99)}, worst {milliseconds(outcome.worst)} ms",
         holds=outcome.p99 is not None and outcome.p99 < 1)  # fmt: skip
    most = memory_bound(outcome)
    line(beside + "memory", f"<= {most:,.0f} MB",
         f"max {outcome.memory:,.0f}, last {outcome.memory_last:,.0f} MB; of the core "
         f"{outcome.memory_core:,.0f} MB", holds=outcome.memory <= most)  # fmt: skip
    line(beside + "/health and /metrics", "answer in 2 s",
         f"{sum(outcome.refused.values())} of {sum(outcome.asked.values())} not"
         + (f"; {outcome.down()}" if outcome.down() else ""), holds=answered(outcome))  # fmt: skip
    line(beside + "alerts of a good target", "all arrive",
         f"{len(late)} of {len(outcome.arrivals)}, slowest {slowest} ms",
         holds=told(outcome))  # fmt: skip
    line(beside + "plugins named", "all", f"{due - len(names)} of {due}", holds=not names)
    line(beside + "log", f"< {LINES} lines/min", f"{outcome.lines:,.0f}",
         holds=bool(outcome.asked) and outcome.lines < LINES)  # fmt: skip
    line(beside + "end", f"in {END:g} s, nothing left",
         ("killed" if outcome.exit_time is None else f"{outcome.exit_time:.1f} s")
         + f", {len(outcome.left)} left", holds=ended(outcome))  # fmt: skip


def measure(given: argparse.Namespace, bench: Bench) -> None:
    """Run what was asked for, and print."""
    chosen = [PLUGINS[name] for name in given.names] or list(PLUGINS.values())
    alone = ALONE_QUICK if given.quick else ALONE
    lanes = given.lanes or (3 if given.quick else 1)
    if given.alone:
        outcomes = bench.alone(chosen, alone, lanes, quick=given.quick)
        show(outcomes, f"each alone for {alone:g} s, {lanes} side by side")
        figures_alone(outcomes)
        return
    first = bench.alone(
        [one for one in chosen if one.deadly], alone, FIRST_LANES, quick=given.quick
    )
    fatal = {outcome.plugins[0].name: outcome.down() for outcome in first if outcome.down()}
    rest = [one for one in chosen if one.name not in fatal]
    seconds = given.seconds or (AT_ONCE_QUICK if given.quick else AT_ONCE)
    print(f"{len(fatal)} take the whole process down; {len(rest)} run at once", flush=True)
    outcome = bench.run(rest, seconds, CYCLE_SHORT if seconds < 3 * CYCLE else CYCLE)
    show([outcome], f"all at once for {seconds:g} s")
    line("misbehaving plugins that take the whole process down", "none",
         f"{len(fatal)} of {len(chosen)}", holds=not fatal)  # fmt: skip
    figures_at_once(outcome, seconds)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("names", nargs="*", choices=[*PLUGINS, []], metavar="NAME")
    options.add_argument("--quick", action="store_true", help="5 s alone, 15 s at once")
    options.add_argument("--seconds", type=float, help="all at once for so long (300)")
    options.add_argument("--alone", action="store_true", help="each by itself, for 8 s")
    options.add_argument("--lanes", type=int, help="so many side by side with --alone (1)")
    options.add_argument("--list", action="store_true", help="print the plugins, and end")
    given = options.parse_args()
    if given.list:
        for one in PLUGINS.values():
            print(f"{one.name:17s} {'!' if one.deadly else ' '} {one.does}"
                  f"{'  [named: ' + one.named + ']' if one.named else ''}")  # fmt: skip
        return
    adopt_orphans()
    heed_signals()
    print(machine())
    try:
        with postgres() as dsn, nginx() as url:
            measure(given, Bench(url, dsn))
    except (KeyboardInterrupt, Interrupted):
        sys.exit("interrupted")
    finally:
        sweep()


if __name__ == "__main__":
    main()
