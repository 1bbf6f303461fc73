"""A start whose journal is gone: what the database remembers counts."""

from __future__ import annotations

import asyncio

from tocsin.core.alerts.model import Alert
from tocsin.core.alerts.silences import Silence
from tocsin.core.clock import Clock
from tocsin.core.logs import get_logger
from tocsin.core.model import Health
from tocsin.core.store import Store, StoreUnavailable

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
