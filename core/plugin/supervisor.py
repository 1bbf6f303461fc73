"""Restart of a plugin's long-running coroutine, with exponential backoff."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tocsin.core.clock import Clock
from tocsin.core.contracts.base import ActionError, ServiceError
from tocsin.core.contracts.notifier import NotifyError
from tocsin.core.plugin.sandbox import PluginFault, describe

BACKOFF = (1.0, 60.0)
"""Initial and maximum delay before a restart, in seconds; the delay doubles each time."""

STEADY_AFTER = 120.0
"""Run time, in seconds, after which the backoff starts again from its initial delay."""


async def keep_running(
    start: Callable[[], Awaitable[object]], clock: Clock, ended: Callable[[str, float], None]
) -> None:
    """Run ``start()`` until cancelled, and restart it whenever it ends.

    Args:
        start: starts the coroutine and returns when it ends.
        clock: measures how long each run lasted.
        ended: called after each run with the reason, as a clause ("raised OSError: …"), and the
            delay before the restart in seconds.

    Raises:
        ServiceError: ``start`` raised a permanent error, which a restart would not resolve.
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
