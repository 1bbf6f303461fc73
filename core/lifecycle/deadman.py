"""The dead man's switch: sends a ping regularly while tocsin works.

The receiver (such as healthchecks.io, or a heartbeat check of another tocsin) raises an alarm if no
ping arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from tocsin.core.clock import Clock
from tocsin.core.config.core_settings import DeadmanSettings
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.logs import get_logger
from tocsin.core.resolver.lookups import TocsinResolver

log = get_logger(__name__)


class Deadman:
    """Sends pings while ``well()`` returns true.

    Args:
        clock: clock for the interval.
        well: returns whether tocsin works.
    """

    def __init__(self, clock: Clock, well: Callable[[], bool]) -> None:
        self._clock = clock
        self._well = well
        self._settings = DeadmanSettings()
        self._task: asyncio.Task[None] | None = None
        self.trouble: str | None = None
        self._failing_since = 0.0
        self.pings = 0

    def apply(self, settings: DeadmanSettings) -> None:
        """Apply a configuration; the next ping is sent at once if it has changed."""
        if settings == self._settings and self._task is not None:
            return
        self._settings = settings
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.trouble = None
        if settings.url is not None:
            self._task = asyncio.create_task(self._run(settings), name="dead man's switch")

    async def stop(self) -> None:
        """Stop sending pings."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self, settings: DeadmanSettings) -> None:
        never = asyncio.Event()
        while True:
            if self._well():
                await self._ping(settings)
            await self._clock.wait(never, self._clock.monotonic() + settings.interval)

    async def _ping(self, settings: DeadmanSettings) -> None:
        assert settings.url is not None  # noqa: S101
        trouble = None
        try:
            timeout = aiohttp.ClientTimeout(total=settings.timeout)
            async with (
                aiohttp.ClientSession(
                    timeout=timeout,
                    connector=aiohttp.TCPConnector(
                        force_close=True, use_dns_cache=False, resolver=TocsinResolver()
                    ),
                ) as session,
                session.get(settings.url.reveal(), allow_redirects=False) as answer,
            ):
                if answer.status >= 300:
                    trouble = f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # The URL is a secret, and the texts of aiohttp's errors may contain it.
            trouble = (
                "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
            )
        if trouble is not None and self.trouble is None:
            log.warning("the ping of the dead man's switch failed", reason=trouble)
            self._failing_since = self._clock.monotonic()
        self.trouble = trouble
        self.pings += trouble is None

    def health(self) -> dict[str, ComponentHealth]:
        """Return whether the last ping arrived; an empty mapping if no switch is configured."""
        if self._settings.url is None:
            return {}
        if self.trouble is None:
            return {"deadman": ComponentHealth(status=Health.OK)}
        # A single lost ping raises no alarm, neither at the receiver nor by monitor_impaired.
        failing = self._clock.monotonic() - self._failing_since
        return {
            "deadman": ComponentHealth(
                status=Health.DEGRADED,
                message=f"the last ping failed: {self.trouble}",
                details={"failing_seconds": failing},
            )
        }
