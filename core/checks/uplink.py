"""Distinguishes a target that is down from a failure of tocsin's own uplink.

If a check of an outside host finds it down, tocsin first makes sure that it has any connection to
the outside: it connects to the ``[uplink] addresses``, any one of which suffices. If none can be
reached, the result says nothing about the target and becomes unknown, until one can be reached.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from ipaddress import ip_address

from attrs import define, evolve, field

from tocsin.core.checks.polled_check import PolledCheck
from tocsin.core.checks.runnable import Runnable
from tocsin.core.clock import Clock
from tocsin.core.config.settings import UplinkSettings
from tocsin.core.contracts.model import ComponentHealth, Health, Result, Status, Target
from tocsin.core.contracts.probe import Probe
from tocsin.core.logs import get_logger
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.core.resolver.lookups import addresses, connect_to, look_up

log = get_logger(__name__)

FRESH = 5.0
"""Seconds for which a failure of the uplink is not checked again."""

MOST_HOSTS = 20
"""Hosts of one check that are looked at."""

RESOLVE_PATIENCE = 2.0
"""Timeout, in seconds, of the lookup of a name; then it counts as an outside name."""


@define
class Uplink:
    """Whether the outside can be reached; checked only while an outside host seems to be down."""

    clock: Clock
    isolation: Isolation
    settings: UplinkSettings = field(factory=UplinkSettings)
    trouble: str | None = field(init=False, default=None)
    """Why the outside cannot be reached now, or None."""
    _began: float = field(init=False, default=0.0)
    _checked: float | None = field(init=False, default=None)
    """When the last attempt ended, in monotonic seconds; _began: when it began."""
    _lock: asyncio.Lock = field(init=False, factory=asyncio.Lock)
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    async def confirm_down(
        self, plugin: str, check: Runnable, target: Target, result: Result
    ) -> Result:
        """Confirm a ``down`` result, or replace it by ``unknown`` if the uplink failed. Never
        raises.

        Args:
            plugin: the plugin that the probe belongs to.
            check: the check.
            target: the target that was checked.
            result: the result.

        Returns:
            The same result, or an ``unknown`` one.
        """
        if not self.settings.addresses or not isinstance(check, PolledCheck):
            return result
        hosts = await self._reached(plugin, check.probe, target)
        if not await _any_outside(hosts) or await self.is_up():
            return result
        text = f"tocsin's own uplink failed, so this result is not valid: {result.message}"
        return evolve(result, status=Status.UNKNOWN, message=text)

    async def _reached(self, plugin: str, probe: Probe, target: Target) -> list[str]:
        async def ask() -> object:
            return probe.network_host(target)

        with contextlib.suppress(PluginFault, TimeoutError):
            named = await self.isolation.call(plugin, ask, 1.0)
            hosts = named if isinstance(named, tuple) else (named,)
            return [host for host in hosts[:MOST_HOSTS] if isinstance(host, str) and host]
        return []

    async def is_up(self) -> bool:
        """Return whether any address can be reached. An earlier success does not count, since the
        check that has failed since may be the first to notice a failure of the uplink."""
        asked = self.clock.monotonic()
        async with self._lock:  # many checks fail at the same time; one attempt serves them all
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
                log.info("the uplink works again")
            return
        shown = ", ".join(self.settings.addresses)
        self.trouble = f"none of {shown} can be reached: outside hosts that are down are unknown"
        if before is None:
            log.warning("the uplink failed", reason=self.trouble)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._wait_for_it(), name="uplink")

    async def _wait_for_it(self) -> None:
        never = asyncio.Event()
        while self.trouble is not None:
            await self.clock.wait(never, self.clock.monotonic() + FRESH)
            await self.is_up()

    def apply(self, settings: UplinkSettings) -> None:
        """Apply a configuration."""
        if settings != self.settings:
            self.settings = settings
            self.trouble = self._checked = None
            self._end()

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def stop(self) -> None:
        """Stop the task that waits for the uplink."""
        task = self._task
        self._end()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def health(self) -> Mapping[str, ComponentHealth]:
        """Return the uplink's health; nothing if none is configured."""
        if not self.settings.addresses:
            return {}
        if self.trouble is None:
            return {"uplink": ComponentHealth(status=Health.OK)}
        return {"uplink": ComponentHealth(status=Health.DEGRADED, message=self.trouble)}


async def _any_outside(hosts: list[str]) -> bool:
    return any(await asyncio.gather(*(is_outside(host) for host in hosts)))


async def is_outside(host: str) -> bool:
    """Return whether a host is beyond the local network: its address is global, its name has
    several parts and resolves to a global address, or its name cannot be resolved (without an
    uplink, names of outside hosts cannot)."""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_global
    if "." not in host:
        return False  # a name of this machine, or of a container in the same network
    try:
        async with asyncio.timeout(RESOLVE_PATIENCE):
            found = await look_up(host, 0, timeout=RESOLVE_PATIENCE)  # with the checks' threads
    except (OSError, RuntimeError, TimeoutError, UnicodeError):
        return True
    return any(ip_address(one.partition("%")[0]).is_global for one in addresses(found))
