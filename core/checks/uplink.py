"""Telling a target that is down from an uplink of our own that is gone.

Whenever a check of something outside finds it down, tocsin first makes sure that it can reach the
outside at all: it connects to the ``[uplink] addresses``, any of which will do. If none answers,
what was seen says nothing about the target and counts as unknown, until one answers again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from ipaddress import ip_address

from attrs import define, evolve, field

from tocsin.core.clock import Clock
from tocsin.core.config.settings import UplinkSettings
from tocsin.core.contracts.base import Probe
from tocsin.core.contracts.model import ComponentHealth, Health, Result, Status, Target
from tocsin.core.logs import get_logger
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.core.resolver.lookups import addresses, connect_to, look_up

log = get_logger(__name__)

FRESH = 5.0
"""Seconds for which it holds that the uplink is gone: the pause between tries."""

RESOLVE_PATIENCE = 2.0
"""Seconds a name may take to be resolved before it counts as one outside."""


@define
class Uplink:
    """Whether the outside can be reached; asked only while something there seems to be down."""

    clock: Clock
    isolation: Isolation
    settings: UplinkSettings = field(factory=UplinkSettings)
    trouble: str | None = field(init=False, default=None)
    """Why the outside cannot be seen now, or None."""
    _began: float = field(init=False, default=0.0)
    _checked: float | None = field(init=False, default=None)
    """When the last look began, and ended."""
    _lock: asyncio.Lock = field(init=False, factory=asyncio.Lock)
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    async def confirm_down(
        self, plugin: str, probe: object, target: Target, result: Result
    ) -> Result:
        """What a result that says ``down`` is worth: itself, or ``unknown``. Never raises."""
        if not self.settings.addresses or not isinstance(probe, Probe):
            return result
        host = await self._reached(plugin, probe, target)
        if host is None or not await is_outside(host) or await self.is_up():
            return result
        text = f"tocsin's own uplink is gone, so this says nothing: {result.message}"
        return evolve(result, status=Status.UNKNOWN, message=text)

    async def _reached(self, plugin: str, probe: Probe, target: Target) -> str | None:
        async def ask() -> str | None:
            return probe.network_host(target)

        with contextlib.suppress(PluginFault, TimeoutError):
            host = await self.isolation.call(plugin, ask, 1.0)
            return host if isinstance(host, str) and host else None
        return None

    async def is_up(self) -> bool:
        """Whether any address answers. That one did a moment ago says nothing of now: the check
        that failed since may be the first to notice."""
        asked = self.clock.monotonic()
        async with self._lock:  # many checks fail at once; one look serves them all
            now = self.clock.monotonic()
            if self._checked is None:
                holds = False
            elif self.trouble is None:
                holds = self._began >= asked
            else:
                holds = now - self._checked < FRESH
            if not holds:
                self._began = now
                reached = await self._look()
                self._checked = self.clock.monotonic()
                self._note(reached)
            return self.trouble is None

    async def _look(self) -> bool:
        tries = [asyncio.ensure_future(self._connects(a)) for a in self.settings.addresses]
        try:
            for answer in asyncio.as_completed(tries):
                if await answer:
                    return True
            return False
        finally:
            for task in tries:
                task.cancel()

    async def _connects(self, address: str) -> bool:
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(self.settings.timeout):
                connected = await connect_to(host.strip("[]"), int(port))
        except (OSError, TimeoutError, UnicodeError):
            return False
        connected.close()
        return True

    def _note(self, reached: bool) -> None:
        before, self.trouble = self.trouble, None
        if reached:
            if before is not None:
                log.info("the outside can be reached again")
            return
        shown = ", ".join(self.settings.addresses)
        self.trouble = f"none of {shown} can be reached: what lies outside counts as unknown"
        if before is None:
            log.warning("the uplink is gone", reason=self.trouble)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._wait_for_it(), name="uplink")

    async def _wait_for_it(self) -> None:
        never = asyncio.Event()
        while self.trouble is not None:
            await self.clock.wait(never, self.clock.monotonic() + FRESH)
            await self.is_up()

    def apply(self, settings: UplinkSettings) -> None:
        """Take over a configuration."""
        if settings != self.settings:
            self.settings = settings
            self.trouble = self._checked = None
            self._end()

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def stop(self) -> None:
        """End."""
        task = self._task
        self._end()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def health(self) -> Mapping[str, ComponentHealth]:
        """The uplink, where it is configured."""
        if not self.settings.addresses:
            return {}
        if self.trouble is None:
            return {"uplink": ComponentHealth(status=Health.OK)}
        return {"uplink": ComponentHealth(status=Health.DEGRADED, message=self.trouble)}


async def is_outside(host: str) -> bool:
    """Whether a host lies beyond the local network: a global address, a name of several parts that
    resolves to one, or one that cannot be resolved (names outside cannot without an uplink)."""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_global
    if "." not in host:
        return False  # a name of this machine, or of a container beside us
    try:
        async with asyncio.timeout(RESOLVE_PATIENCE):
            found = await look_up(host, 0, timeout=RESOLVE_PATIENCE)  # as checks: it is their name
    except (OSError, RuntimeError, TimeoutError, UnicodeError):
        return True
    return any(ip_address(one.partition("%")[0]).is_global for one in addresses(found))
