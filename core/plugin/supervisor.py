"""Keeping a long-running coroutine of a plugin alive: start, tell of its end, wait, start again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tocsin.core.clock import Clock
from tocsin.core.contracts.base import ActionError, ServiceError
from tocsin.core.contracts.notifier import NotifyError
from tocsin.core.plugin.sandbox import PluginFault, describe

BACKOFF = (1.0, 60.0)
"""Seconds before the first new start, doubled each time, and the longest."""

STEADY_AFTER = 120.0
"""Seconds of running after which the next end counts as the first again."""


async def keep_running(
    start: Callable[[], Awaitable[object]], clock: Clock, ended: Callable[[str, float], None]
) -> None:
    """Run ``start()`` again and again until cancelled.

    ``ended`` is told the reason of each end, as a clause ("raised OSError: …"), and the seconds
    until the next start.

    Raises:
        ServiceError: a permanent one, which a new start would not change.
    """
    backoff = BACKOFF[0]
    while True:
        began = clock.monotonic()
        try:
            await start()
            reason = "ended by itself"
        except ServiceError as error:
            if error.permanent:
                raise
            reason = describe(error)
        except (PluginFault, NotifyError, ActionError, TimeoutError) as error:
            reason = describe(error)
        if clock.monotonic() - began > STEADY_AFTER:
            backoff = BACKOFF[0]
        ended(reason, backoff)
        await asyncio.sleep(backoff)
        backoff = min(backoff * 2, BACKOFF[1])
