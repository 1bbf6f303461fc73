"""The stream of events, and the check whether it delivers all of them.

A stream may fall silent though its connection seems to be there: half open, or lost in a proxy. So
the engine is asked every few seconds, by a request of its own, for the events of the last seconds,
which it remembers. What the stream did not announce is taken from there, and the stream is renewed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from tocsin.plugins.probes.docker_health.engine import (
    SILENCE,
    Engine,
    EngineAway,
    NoSuchContainer,
    Refused,
    Unanswered,
)
from tocsin.plugins.probes.docker_health.inspecting import Happened

log = logging.getLogger(__name__)

LATE = 2.0
"""Seconds for which an event may be under way on the stream."""

OVERLAP = 2.0
"""Seconds that are asked for again, since the engine counts whole seconds."""

KEPT = 4096
"""Events, and containers, that are remembered."""

TOLD = frozenset(
    "create start die kill stop oom pause unpause restart rename destroy update "
    "health_status".split()
)
"""The kinds of events that are handed on."""

_Key = tuple[int, str, str]
K = TypeVar("K")
V = TypeVar("V")


class Stream:
    """Hands on each event once, whether it came by the stream or by a request for past events.

    Args:
        engine: is connected.
        source: name of the source, for the log.
        tell: is handed each event.
        take_inventory: returns the ids of the containers of which it found changes.
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
        """It missed something, and has delivered nothing since it was renewed."""
        self._number = 0
        self._since: float | None = None
        """The newest event, in seconds of the engine's clock."""
        self._from: float | None = None
        """From when on the engine is asked."""
        self._sure = 0.0
        """From when on the stream of this connection has to deliver: by then it has begun."""
        self._told: OrderedDict[_Key, None] = OrderedDict()
        self._said: OrderedDict[_Key, None] = OrderedDict()
        """The events that the stream itself delivered."""
        self._announced: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By container, the monotonic moment of the last event about it, and the newest one's
        time."""
        self.began = 0.0
        """When this connection began, by the engine's clock; earlier events are known already."""
        self._looked = 0.0
        """The monotonic moment of the last inventory."""

    def connect(self, now: float) -> None:
        """Begin with a new connection to the engine, whose clock says ``now``."""
        self.ended.clear()
        self._from, self._looked, self.began = None, time.monotonic(), now
        if self._since is not None:
            self._since = min(self._since, now)  # its clock may have been set back
        self._open()
        self._since = self._since or now

    def open_again(self) -> None:
        """The stream has ended, and the engine answers all the same."""
        self.ended.clear()
        self.began = max(self.began, time.time() + self._engine.ahead)
        self._open()

    def _open(self) -> None:
        self._number += 1
        number = self._number
        self._engine.listen(self._since, lambda event: self._on_event(number, event))

    def _on_event(self, number: int, event: object | None) -> None:
        if number != self._number:
            return  # of a stream that was given up
        if event is None:
            self.ended.set()
        elif event is SILENCE:
            self._doubt("it does not begin")
        elif (happened := Happened.of(event)) is not None:
            if self.is_silent:
                self.is_silent = False
                log.warning("the stream of events of source %s tells again", self._source)
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
            log.warning("the stream of events of source %s is silent: %s; it is renewed, and the "
                        "engine is asked meanwhile", self._source, why)  # fmt: skip
        self.is_silent = True

    async def verify(self, now: float) -> None:
        """Ask what happened up to ``now``, of the engine's clock. Raises EngineAway."""
        if self._from is None or self._from > now + OVERLAP:  # its clock may have been set back
            self._from, self._sure = now, now + OVERLAP
            self.began = min(self.began, now)
        if self._from < now:
            try:
                past = await self._engine.past(self._from, now, type="container")
            except (Refused, NoSuchContainer):
                pass  # what lets no such question through lets us rely on the stream alone
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
        if early:  # the stream may not have begun yet, but then the first inventory knew of them
            await self.look()
        for happened in lacking:
            # Newer events were handed on already, and supersede it.
            if happened.nano >= self._announced.get(happened.container, (0.0, 0))[1]:
                self._take(happened)
        if not lacking or self.is_silent:
            return
        await asyncio.sleep(LATE)
        if any(_key(each) not in self._said for each in lacking):
            self._doubt(f"{lacking[0].kind} of {lacking[0].container[:12]} was not announced")

    async def look(self) -> None:
        """Take an inventory. Where no event has announced what it finds since the one before, nor
        does within a moment, the stream is renewed. Raises EngineAway."""
        since, self._looked = self._looked, time.monotonic()
        if not (found := await self._take_inventory()):
            return
        await asyncio.sleep(LATE)
        unheard = [each for each in found if self._announced.get(each, (0.0, 0))[0] < since]
        if unheard and not self.is_silent:
            self._doubt(f"what the inventory found of {unheard[0][:12]} was not announced")
            self._renew()

    def _renew(self) -> None:
        if not self._engine.can_hang_up:
            raise EngineAway("its stream of events is silent")
        self._engine.hang_up()
        self._open()


def _key(happened: Happened) -> _Key:
    return happened.nano, happened.container, f"{happened.kind}:{happened.detail}"


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)
