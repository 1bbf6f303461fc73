"""Ends the process within a bounded time, whatever the threads of plugins do."""

from __future__ import annotations

import os
import select
import signal
import struct
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

STOP = 25.0
"""Seconds after SIGINT or SIGTERM; an orderly stop takes at most 20 of them."""

LEAVE = 3.0
"""Seconds that threads may continue after everything else was stopped."""

_ORDER = struct.Struct("di")


class LastResort:
    """Ends the process from a thread of its own, which needs neither a lock nor the event loop.

    Python handles a signal even while the event loop is blocked, as long as the main thread
    executes Python code or waits for a lock.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        threading.Thread(target=self._wait, name="tocsin last resort", daemon=True).start()

    def on_signal(self, number: int, _: FrameType | None = None) -> None:
        """Start the deadline for an orderly stop. Usable as a signal handler."""
        self.within(STOP, 128 + number)

    def watch(self, *numbers: signal.Signals) -> None:
        """Handle these signals in addition to the event loop, which uses the wake-up descriptor.

        The signals interrupt system calls; otherwise a main thread that waits for a lock would not
        notice them.
        """
        for number in numbers:
            signal.signal(number, self.on_signal)

    def within(self, seconds: float, status: int) -> None:
        """End the process after a time, if it still runs then.

        With several calls the earliest deadline counts.

        Args:
            seconds: time from now.
            status: exit code.
        """
        os.write(self._writer, _ORDER.pack(time.monotonic() + seconds, status))

    def call_off(self) -> None:
        """Cancel all deadlines."""
        os.write(self._writer, _ORDER.pack(0.0, 0))

    def _wait(self) -> None:
        at, status = float("inf"), 0
        while (left := at - time.monotonic()) > 0:
            ready, _, _ = select.select([self._reader], [], [], None if at > 1e300 else left)
            if ready:
                then, code = _ORDER.unpack(os.read(self._reader, _ORDER.size))
                if not then:
                    at = float("inf")
                elif then < at:
                    at, status = then, code
        os.write(2, b"tocsin: some threads did not end in time; the process is terminated\n")
        os._exit(status)


def leave(status: object) -> None:
    """Let the process end at most :data:`LEAVE` seconds from now, even if threads still run.

    Args:
        status: what ``sys.exit`` was called with.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    code = status if isinstance(status, int) else int(status is not None)

    def end() -> None:
        time.sleep(LEAVE)
        os._exit(code)

    with suppress(RuntimeError):  # no thread can be started
        threading.Thread(target=end, name="tocsin leaves", daemon=True).start()
