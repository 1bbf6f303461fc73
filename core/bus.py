"""Publish and subscribe inside the process: publishers never wait; slow subscribers lose the oldest
messages and learn how many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen


@frozen
class News:
    """One message: a running number, its kind (``result``, ``status``, ``target`` …), its data."""

    number: int
    kind: str
    data: Any


class Subscription:
    """What one listener has not read yet, at most ``limit`` messages; older ones are counted."""

    def __init__(self, kinds: frozenset[str] | None, limit: int) -> None:
        self._kinds = kinds
        self._queue: deque[News] = deque(maxlen=limit)
        self._ready = asyncio.Event()
        self.lost = 0

    def offer(self, news: News) -> None:
        """Put a message in line; the oldest gives way where the line is full."""
        if self._kinds is not None and news.kind not in self._kinds:
            return
        if len(self._queue) == self._queue.maxlen:
            self.lost += 1
        self._queue.append(news)
        self._ready.set()

    async def batch(self) -> list[News]:
        """All that is in line, oldest first; waits while there is nothing."""
        while not self._queue:
            self._ready.clear()
            await self._ready.wait()
        taken = list(self._queue)
        self._queue.clear()
        return taken


class Bus:
    """Publishes news to any number of subscriptions. Used from the core's event loop only.

    Keeps the last ``keep`` messages of each kind, so that the flood of results does not wash the
    rare changes of status away.
    """

    def __init__(self, keep: int = 1000) -> None:
        self._number = 0
        self._keep = keep
        self._recent: dict[str, deque[News]] = {}
        self._forgotten: dict[str, int] = {}
        """Of each kind, the number of the newest message that is kept no more."""
        self._subscriptions: set[Subscription] = set()

    def publish(self, kind: str, data: Any) -> None:
        """Tell everyone. Never blocks, never raises."""
        self._number += 1
        news = News(self._number, kind, data)
        recent = self._recent.get(kind)
        if recent is None:
            recent = self._recent[kind] = deque(maxlen=self._keep)
        if len(recent) == self._keep:
            self._forgotten[kind] = recent[0].number
        recent.append(news)
        for subscription in self._subscriptions:
            subscription.offer(news)

    def since(self, number: int, *kinds: str) -> tuple[list[News], bool]:
        """What is kept of the messages of ``kinds`` after ``number``, oldest first, and whether
        that is all there were."""
        news = [n for kind in kinds for n in self._recent.get(kind, ()) if n.number > number]
        whole = all(self._forgotten.get(kind, 0) <= number for kind in kinds)
        return sorted(news, key=lambda n: n.number), whole

    @contextmanager
    def subscribe(self, *kinds: str, limit: int = 1000) -> Iterator[Subscription]:
        """Listen to ``kinds`` (to all where none is named) for the length of a ``with`` block."""
        subscription = Subscription(frozenset(kinds) or None, limit)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
