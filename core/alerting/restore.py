"""A start whose journal is gone: what the database remembers counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from attrs import evolve

from tocsin.core.alerting.memory import Memory
from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.model import Alert, Key, Moment, Phase, Transition
from tocsin.core.alerts.silences import Silence
from tocsin.core.clock import Clock
from tocsin.core.logs import get_logger
from tocsin.core.model import Health
from tocsin.core.store import Store, StoreUnavailable
from tocsin.core.verdicts import Verdict

log = get_logger(__name__)

MOST = 2.0
"""Seconds for which alerts wait for the database."""

MOST_OWN = 20.0
"""The same for the embedded one, which this process is about to start."""

AGAIN = 0.2
"""Seconds between two looks whether it can be read; five times as many after each failure."""

TRIES = 4
"""Failures to read it after which nothing is restored."""


async def restored(
    store: Store, clock: Clock, go_on: Callable[[], None]
) -> tuple[list[Alert], list[Silence]]:
    """Alerts that were open, and silences that have not ended, as soon as the database can be read.

    ``go_on`` is called where that takes so long that alerts are to be told meanwhile.
    """

    def give_up() -> None:
        log.warning("the database does not answer; alerts do not wait for what it remembers of an "
                    "earlier run", reason=store.health().message)  # fmt: skip
        go_on()

    most = MOST_OWN if store.is_own else MOST
    late = asyncio.get_running_loop().call_later(most, give_up)
    failures = 0
    try:
        while store.health().status is not Health.DISABLED and failures < TRIES:
            if store.can_be_read:
                try:
                    alerts = await store.alerts.open_alerts()
                    return alerts, await store.alerts.silences(clock.now())
                except StoreUnavailable as error:
                    failures += 1
                    log.warning("nothing was restored from the database yet", reason=str(error))
            await asyncio.sleep(AGAIN * 5**failures)
        return [], []
    finally:
        late.cancel()


def taken_up(
    engine: Engine, memory: Memory, stored: Iterable[Alert], now: Moment
) -> tuple[int, list[Transition]]:
    """Go on with the alerts of an earlier run; returns how many there are, and what changed.

    Results may have come before the database could be read, and begun alerts of their own. Where
    nobody was told of those, the start being still under way, the stored one takes their place, and
    in history they end. An alert that was told meanwhile goes on in place of the stored one.
    """
    before: dict[Key, Alert] = {}
    for alert in sorted(stored, key=lambda alert: (alert.ever_told, alert.id)):
        if alert.id in memory.alerts:
            continue  # this run's own: history has it already
        if alert.key in before:
            memory.keep(_replaced(before[alert.key], now))
        before[alert.key] = alert
    changes: list[Transition] = []
    for key, alert in list(before.items()):
        newcomer = engine.alerts.get(key)
        if newcomer is None:
            continue
        if newcomer.ever_told:
            memory.keep(_replaced(before.pop(key), now))
            unseen = newcomer.phase is Phase.FIRING and newcomer.acknowledged_by is None
            if unseen and alert.acknowledged_by is not None:
                changes += engine.acknowledge(newcomer, alert.acknowledged_by, alert.comment, now)
            continue
        changes += engine.judge(key, Verdict.clear("it goes on as the alert of before"), now)
        if key in engine.alerts:
            memory.keep(engine.alerts[key])
        if newcomer.acknowledged_by is not None and alert.acknowledged_by is None:
            before[key] = evolve(
                alert,
                acknowledged_by=newcomer.acknowledged_by,
                acknowledged_at=newcomer.acknowledged_at,
                comment=newcomer.comment,
                revision=alert.revision + 1,
            )
    engine.load(before.values())
    return len(before), changes + engine.review({key[1] for key in before}, now)


def _replaced(alert: Alert, now: Moment) -> Alert:
    return evolve(
        alert,
        phase=Phase.RESOLVED,
        resolved=now.steady,
        resolved_at=now.wall,
        resolution="another alert went on in its place",
        revision=alert.revision + 1,
    )
