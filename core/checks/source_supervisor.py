"""Supervision of sources, and transfer of what they report into the core."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from attrs import define

from tocsin.core.boundary import cleaned_lines
from tocsin.core.checks.intake import Intake
from tocsin.core.checks.inventory import Inventory
from tocsin.core.checks.source_sink import SourceSink
from tocsin.core.clock import Clock
from tocsin.core.config.settings import Settings, SourceSettings
from tocsin.core.contracts.base import ActionError
from tocsin.core.contracts.container import REPLICATED
from tocsin.core.contracts.model import ComponentHealth, Health, LogLine
from tocsin.core.contracts.source import Action, Source, SourceRuntime, actions_of
from tocsin.core.hiding import clean, clean_data
from tocsin.core.logs import get_logger
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.runtimes import Runtime
from tocsin.core.plugin.sandbox import Isolation, PluginFault
from tocsin.core.plugin.supervisor import keep_running
from tocsin.core.shapes import fit_document, fit_lines

log = get_logger(__name__)
T = TypeVar("T")

STOP_PATIENCE = 3.0
"""Timeout, in seconds, for a source to end."""

FIRST_WITHIN = 15.0
"""Seconds that the settling phase after a start waits for the first inventory of a source. One that
reports none must not delay the notifications of everything else for longer."""

READERS = 3
"""Number of requests for log lines that are served at once; others wait."""


@define(eq=False)
class _Running:
    settings: SourceSettings
    runtime: Runtime[SourceRuntime]
    sink: SourceSink
    task: asyncio.Task[None]
    began: float
    """When it was started, in monotonic seconds."""


class SourceSupervisor:
    """Starts, restarts and stops the configured sources, and performs actions through them."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        isolation: Isolation,
        plugins: PluginManager,
        clock: Clock,
    ) -> None:
        self._inventory = inventory
        self._isolation = isolation
        self._plugins = plugins
        self._clock = clock
        self._running: dict[str, _Running] = {}
        self._broken: dict[str, str] = {}
        self._at_fault: dict[str, str] = {}
        """Sources for which their plugin is marked as failed, and that plugin."""
        self._reading = asyncio.Semaphore(READERS)

    async def end_changed(self, settings: Settings) -> None:
        """Stop the sources that a configuration removes or changes, before it is applied: what they
        would still report belongs to no source of it."""
        for name, running in list(self._running.items()):
            if settings.sources.get(name) != running.settings:
                await self._stop(name)
                if name in self._at_fault:
                    self._forgive(name, running.settings.plugin or "")

    async def apply(self, settings: Settings) -> None:
        """Apply a configuration; unchanged sources keep running."""
        await self.end_changed(settings)
        self._broken = {}
        for name, source in settings.sources.items():
            if source.source is None:
                self._broken[name] = source.broken or "its plugin is not available"
            elif name not in self._running:
                self._start(source, source.source)

    def _start(self, settings: SourceSettings, source: Source) -> None:
        plugin = settings.plugin or ""
        name, loop = settings.name, asyncio.get_running_loop()
        runtime = Runtime(source, self._isolation.contexts.of(plugin, name))

        def blame(what: str) -> None:
            self._at_fault[name] = plugin
            if self._plugins.fail(plugin, f"source {name} {what}"):
                log.error("a source breaks its contract", source=name, plugin=plugin, reason=what)

        def new_sink() -> SourceSink:
            """Return a sink for one run; calls that an earlier run still makes are ignored."""
            intake = Intake(loop, blame, lambda: self._isolation.awaited(plugin))
            return SourceSink(
                name, self._inventory, self._clock, intake,
                lambda: self._forgive(name, plugin), blame, settings.target_kind,
            )  # fmt: skip

        async def run() -> None:
            before = self._running[name].sink
            sink = self._running[name].sink = new_sink()
            sink.seen, sink.trouble, sink.names = before.seen, before.trouble, before.names

            async def watch() -> None:
                await (await runtime.get()).run(name, settings.interval, sink)

            try:
                await self._isolation.call(plugin, watch, None)
            finally:
                sink.intake.close()

        def ended(reason: str, seconds: float) -> None:
            log.error(
                "a source ended", source=name, plugin=plugin,
                reason=reason, next_start_seconds=seconds,
            )  # fmt: skip
            self._at_fault[name] = plugin
            self._plugins.fail(plugin, f"source {name} {reason}")
            why = f"source {name} failed: plugin {plugin} {reason}"
            self._running[name].sink.impaired(why)

        task = asyncio.create_task(keep_running(run, self._clock, ended))
        began = self._clock.monotonic()
        self._running[name] = _Running(settings, runtime, new_sink(), task, began)

    def _forgive(self, name: str, plugin: str) -> None:
        """Clear the fault of a source that works or is removed, and that of its plugin, unless
        another source of the plugin has one."""
        self._at_fault.pop(name, None)
        if plugin not in self._at_fault.values():
            self._plugins.recover(plugin)

    async def _stop(self, name: str) -> None:
        running = self._running.pop(name)
        running.sink.intake.close()
        running.task.cancel()
        await asyncio.wait({running.task}, timeout=STOP_PATIENCE)
        await self._isolation.close(running.settings.plugin or "", running.runtime)

    async def stop(self) -> None:
        """Stop all sources."""
        await asyncio.gather(*map(self._stop, list(self._running)))

    def looked_around(self) -> bool:
        """Return whether every source has taken an inventory, reported why it cannot, or had
        :data:`FIRST_WITHIN` seconds to do so."""
        late = self._clock.monotonic() - FIRST_WITHIN
        return all(
            r.sink.seen or r.sink.trouble is not None or r.began <= late
            for r in self._running.values()
        )

    def sees_all(self) -> bool:
        """Return whether every source works, so that a target that none reports does not exist."""
        return not self._broken and all(
            (r.sink.seen and r.sink.trouble is None) or (r.settings.automatic and not r.sink.seen)
            for r in self._running.values()
        )

    def health(self) -> dict[str, ComponentHealth]:
        """Return the health of each source. A source that runs by default and never worked counts
        as disabled."""
        parts = {
            f"source.{name}": ComponentHealth(status=Health.DEGRADED, message=reason)
            for name, reason in self._broken.items()
        }
        for name, running in self._running.items():
            sink = running.sink
            if sink.trouble is not None:
                absent = not sink.seen and running.settings.automatic
                status = Health.DISABLED if absent else Health.DEGRADED
                part = ComponentHealth(status=status, message=sink.trouble)
            elif not sink.seen:
                part = ComponentHealth(status=Health.OK, message="taking its first inventory")
            else:
                part = ComponentHealth(status=Health.OK)
            parts[f"source.{name}"] = part
        return parts

    def actions(self, target: str) -> frozenset[Action]:
        """Return what can be done with a target now, through its source."""
        known = self._inventory.state.targets.get(target)
        running = None if known is None else self._running.get(known.source or "")
        if known is None or running is None or running.settings.source is None:
            return frozenset()
        if known.target.kind == REPLICATED:  # its containers have logs, and can be restarted
            return frozenset()
        return actions_of(type(running.settings.source))

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last ``lines`` log lines of a target, cleaned.

        Raises:
            ActionError: they cannot be read.
        """
        async with self._reading:  # limits the memory that many readers need

            async def read(source: SourceRuntime, own: str) -> list[LogLine]:
                return fit_lines(await source.logs(own, lines), lines)

            return await asyncio.to_thread(cleaned_lines, await self._do(target, read, 20))

    async def restart(self, target: str) -> None:
        """Restart a target.

        Raises:
            ActionError: it failed.
        """
        await self._do(target, lambda source, own: source.restart(own), 90)

    async def inspect(self, target: str) -> Mapping[str, Any]:
        """Return all that its source knows of a target, without secrets.

        Raises:
            ActionError: it cannot be read.
        """

        async def read(source: SourceRuntime, own: str) -> dict[str, Any]:
            return fit_document(await source.inspect(own))

        found = await self._do(target, read, 20)
        shown: Mapping[str, Any] = await asyncio.to_thread(clean_data, found, most=2_000_000)
        return shown

    async def _do(
        self,
        target: str,
        act: Callable[[SourceRuntime, str], Coroutine[Any, Any, T]],
        deadline: float,
    ) -> T:
        """Perform an action through the source of a target, under the source's own name of it.

        Args:
            target: name of the target.
            act: performs the action.
            deadline: timeout in seconds.

        Raises:
            ActionError: there is no such target or source, or the action failed.
        """
        known = self._inventory.state.targets.get(target)
        if known is None:
            raise ActionError(f"there is no target called {target!r}", missing=True)
        running = self._running.get(known.source or "")
        if running is None:
            text = f"{target} does not belong to a source that can do this"
            raise ActionError(text, missing=True)
        own = self._inventory.own_name(running.settings.name, target)

        async def perform() -> T:
            return await act(await running.runtime.get(), own)

        try:
            return await self._isolation.call(
                running.settings.plugin or "",
                perform,
                deadline,
                expects=(ActionError,),
            )
        except TimeoutError:
            raise ActionError(f"{target} did not answer within {deadline:g} s") from None
        except ActionError as error:
            raise ActionError(clean(str(error)), missing=error.missing) from error
        except PluginFault as fault:
            raise ActionError(clean(f"plugin {running.settings.plugin} {fault}")) from fault
