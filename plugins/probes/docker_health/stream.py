"""The event stream, and the check that it delivers all events.

A stream may stop delivering while its connection seems to be open: half open, or lost in a proxy.
So a separate request asks the engine every few seconds for its recent events. Events that the
stream did not deliver are taken from the answer, and the stream is reopened.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from tocsin.plugins.probes.docker_health.engine import SILENCE, Engine
from tocsin.plugins.probes.docker_health.errors import (
    EngineAway,
    NoSuchContainer,
    Refused,
    Unanswered,
)
from tocsin.plugins.probes.docker_health.inspecting import Happened

log = logging.getLogger(__name__)

LATE = 2.0
"""Seconds that an event may take to arrive on the stream."""

OVERLAP = 2.0
"""Seconds that are requested again, because the engine counts whole seconds."""

KEPT = 4096
"""Most events, and most containers, that are remembered."""

TOLD = frozenset(
    "create start die kill stop oom pause unpause restart rename destroy update "
    "health_status".split()
)
"""The kinds of events that are passed on."""

_Key = tuple[int, str, str]
K = TypeVar("K")
V = TypeVar("V")


class Stream:
    """Passes on each event once, from the stream or from a request for past events.

    Args:
        engine: the connection.
        source: name of the source, for the log.
        tell: is called with each event.
        take_inventory: takes an inventory, and returns the ids of containers that have changed.
    """

    def __init__(
        self,
        engine: Engine,
        source: str,
        tell: Callable[[Happened], None],
        take_inventory: Callable[[], Awaitable[Collection[str]]],
    ) -> None:
        self._engine, self._source, self._tell = engine, source, tell
        self._take_inventory = take_inventory
        self.ended = asyncio.Event()
        self.is_silent = False
        """The stream missed an event, and has delivered nothing since it was reopened."""
        self._number = 0
        self._since: float | None = None
        """Time of the newest event, in seconds of the engine's clock."""
        self._from: float | None = None
        """Time from which on past events are requested, by the engine's clock."""
        self._sure = 0.0
        """Time from which on the stream must deliver events: it has begun by then."""
        self._told: OrderedDict[_Key, None] = OrderedDict()
        self._said: OrderedDict[_Key, None] = OrderedDict()
        """The events that the stream itself delivered."""
        self._announced: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By container, the monotonic time at which the last event about it was passed on, and the
        newest event's time in nanoseconds of the engine's clock."""
        self.began = 0.0
        """Start of this connection, by the engine's clock; earlier events are known already."""
        self._looked = 0.0
        """Monotonic time of the last inventory."""

    def connect(self, now: float) -> None:
        """Open the stream on a new connection; ``now`` is the time of the engine's clock."""
        self.ended.clear()
        self._from, self._looked, self.began = None, time.monotonic(), now
        if self._since is not None:
            self._since = min(self._since, now)  # its clock may have been set back
        self._open()
        self._since = self._since or now

    def open_again(self) -> None:
        """Open the stream again after it has ended, though the engine still answers."""
        self.ended.clear()
        self.began = max(self.began, time.time() + self._engine.ahead)
        self._open()

    def _open(self) -> None:
        self._number += 1
        number = self._number
        self._engine.listen(self._since, lambda event: self._on_event(number, event))

    def _on_event(self, number: int, event: object | None) -> None:
        if number != self._number:
            return  # from a stream that was given up
        if event is None:
            self.ended.set()
        elif event is SILENCE:
            self._doubt("it does not begin in time")
        elif (happened := Happened.of(event)) is not None:
            if self.is_silent:
                self.is_silent = False
                log.warning("source %s: the event stream delivers events again", self._source)
            _keep(self._said, _key(happened), None)
            self._take(happened)

    def _take(self, happened: Happened) -> None:
        self._since = max(self._since or 0, happened.at)
        if happened.kind not in TOLD:
            return
        _, newest = self._announced.get(happened.container, (0.0, 0))
        _keep(self._announced, happened.container, (time.monotonic(), max(newest, happened.nano)))
        if (key := _key(happened)) not in self._told:  # an engine repeats some after a reconnect
            _keep(self._told, key, None)
            self._tell(happened)

    def _doubt(self, why: str) -> None:
        if not self.is_silent:
            log.warning("source %s: the event stream misses events: %s; it is reopened, and the "
                        "engine is polled meanwhile", self._source, why)  # fmt: skip
        self.is_silent = True

    async def verify(self, now: float) -> None:
        """Request the recent events, and compare them with those that the stream delivered.

        Args:
            now: time of the engine's clock, in seconds since 1970.

        Raises:
            EngineAway: the engine cannot be queried, or the stream cannot be reopened alone.
        """
        if self._from is None or self._from > now + OVERLAP:  # its clock may have been set back
            self._from, self._sure = now, now + OVERLAP
            self.began = min(self.began, now)
        if self._from < now:
            try:
                past = await self._engine.past(self._from, now, type="container")
            except (Refused, NoSuchContainer):
                pass  # a proxy may forbid this request: then there is only the stream
            except Unanswered:
                await self.look()
            else:
                await self._compare([each for each in map(Happened.of, past) if each is not None])
                self._from = max(self._from, now - OVERLAP)
        if self.is_silent:
            self._renew()

    async def _compare(self, past: list[Happened]) -> None:
        lacking = [each for each in past if _key(each) not in self._said]
        early = [each for each in lacking if each.at < self._sure]
        lacking = [each for each in lacking if each.at >= self._sure]
        for happened in early:
            _keep(self._said, _key(happened), None)
        if early:  # the stream may not have begun yet; the inventory shows what has changed
            await self.look()
        for happened in lacking:
            # Newer events about the container were passed on already, and supersede this one.
            if happened.nano >= self._announced.get(happened.container, (0.0, 0))[1]:
                self._take(happened)
        if not lacking or self.is_silent:
            return
        await asyncio.sleep(LATE)
        if any(_key(each) not in self._said for each in lacking):
            self._doubt(f"{lacking[0].kind} of {lacking[0].container[:12]} was not delivered")

    async def look(self) -> None:
        """Take an inventory; reopen the stream if it missed a change that the inventory found.

        A change counts as missed if no event about the container came since the last inventory,
        nor within :data:`LATE` seconds.

        Raises:
            EngineAway: the engine cannot be queried, or the stream cannot be reopened alone.
        """
        since, self._looked = self._looked, time.monotonic()
        if not (found := await self._take_inventory()):
            return
        await asyncio.sleep(LATE)
        unheard = [each for each in found if self._announced.get(each, (0.0, 0))[0] < since]
        if unheard and not self.is_silent:
            self._doubt(f"a change of container {unheard[0][:12]} was not delivered")
            self._renew()

    def _renew(self) -> None:
        if not self._engine.can_hang_up:
            raise EngineAway("its event stream misses events")
        self._engine.hang_up()
        self._open()


def _key(happened: Happened) -> _Key:
    return happened.nano, happened.container, f"{happened.kind}:{happened.detail}"


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)
