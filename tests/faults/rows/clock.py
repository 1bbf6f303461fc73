"""Clocks are wrong, or change: deadlines go by the monotonic one, and history stays."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.faults.fault import FAKETIME, Fault
from tests.faults.needs import LIBRARY
from tests.faults.world import World

AHEAD = 40 * 86400
"""Seconds; history is kept for thirty days."""


def clock_of(stamp: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is off by the seconds in a file."""
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_clock(stamp: Path, seconds: float) -> None:
    """From now on such a clock is off by so much."""
    partial = stamp.with_suffix(".partial")
    partial.write_text(f"{seconds:+.0f}")
    partial.replace(stamp)


class ClockAhead(Fault):
    """tocsin goes on, or is started, with the wall clock 40 days ahead, the database's as well;
    later it is right again."""

    name = "clock-ahead"
    needs = frozenset({FAKETIME})

    # PostgreSQL's clock is that of this machine. To everybody else it is 40 days ahead.

    def env(self, world: World, who: str) -> Mapping[str, str]:
        stamp = world.directory / f"{who}.clock"
        if not stamp.exists():
            set_clock(stamp, -AHEAD)
        return clock_of(stamp)

    def prepare(self, world: World, stack: ExitStack) -> None:
        self._starts = world.script.seed % 2 == 0

    def inject(self, world: World) -> None:
        self._set(world, 0)

    def heal(self, world: World) -> None:
        self._set(world, -AHEAD)

    def _set(self, world: World, seconds: float) -> None:
        if self._starts:
            world.running.reach()  # until then a signal ends it at once
            world.stop()
        set_clock(world.directory / "tocsin.clock", seconds)
        if self._starts:
            world.restart()
