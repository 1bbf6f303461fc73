"""The composition root: all parts are created, connected, started and stopped here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from datetime import datetime
from functools import partial
from pathlib import Path

from tocsin.core.auth.tokens import TokenStore
from tocsin.core.checks.check_runner import Runner
from tocsin.core.checks.inventory import Inventory
from tocsin.core.checks.probe_faults import ProbeFaults
from tocsin.core.checks.punctuality import health_of_checks
from tocsin.core.checks.reviewers import Reviewers
from tocsin.core.checks.runs import SchedulerStats
from tocsin.core.checks.scheduler import Scheduler
from tocsin.core.checks.source_supervisor import SourceSupervisor
from tocsin.core.checks.target_actions import TargetActions
from tocsin.core.clock import Clock, SystemClock
from tocsin.core.config import load_config
from tocsin.core.config.settings import Settings
from tocsin.core.contracts.model import AuditEntry, ComponentHealth, Health, Heartbeat
from tocsin.core.hiding import know
from tocsin.core.history.access import HistoryAccess
from tocsin.core.history.plugin import HistoryPlugin
from tocsin.core.http import ApiServer
from tocsin.core.lifecycle import Alerting
from tocsin.core.lifecycle.deadman import Deadman
from tocsin.core.lifecycle.health import idle
from tocsin.core.lifecycle.start_files import StartFiles
from tocsin.core.logs import get_logger
from tocsin.core.monitor.bus import Bus
from tocsin.core.plugin.contexts import Contexts
from tocsin.core.plugin.manager import PluginManager, tocsin_version
from tocsin.core.plugin.sandbox import Isolation
from tocsin.core.plugin.services import ServiceSupervisor
from tocsin.core.resolver import lookups
from tocsin.core.runtime import descriptors, gc_tuning
from tocsin.core.runtime.data_dir import StartError
from tocsin.core.runtime.turns import short_turns
from tocsin.core.state import LiveState

log = get_logger(__name__)


class Tocsin:
    """A complete tocsin: call ``start``, later ``stop``. ``http.monitor`` lists what the API uses.

    Args:
        path: the configuration file; None for none.
        env: the environment.
        plugins: the loaded plugins.
        settings: the configuration.
        clock: None for the system's clock.
        without: names of services that are not started.
    """

    def __init__(
        self,
        path: Path | None,
        env: Mapping[str, str],
        plugins: PluginManager,
        settings: Settings,
        clock: Clock | None = None,
        without: Collection[str] = (),
    ) -> None:
        self.version = tocsin_version()
        self.clock = clock or SystemClock()
        self.started_at: datetime = self.clock.now()
        self.settings = settings
        know(settings.secrets)
        self.data_dir = settings.data_dir
        self.plugins = plugins
        self.api_url = ""
        self._path, self._env = path, env
        self._tasks: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self._stopped = False
        self.bus = Bus()
        self.tokens = TokenStore(self.data_dir / "tokens.db")
        self._files = StartFiles(self.data_dir, self.tokens, self.clock)
        self.plugins.note_unbuilt(settings.unbuilt())
        self.isolation = Isolation(
            plugins.inline,
            lambda plugin, fault: plugins.fail(plugin, str(fault), part="process"),
            Contexts(self.data_dir, self.clock, env),
            plugins.hosts,
            plugins.recover,
            plugins,
        )
        failed = partial(plugins.fail, part="history")
        works = partial(plugins.recover, part="history")
        history = HistoryPlugin(settings.database, self.isolation, failed, works)
        self.history = HistoryAccess(history, self.clock)
        self.scheduler = Scheduler(
            self.clock,
            at_once=descriptors.checks_at_once,
            room=descriptors.room_for_checks,
        )
        self.reviewers = Reviewers(self.isolation)
        faults = ProbeFaults(self.clock, plugins)
        self.runner = Runner(self.clock, self.isolation, faults, self.reviewers)
        self.actions = TargetActions(self.clock, lambda: self.settings.actions.restart, self.audit)
        self.alerting = Alerting(
            settings,
            data_dir=self.data_dir,
            clock=self.clock,
            history=self.history,
            bus=self.bus,
            isolation=self.isolation,
            plugins=plugins,
            itself=self,
            actions=self.actions,
        )
        self.isolation.contexts.events = self.alerting.executor
        self.inventory = Inventory(
            settings,
            executor=self.alerting.executor,
            scheduler=self.scheduler,
            runner=self.runner,
            catalog=plugins,
            clock=self.clock,
        )
        self.sources = SourceSupervisor(
            inventory=self.inventory,
            isolation=self.isolation,
            clock=self.clock,
        )
        self.actions.sources = self.sources
        self.deadman = Deadman(self.clock, self._does_its_job)
        self.services = ServiceSupervisor(
            self.isolation, self.tokens, self.data_dir, self.clock, without
        )
        self.api = ApiServer(self)

    @property
    def state(self) -> LiveState:
        """Return the current state of targets and checks."""
        return self.alerting.state

    def audit(self, entry: AuditEntry) -> None:
        """Record a change that a person made: in the log, on the bus and in history."""
        self.alerting.executor.audit(entry)

    # Start and stop

    async def start(self) -> None:
        """Start every part.

        A data directory that cannot be written does not prevent the start: checks and notifications
        are needed all the more then.

        Raises:
            StartError: a part does not start; those that were running are stopped again.
        """
        try:
            self._files.make_admin()
            await self.history.start()
            await self.alerting.start()
            settings = self.settings
            try:
                self.api_url = await self.api.start(settings.api.host, settings.api.port)
            except OSError as error:
                raise StartError(
                    f"the API cannot listen on {settings.api.host}:{settings.api.port} "
                    f"({error.strerror or error}); set [api] port or TOCSIN_API_PORT to a free one"
                ) from error
            self._files.tell_address(self.api_url)
            await self.reviewers.apply(settings.reviewers)
            self.inventory.apply(settings)
            await self.sources.apply(settings)
            self._tasks += [
                asyncio.create_task(self.scheduler.run(), name="scheduler"),
                asyncio.create_task(self.isolation.watch(), name="isolation"),
            ]
            self.deadman.apply(settings.deadman)
            await self.services.apply(settings.services, self.api_url)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop every part; history is flushed last. It is safe to call this twice."""
        self._stopped = self.plugins.is_stopping = True
        self.inventory.checks.close()
        # What waits for plugins waits for all of them at the same time.
        # Only those of channels and observers are needed longer: messages and changes that are
        # under way are sent.
        needed = {c.plugin or "" for c in self.settings.channels.values()}
        needed |= {o.plugin or "" for o in self.settings.observers.values()}
        await asyncio.gather(
            self.services.stop(), self.deadman.stop(), self.sources.stop(), self.reviewers.stop(),
            self.isolation.leave(needed),
        )  # fmt: skip
        await self.api.stop()
        await self._files.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self.alerting.stop()
        await self.history.stop()
        await self.isolation.stop()
        lookups.LOOKUPS.forget()

    # Used by the API (see http.monitor)

    def health(self) -> dict[str, ComponentHealth]:
        """Return the health of each component of tocsin, by name."""
        return {
            **self.isolation.contexts.health(),
            **health_of_checks(
                self.scheduler,
                self.runner.last_shortage,
                self.isolation.last_standstill,
                self.clock.monotonic(),
            ),
            "database": self.history.health(),
            "data_dir": self._files.health(),
            "plugins": self.plugins.health(),
            **idle(self.settings.idle),
            **self.sources.health(),
            **self.services.health(),
            **self.alerting.health(),
            **self.deadman.health(),
        }

    def _does_its_job(self) -> bool:
        """Return whether no component has failed, so that the dead man's switch may ping."""
        return all(part.status is not Health.FAILED for part in self.health().values())

    def sees_all(self) -> bool:
        """Return whether every source can see its targets now."""
        return self.sources.sees_all()

    def has_looked_around(self) -> bool:
        """Return whether every source and check has had a first result since the start."""
        return self.sources.looked_around() and self.state.has_first_results()

    def stats(self) -> SchedulerStats:
        """Return the scheduler's statistics."""
        return self.scheduler.stats()

    def beat(self, key: str, beat: Heartbeat) -> str:
        """Record a heartbeat and return the id of the check that received it.

        Raises:
            KeyError: no check expects heartbeats with this key.
        """
        return self.inventory.checks.beat(key, beat)

    async def reload(self) -> Settings:
        """Read the configuration again and apply it as a whole, or keep the current one.

        Changes of the API's address, the database and the data directory apply at the next start.

        Raises:
            ConfigError: the new configuration has errors; the current one stays in force.
        """
        async with self._reloading:
            with short_turns(), gc_tuning.held():
                settings = await asyncio.to_thread(load_config, self._path, self._env, self.plugins)
            self.settings = settings
            know(settings.secrets)
            self.plugins.note_unbuilt(settings.unbuilt())
            async with aclosing(self._applying(settings)) as steps:
                async for _ in steps:
                    if self._stopped:  # what was stopped meanwhile must not start again
                        return settings
            log.info("configuration reloaded", file=str(self._path) if self._path else None)
            return settings

    async def _applying(self, settings: Settings) -> AsyncGenerator[None, None]:
        """Apply a configuration in steps, each of which leaves time to others."""
        yield
        await self.sources.end_changed(settings)
        for _ in self.inventory.retiring(settings):
            await asyncio.sleep(0)
            yield
        await self.alerting.apply(settings)
        await self.reviewers.apply(settings.reviewers)
        yield
        for _ in self.inventory.applying(settings):
            await asyncio.sleep(0)
            yield
        await self.sources.apply(settings)
        yield
        self.deadman.apply(settings.deadman)
        await self.services.apply(settings.services, self.api_url)

    def dependents(self, target: str) -> list[str]:
        """Return the sorted names of the direct and indirect dependents of a target.

        Instances are represented by their service.
        """
        return list(self.alerting.engine.graph.dependents(target))
