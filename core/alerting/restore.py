"""A start whose journal is gone: what the database remembers counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

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

MOST = 20.0
"""Seconds for which the database is waited for."""


async def restored(store: Store, clock: Clock) -> tuple[list[Alert], list[Silence]]:
    """Alerts that were open, and silences that have not ended; nothing where the database does not
    answer in time."""
    try:
        async with asyncio.timeout(MOST):
            while not store.can_be_read:
                if store.health().status is Health.DISABLED:
                    return [], []
                await asyncio.sleep(0.2)
            return await store.alerts.open_alerts(), await store.alerts.silences(clock.now())
    except (TimeoutError, StoreUnavailable) as error:
        reason = str(error) or "it does not answer in time"
        log.warning("nothing was restored from the database", reason=reason)
        return [], []


def taken_up(
    engine: Engine, memory: Memory, stored: Iterable[Alert], now: Moment
) -> tuple[int, list[Transition]]:
    """Go on with the alerts of an earlier run; returns how many there are, and what changed.

    Results may have come before the database could be read, and begun alerts of their own. Nobody
    was told of those, the start being still under way: the stored one takes their place, and in
    history they end.
    """
    before: dict[Key, Alert] = {}
    for alert in sorted(stored, key=lambda alert: (alert.ever_told, alert.id)):
        if alert.id in memory.alerts:
            continue  # this run's own: history has it already
        if alert.key in before:
            memory.keep(_replaced(before[alert.key], now))
        before[alert.key] = alert
    changes: list[Transition] = []
    for key, alert in before.items():
        newcomer = engine.alerts.get(key)
        if newcomer is None:
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
