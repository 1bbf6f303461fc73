"""Keeping the companions of plugins running (the dashboard is one)."""

from __future__ import annotations

import asyncio

from tocsin.core.clock import Clock
from tocsin.core.isolation import Isolation
from tocsin.core.logs import get_logger
from tocsin.core.model import ComponentHealth, Health
from tocsin.core.plugin_manager import PluginManager
from tocsin.core.supervisor import keep_running

log = get_logger(__name__)


class ServiceSupervisor:
    """Starts every service that plugins provide, with its default options; restarts what ends."""

    def __init__(self, isolation: Isolation, plugins: PluginManager, clock: Clock) -> None:
        self._isolation = isolation
        self._plugins = plugins
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self._trouble: dict[str, str | None] = {}

    def start(self, api_url: str, data_dir: str) -> None:
        """Start all services; they are told where the API is and where they may keep data."""
        for name, entry in self._plugins.services.items():
            self._trouble[name] = None

            async def run(cls: type = entry.cls, plugin: str = entry.plugin) -> None:
                await self._isolation.call(plugin, lambda: cls().run(api_url, data_dir), None)

            def ended(reason: str, seconds: float, name: str = name) -> None:
                self._trouble[name] = reason
                log.error("a service ended", service=name, reason=reason, next_start=seconds)

            self._tasks.append(asyncio.create_task(keep_running(run, self._clock, ended)))

    async def stop(self) -> None:
        """Stop all services."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)
        self._tasks = []

    def health(self) -> dict[str, ComponentHealth]:
        """Each service's health."""
        return {
            f"service.{name}": ComponentHealth(status=Health.OK)
            if reason is None
            else ComponentHealth(status=Health.DEGRADED, message=reason)
            for name, reason in self._trouble.items()
        }
