"""Supervision of the services that plugins provide, such as the dashboard."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from attrs import define, field

from tocsin.core.auth.admin_token import ensure_token
from tocsin.core.auth.tokens import TokenStore
from tocsin.core.clock import Clock
from tocsin.core.config.settings import ServiceSettings
from tocsin.core.contracts.base import ServiceError
from tocsin.core.contracts.context import Context
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.contracts.route import Role
from tocsin.core.contracts.service import Service, ServiceContext
from tocsin.core.logs import get_logger
from tocsin.core.plugin.sandbox import Isolation, PluginFault, call_with_deadline
from tocsin.core.plugin.supervisor import keep_running
from tocsin.core.runtime.time_share import TimeShare
from tocsin.core.shapes import is_name, show

log = get_logger(__name__)

LONGEST_URL = 2000
"""Maximum length of a service's URL, in characters."""

STOP_PATIENCE = 5.0
"""Timeout, in seconds, for services to end."""

TOKEN_PREFIX = "service "  # noqa: S105 - it is no secret
"""What the name of a service's API token begins with."""

SHARE = 0.1
"""Share of the core's time that API requests of one third-party service may take."""

WORKS_AFTER = 60.0
"""Seconds that a service has to run after it broke its contract, until it counts as working."""

URL_DEADLINE = 2.0
"""Timeout, in seconds, for a service to return its URL."""


@define
class _Running:
    """A service, its task, and its health. ``is_configured``: whether a person wrote its table."""

    plugin: str
    service: Service
    task: asyncio.Task[None]
    is_configured: bool = False
    health: ComponentHealth = field(factory=lambda: ComponentHealth(status=Health.OK))
    share: TimeShare | None = None
    """The time that its API requests may take; None: they are not limited."""
    told: str = ""
    """The last reason that was logged, so that a recurring one is logged once."""


class ServiceSupervisor:
    """Starts the configured services, and restarts those that end.

    Args:
        isolation: runs the code of plugins.
        tokens: creates the API tokens of services.
        data_dir: the data directory, in which each service gets a directory.
        clock: the time.
        without: services that must not run even if they are configured.
    """

    def __init__(
        self,
        isolation: Isolation,
        tokens: TokenStore,
        data_dir: Path,
        clock: Clock,
        without: Collection[str] = (),
    ) -> None:
        self._isolation = isolation
        self._tokens = tokens
        self._data_dir = data_dir
        self._clock = clock
        self._without = frozenset(without)
        self._running: dict[str, _Running] = {}

    async def apply(self, services: Mapping[str, ServiceSettings], api_url: str) -> None:
        """Apply a configuration; services that are unchanged and running continue.

        Args:
            services: the configured services, by name.
            api_url: URL of the API.
        """
        wanted = {
            name: settings
            for name, settings in services.items()
            if settings.service is not None and name not in self._without
        }
        changed = [
            name
            for name, running in self._running.items()
            if name not in wanted
            or wanted[name].service != running.service
            or wanted[name].is_configured != running.is_configured
            or running.task.done()  # it could not run; a new attempt may succeed
        ]
        await self._stop(changed)
        for name, settings in wanted.items():
            if name not in self._running and settings.service is not None:
                self._start(settings, settings.service, api_url)

    def _start(self, settings: ServiceSettings, service: Service, api_url: str) -> None:
        name, part = settings.name, _part(settings.name)
        plugin = settings.plugin or name

        async def work() -> None:
            await self._clock.sleep(WORKS_AFTER)
            self._isolation.works(plugin, part)

        async def run() -> None:
            own = self._isolation.contexts.of(plugin, name)
            context = self._context(name, api_url, own)
            self._running[name].health = ComponentHealth(status=Health.OK)
            working = asyncio.create_task(work(), name=f"service {name} works")
            try:
                await self._isolation.call(
                    plugin, lambda: service.run(context), None, expects=(ServiceError,)
                )
            except PluginFault as fault:
                self._isolation.breach(plugin, part, fault)
                raise
            finally:
                working.cancel()
                self._isolation.contexts.forget(own)

        def ended(reason: str, seconds: float) -> None:
            running = self._running[name]
            running.health = ComponentHealth(status=Health.DEGRADED, message=reason)
            level = log.debug if reason == running.told else log.error
            level("a service ended", service=name, reason=reason, next_start=seconds)
            running.told = reason

        async def keep() -> None:
            try:
                await keep_running(run, self._clock, ended)
            except ServiceError as error:
                log.warning("a service cannot run", service=name, reason=str(error))
                status = Health.DEGRADED if settings.is_configured else Health.DISABLED
                self._running[name].health = ComponentHealth(status=status, message=str(error))

        share = None if plugin in self._isolation.inline else TimeShare(SHARE)
        task = asyncio.create_task(keep(), name=f"service {name}")
        self._running[name] = _Running(plugin, service, task, settings.is_configured, share=share)

    def share_of(self, token: str) -> TimeShare | None:
        """Return the time that requests with a token may take; None: they are not limited."""
        running = (
            self._running.get(token.removeprefix(TOKEN_PREFIX))
            if token.startswith(TOKEN_PREFIX)
            else None
        )
        return None if running is None else running.share

    def _context(self, name: str, api_url: str, own: Context) -> ServiceContext:
        directory = self._data_dir / "services" / name
        token = directory / "token"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            ensure_token(token, self._tokens, TOKEN_PREFIX + name, Role.VIEWER)
        except (OSError, ValueError) as error:
            raise ServiceError(f"cannot store its API token in {directory}: {error}") from error
        return ServiceContext(api_url=api_url, directory=directory, token_file=token, context=own)

    async def stop(self) -> None:
        """Stop all services."""
        await self._stop(list(self._running))

    async def _stop(self, names: Collection[str]) -> None:
        tasks = [self._running[name].task for name in names]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_PATIENCE)
        for name in names:
            if (running := self._running.pop(name, None)) is not None:
                self._isolation.works(running.plugin, _part(name))

    def urls(self) -> dict[str, str]:
        """Return the URLs of the running services that have one, by name."""
        return self.addresses(
            {
                name: (running.plugin, running.service)
                for name, running in self._running.items()
                if not running.task.done()
            }
        )

    def addresses(self, services: Mapping[str, tuple[str, Service]]) -> dict[str, str]:
        """Return the URLs of services that have one, by name. ``services``: plugin and service, by
        name."""
        found: dict[str, str] = {}
        for name, (plugin, service) in services.items():
            try:
                url: object = call_with_deadline(service.url, URL_DEADLINE, "its url() was called")
                if url is not None and not (isinstance(url, str) and is_name(url, LONGEST_URL)):
                    raise PluginFault(f"returned {show(url)} from url, not one line of text")
            except PluginFault as fault:
                self._isolation.breach(plugin, f"url() of service {name}", fault)
                continue
            self._isolation.works(plugin, f"url() of service {name}")
            if url is not None:
                found[name] = str(url)
        return found

    def health(self) -> dict[str, ComponentHealth]:
        """Return the health of each service."""
        return {f"service.{name}": running.health for name, running in self._running.items()}


def _part(name: str) -> str:
    """Return the part of a plugin that is at fault if a service fails."""
    return f"service {name}"
