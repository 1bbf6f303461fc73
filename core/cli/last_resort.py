"""The end of the process, whatever threads of plugins do: they may hold it up, and not for long."""

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
"""Seconds after SIGINT or SIGTERM; an orderly stop has taken at most 20 by then."""

LEAVE = 3.0
"""Seconds that threads may go on once everything was stopped."""

_ORDER = struct.Struct("di")


class LastResort:
    """Ends the process from a thread of its own, which needs no lock and no event loop.

    A signal is seen by Python even while the event loop stands still, as long as the main thread
    executes Python code or waits for a lock.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        threading.Thread(target=self._wait, name="tocsin last resort", daemon=True).start()

    def on_signal(self, number: int, _: FrameType | None = None) -> None:
        """A handler of a signal that asks tocsin to stop."""
        self.within(STOP, 128 + number)

    def watch(self, *numbers: signal.Signals) -> None:
        """See these signals besides the event loop, which goes by the wake-up descriptor. They
        interrupt system calls, or a main thread that waits for a lock would not see them."""
        for number in numbers:
            signal.signal(number, self.on_signal)

    def within(self, seconds: float, status: int) -> None:
        """End the process after so many seconds, if it has not ended by then; the earliest of
        several orders counts."""
        os.write(self._writer, _ORDER.pack(time.monotonic() + seconds, status))

    def call_off(self) -> None:
        """Forget all orders."""
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
        os.write(2, b"tocsin: it did not end in time, since threads go on; it is ended\n")
        os._exit(status)


def leave(status: object) -> None:
    """What was to be done is done: threads that plugins left behind keep the process no longer
    than ``LEAVE``. ``status``: what ``sys.exit`` was given."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    code = status if isinstance(status, int) else int(status is not None)

    def end() -> None:
        time.sleep(LEAVE)
        os._exit(code)

    with suppress(RuntimeError):  # no thread is left for it
        threading.Thread(target=end, name="tocsin leaves", daemon=True).start()
