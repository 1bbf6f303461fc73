"""News inside the process: publishers never wait, slow listeners are told what they lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
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

    async def __aiter__(self) -> AsyncIterator[News]:
        while True:
            await self._ready.wait()
            while self._queue:
                yield self._queue.popleft()
            self._ready.clear()


class Bus:
    """Publishes news to any number of subscriptions. Used from the core's event loop only."""

    def __init__(self, keep: int = 1000) -> None:
        self._number = 0
        self._recent: deque[News] = deque(maxlen=keep)
        self._subscriptions: set[Subscription] = set()

    def publish(self, kind: str, data: Any) -> None:
        """Tell everyone. Never blocks, never raises."""
        self._number += 1
        news = News(self._number, kind, data)
        self._recent.append(news)
        for subscription in self._subscriptions:
            subscription.offer(news)

    def since(self, number: int) -> Iterator[News]:
        """What is still kept of the messages after ``number``, oldest first."""
        return (news for news in tuple(self._recent) if news.number > number)

    @contextmanager
    def subscribe(self, *kinds: str, limit: int = 1000) -> Iterator[Subscription]:
        """Listen to ``kinds`` (to all where none is named) for the length of a ``with`` block."""
        subscription = Subscription(frozenset(kinds) or None, limit)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
