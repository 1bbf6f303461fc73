"""A limited number of threads that look up host names by the system's resolver (``getaddrinfo``,
which obeys ``nsswitch.conf``)."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from concurrent.futures import Future

from attrs import Factory, define, field

from tocsin.core.resolver.local_names import Address

SLOW_AFTER = 2.0
"""Seconds after which a lookup counts as slow. Names that were slow the last time may use half of
the threads, so that others are still looked up."""

STUCK_AFTER = 60.0
"""Seconds after which a second lookup is started in place of one that does not end."""


@define(eq=False)
class Lookup:
    """A lookup in progress, or waiting for a thread. ``waiting``: number of those that want it."""

    host: str
    family: int
    outcome: Future[list[Address]] = Factory(Future)
    waiting: int = 1
    began: float | None = None
    slow: bool = False

    @property
    def has_begun(self) -> bool:
        """Return whether a thread has begun it."""
        return self.began is not None


@define(eq=False)
class LookupThreads:
    """At most ``most`` daemon threads, started when needed. Can be used from any thread."""

    name: str
    most: int
    _there: int = field(init=False, default=0)
    _idle: int = field(init=False, default=0)
    _slow: int = field(init=False, default=0)
    """Number of threads that look up names that were slow the last time."""
    _queue: deque[Lookup] = field(init=False, factory=deque)
    _under_way: dict[tuple[str, int], Lookup] = field(init=False, factory=dict)
    _were_slow: dict[str, None] = field(init=False, factory=dict)
    _changed: threading.Condition = field(init=False, factory=threading.Condition)

    def ask(self, host: str, family: int) -> Lookup:
        """Look up a name, or join the lookup in progress.

        Raises:
            RuntimeError: no thread can be started.
        """
        with self._changed:
            one = self._under_way.get((host, family))
            if one is not None and not _is_stuck(one):
                one.waiting += 1
                return one
            one = Lookup(host, family)
            if self._idle <= len(self._queue) and self._there < self.most:
                try:
                    self._start()
                except RuntimeError:
                    if not self._there:
                        raise
            self._under_way[host, family] = one
            self._queue.append(one)
            self._changed.notify()
            return one

    def keep_ready(self) -> None:
        """Start a thread in advance, while one can be started."""
        with self._changed:
            if not self._there:
                self._start()

    def give_up(self, one: Lookup) -> None:
        """Record that one caller no longer waits for a lookup."""
        with self._changed:
            one.waiting -= 1
            if one.has_begun:
                self._was_slow(one.host)

    def _start(self) -> None:
        threading.Thread(target=self._work, name=self.name, daemon=True).start()
        self._there += 1

    def _was_slow(self, host: str) -> None:
        self._were_slow[host] = None
        if len(self._were_slow) > 10_000:
            del self._were_slow[next(iter(self._were_slow))]

    def _work(self) -> None:
        while True:
            one = self._next()
            try:
                rows = socket.getaddrinfo(
                    one.host, None, one.family, socket.SOCK_STREAM, socket.IPPROTO_TCP
                )
                # The port is not part of the name: one lookup serves all ports.
                found: list[Address] = [(int(row[0]), (row[4][0], 0, *row[4][2:])) for row in rows]
            except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
                self._over(one)
                one.outcome.set_exception(error)
            else:
                self._over(one)
                one.outcome.set_result(found)

    def _next(self) -> Lookup:
        with self._changed:
            self._idle += 1
            while (one := self._take()) is None:
                self._changed.wait()
            self._idle -= 1
            one.began = time.monotonic()
            return one

    def _take(self) -> Lookup | None:
        for number, one in enumerate(self._queue):
            if one.waiting <= 0:
                self._forget(one)
                one.outcome.cancel()
                del self._queue[number]
                return self._take()
            slow = one.host in self._were_slow
            if not slow or self._slow < max(1, self.most // 2):
                one.slow = slow
                self._slow += slow
                del self._queue[number]
                return one
        return None

    def _forget(self, one: Lookup) -> None:
        if self._under_way.get((one.host, one.family)) is one:
            del self._under_way[one.host, one.family]

    def _over(self, one: Lookup) -> None:
        with self._changed:
            self._forget(one)
            self._slow -= one.slow
            if one.began is not None and time.monotonic() - one.began < SLOW_AFTER:
                self._were_slow.pop(one.host, None)
            else:
                self._was_slow(one.host)
            self._changed.notify_all()


def _is_stuck(one: Lookup) -> bool:
    return one.began is not None and time.monotonic() - one.began > STUCK_AFTER
