"""What plugin hosts write to their standard output and error: lines of the log, within limits."""

from __future__ import annotations

import os
import threading
import time

from attrs import define, field

from tocsin.core.logs import PLUGINS, get_logger

BURST, RATE = 20.0, 1 / 6
"""Lines of one host that are logged at once, and per second afterwards; further ones are
dropped."""

BURST_OF_ALL, RATE_OF_ALL = 60.0, 0.2
"""The same for all hosts together."""

READ = 64 * 1024
"""Bytes that are read at once."""

LONGEST = 500
"""Most characters of a line that are logged."""

PAUSE = 0.05
"""Seconds between two reads while a host writes more than is logged; meanwhile it waits."""


@define(eq=False)
class Credit:
    """Lines that may be logged. May be used from any thread."""

    burst: float
    rate: float
    _left: float = field(init=False)
    _at: float = field(init=False, factory=time.monotonic)
    _lock: threading.Lock = field(init=False, factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        self._left = self.burst

    def take(self) -> bool:
        """Take one; return False if there is none."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self.burst, self._left + (now - self._at) * self.rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


@define(eq=False)
class Output:
    """Logs what hosts write."""

    _credit: Credit = field(init=False, factory=lambda: Credit(BURST_OF_ALL, RATE_OF_ALL))

    def follow(self, output: int, distribution: str, credit: Credit) -> None:
        """Log what a host writes, until it ends.

        Args:
            output: file descriptor of the reading end of a pipe; it is closed at the end.
            distribution: name of the host's distribution.
            credit: of the host; it outlives a process.
        """
        threading.Thread(
            target=self._follow,
            args=(output, distribution, credit),
            name=f"output {distribution}",
            daemon=True,
        ).start()

    def _follow(self, output: int, distribution: str, credit: Credit) -> None:
        log = get_logger(f"{PLUGINS}{distribution}")
        dropped, rest = 0, b""
        with os.fdopen(output, "rb", buffering=0) as pipe:
            while data := pipe.read(READ):
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[-READ:]
                before = dropped
                for line in lines:
                    text = line.decode(errors="replace").strip()[:LONGEST]
                    if not text:
                        continue
                    if not (credit.take() and self._credit.take()):
                        dropped += 1
                        continue
                    log.info("a plugin has written", distribution=distribution, text=text,
                             dropped_before=dropped)  # fmt: skip
                    before = dropped = 0
                if dropped > before:
                    time.sleep(PAUSE)
