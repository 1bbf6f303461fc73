"""Clocks are wrong, or change: deadlines go by the monotonic one, and history stays."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

from tests.faults.fault import FAKETIME, Fault, Step
from tests.faults.needs import LIBRARY
from tests.faults.peers import HarnessError
from tests.faults.world import World
from tests.running import Running

AHEAD = 40 * 86400
"""Seconds; history is kept for thirty days."""

ZONE = "Europe/Berlin"
CHANGES = (datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2027, 3, 28, 1, tzinfo=UTC))
"""When summer time ends and begins there."""


_MAIN = """
import time
from datetime import UTC, datetime
from pathlib import Path
from tocsin.core.clock import SystemClock
real, stamp = time.time, Path({stamp!r})
time.time = lambda: real() + float(stamp.read_text())
SystemClock.now = lambda self: datetime.fromtimestamp(time.time(), UTC)
"""


class _Clocks(Fault):
    """tocsin's wall clock, and that of its receivers, can be set.

    libfaketime, which does so for receivers, slows tocsin with its many threads down too much.
    """

    needs = frozenset({FAKETIME})

    def env(self, world: World, who: str) -> Mapping[str, str]:
        stamp = world.directory / f"{who}.clock"
        if not stamp.exists():
            set_clock(stamp, self.off(world))
        if who != "tocsin":
            return clock_of(stamp)
        world.main = _MAIN.format(stamp=str(stamp)) + Running.main
        return {}

    def off(self, world: World) -> float:
        """Seconds by which all of them are off at first."""
        raise NotImplementedError


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


class ClockAhead(_Clocks):
    """The wall clock is set 40 days ahead, also that of the database, while tocsin runs or before
    it is started; later it is set right again."""

    name = "clock-ahead"

    # PostgreSQL's clock is that of this machine. To everybody else it is 40 days ahead.

    def off(self, world: World) -> float:
        return -AHEAD

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


class ClockChange(_Clocks):
    """Summer time begins or ends during the run, while a maintenance window and a silence are
    active and the dead man's switch pings."""

    name = "clock-change"

    def off(self, world: World) -> float:
        self._at = CHANGES[world.script.seed % 2].timestamp()
        return self._at - 200 - time.time()

    def env(self, world: World, who: str) -> Mapping[str, str]:
        return {**super().env(world, who), "TZ": ZONE}

    def prepare(self, world: World, stack: ExitStack) -> None:
        self._silenced = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._port = self._silenced.getsockname()[1]
        self._pings = _Pings()
        stack.callback(self._pings.shutdown)

    def config(self, world: World) -> str:
        port = self._pings.server_address[1]
        return (
            super().config(world)
            + f'[deadman]\nurl = "http://127.0.0.1:{port}/"\ninterval = "1s"\n'
            '[maintenance.night]\nschedule = "30 0 * * *"\nduration = "4h"\n'
            f'timezone = "{ZONE}"\nmatch = ["target=asleep"]\n'
            '[targets.asleep.checks.tcp]\nprobe = "tcp"\nhost = "127.0.0.1"\nport = 1\n'
            '[targets.silenced.checks.tcp]\nprobe = "tcp"\nhost = "127.0.0.1"\n'
            f"port = {self._port}\n"
        )

    def steps(self, world: World) -> list[Step]:
        return [(0.0, lambda: self._begin(world)), *super().steps(world)]

    def _begin(self, world: World) -> None:
        """The change comes while the fault is there."""
        ahead = (world.script.begins + world.script.ends) / 2
        for who in ("tocsin", *world.receivers):
            set_clock(world.directory / f"{who}.clock", self._at - ahead - time.time())
        world.running.reach()
        said = {"matchers": ["target=silenced"], "duration": "2h", "comment": "planned"}
        status, answer = world.running.ask("/api/v1/silences", "POST", said)
        if status >= 300:
            raise HarnessError(f"no silence could be made: {answer}")

    def inject(self, world: World) -> None:
        self._silenced.close()

    def heal(self, world: World) -> None:
        """Nothing is to be healed."""

    def stopped(self, world: World) -> None:
        longest = max((b - a for a, b in pairwise(self._pings.at)), default=float("inf"))
        if longest > 10:
            world.deaths.append(f"the dead man's switch did not ping for {longest:.0f} s")


class _Pings(ThreadingHTTPServer):
    """Remembers when it was asked."""

    def __init__(self) -> None:
        self.at: list[float] = []
        super().__init__(("127.0.0.1", 0), _Ping)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Ping(BaseHTTPRequestHandler):
    server: _Pings

    def do_GET(self) -> None:
        """Answer a ping."""
        self.server.at.append(time.monotonic())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
