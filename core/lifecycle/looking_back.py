"""After a start: reading stored history for rules that look back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TypeAlias

from tocsin.core.alerts.model import Moment
from tocsin.core.alerts.recent import MOST, Reading
from tocsin.core.clock import Clock
from tocsin.core.contracts.history import HistoryUnavailable
from tocsin.core.contracts.model import Event, Observation
from tocsin.core.history.access import HistoryAccess
from tocsin.core.logs import get_logger
from tocsin.core.monitor import events
from tocsin.core.monitor.executor import Executor

log = get_logger(__name__)

COMING = 60.0
"""Seconds after the start in which new targets get their stored history."""

PATIENCE = 20.0
"""Maximum time, in seconds, for which a rule waits for it; then it is evaluated without."""

EVERY = 0.5
"""Seconds between checks for waiting targets."""


Seen: TypeAlias = dict[str, tuple[Sequence[Observation], Sequence[Event]]]
"""Results and events by target."""


async def look_back(executor: Executor, clock: Clock) -> None:
    """Read the stored history of waiting targets and have their rules evaluated.

    Ends when no target waits and none can be added any more.
    """
    began = executor.steady.now()
    reading, history, steady = (
        executor.monitor.engine.evaluator.reading,
        executor.history,
        executor.steady,
    )
    since: dict[str, float] = {}
    never, has_failed = asyncio.Event(), False
    while reading.waiting or steady.now().steady < reading.until:
        await clock.wait(never, clock.monotonic() + EVERY)
        now = steady.now()
        since = {name: since.get(name, now.steady) for name in reading.waiting}
        if not since:
            continue
        seen: Seen = {}
        state = await history.plugin.look()
        if history.is_disabled:
            seen = dict.fromkeys(since, ((), ()))
        else:
            if state.is_complete:
                try:
                    seen = await _read(reading, history, began)
                except Exception:
                    if not has_failed:
                        log.exception("the stored history before the start could not be read")
                    has_failed = True
            late = [n for n, at in since.items() if steady.now().steady - at >= PATIENCE]
            seen = dict.fromkeys(late, ((), ())) | seen
        if seen:
            executor.handle(events.LookedBack(seen))


async def _read(reading: Reading, history: HistoryAccess, began: Moment) -> Seen:
    waiting = dict(reading.waiting)
    longest = max(recent.lookback for recent in waiting.values())
    since = began.wall - timedelta(seconds=longest)
    try:
        found: list[Observation | Event] = await history.records(
            lambda past: past.recent(list(waiting), since, began.wall, MOST), Observation, Event
        )
    except HistoryUnavailable as error:
        log.warning("the stored history before the start cannot be read yet", reason=str(error))
        return {}
    seen = {name: (list[Observation](), list[Event]()) for name in waiting}
    for item in found:
        if isinstance(item, Observation):
            seen[item.target][0].append(item)
        else:
            seen[item.target][1].append(item)
    return dict(seen)
