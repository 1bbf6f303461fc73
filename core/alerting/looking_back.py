"""After a start: what history has of the time before it, for rules that look back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Moment, Transition
from tocsin.core.alerts.recent import MOST
from tocsin.core.alerts.steady import SteadyClock
from tocsin.core.clock import Clock
from tocsin.core.logs import get_logger
from tocsin.core.model import Event, Health, Observation
from tocsin.core.store import Store, StoreUnavailable

log = get_logger(__name__)

COMING = 60.0
"""Seconds after the start for which targets that come are told what was before."""

PATIENCE = 20.0
"""Seconds for which a rule waits for that at most; then it judges by what it has seen itself."""

EVERY = 0.5
"""Seconds between two looks at who waits."""


Handle = Callable[[list[Transition], Moment], None]


def look_back(
    engine: Engine, store: Store, clock: Clock, steady: SteadyClock, handle: Handle
) -> Coroutine[Any, Any, None]:
    """Have targets that come from now on wait for what their rules look back at. What is returned
    reads that for each, and has its rules judge; it ends when none waits and none will."""
    began = steady.now()
    engine.reading.until = began.steady + COMING
    return _look_back(engine, store, clock, steady, handle, began)


async def _look_back(
    engine: Engine,
    store: Store,
    clock: Clock,
    steady: SteadyClock,
    handle: Handle,
    began: Moment,
) -> None:
    since: dict[str, float] = {}
    never, has_failed = asyncio.Event(), False
    while engine.reading.waiting or steady.now().steady < engine.reading.until:
        await clock.wait(never, clock.monotonic() + EVERY)
        now = steady.now()
        since = {name: since.get(name, now.steady) for name in engine.reading.waiting}
        if not since:
            continue
        if store.health().status is Health.DISABLED:
            late = list(since)
        else:
            if store.caught_up:
                try:
                    await _read(engine, store, began)
                except Exception:
                    if not has_failed:
                        log.exception("what was before the start could not be read")
                    has_failed = True
            late = [n for n, at in since.items() if steady.now().steady - at >= PATIENCE]
        for name in late:
            engine.reading.done(name)
        read = [name for name in since if name not in engine.reading.waiting]
        now = steady.now()
        handle(engine.review(read, now), now)


async def _read(engine: Engine, store: Store, began: Moment) -> None:
    waiting = dict(engine.reading.waiting)
    longest = max(recent.lookback for recent in waiting.values())
    try:
        results, events = await store.alerts.newest(
            list(waiting), began.wall - timedelta(seconds=longest), began.wall, MOST
        )
    except StoreUnavailable as error:
        log.warning("what was before the start cannot be read yet", reason=str(error))
        return
    observations: dict[str, list[Observation]] = {name: [] for name in waiting}
    happened: dict[str, list[Event]] = {name: [] for name in waiting}
    for result in results:
        observations[result.target].append(result.observation())
    for event in events:
        happened[event.target].append(event)
    for name in waiting:
        engine.reading.done(name, observations[name], happened[name])
