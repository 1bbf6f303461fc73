"""Publish and subscribe within the process.

Publishers never wait. A slow subscriber loses the oldest messages, and can read how many.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen


@frozen
class News:
    """One message: a sequence number, a kind (``result``, ``status``, ``target`` …), and data."""

    number: int
    kind: str
    data: Any


class Subscription:
    """The queue of one subscriber: at most ``limit`` unread messages.

    Attributes:
        lost: number of messages that were dropped because the queue was full.
    """

    def __init__(self, kinds: frozenset[str] | None, limit: int) -> None:
        self._kinds = kinds
        self._queue: deque[News] = deque(maxlen=limit)
        self._ready = asyncio.Event()
        self.lost = 0

    def offer(self, news: News) -> None:
        """Queue a message of a subscribed kind; if the queue is full, the oldest is dropped."""
        if self._kinds is not None and news.kind not in self._kinds:
            return
        if len(self._queue) == self._queue.maxlen:
            self.lost += 1
        self._queue.append(news)
        self._ready.set()

    async def batch(self) -> list[News]:
        """Return all queued messages, oldest first; wait until there is one."""
        while not self._queue:
            self._ready.clear()
            await self._ready.wait()
        taken = list(self._queue)
        self._queue.clear()
        return taken


class Bus:
    """Publishes messages to any number of subscriptions. Used from the core's event loop only.

    The last ``keep`` messages of each kind are kept: by kind, so that the many results do not
    displace the rare changes of status.
    """

    def __init__(self, keep: int = 1000) -> None:
        self._number = 0
        self._keep = keep
        self._recent: dict[str, deque[News]] = {}
        self._forgotten: dict[str, int] = {}
        """For each kind, the number of the newest message that is no longer kept."""
        self._subscriptions: set[Subscription] = set()

    def publish(self, kind: str, data: Any) -> None:
        """Send a message to all subscriptions. Never blocks, never raises."""
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
        """Return the messages of some kinds after a number, as far as they are kept.

        Returns:
            The messages, oldest first; and whether none is missing.
        """
        news = [n for kind in kinds for n in self._recent.get(kind, ()) if n.number > number]
        whole = all(self._forgotten.get(kind, 0) <= number for kind in kinds)
        return sorted(news, key=lambda n: n.number), whole

    @contextmanager
    def subscribe(self, *kinds: str, limit: int = 1000) -> Iterator[Subscription]:
        """Subscribe to ``kinds`` (without any: to all) within a ``with`` block."""
        subscription = Subscription(frozenset(kinds) or None, limit)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
