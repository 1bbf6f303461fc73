"""Supervision of sources, and transfer of what they report into the core."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import datetime
from typing import Any, TypeVar

from attrs import define, evolve, field

from tocsin.core.boundary import cleaned_lines
from tocsin.core.checks.intake import Intake
from tocsin.core.checks.inventory import Inventory
from tocsin.core.clock import Clock
from tocsin.core.config.settings import Settings, SourceSettings
from tocsin.core.contracts.base import ActionError, Claim, Source
from tocsin.core.contracts.model import (
    ComponentHealth,
    Event,
    Health,
    LogLine,
    Observation,
    Result,
    Target,
)
from tocsin.core.hiding import clean, clean_data
from tocsin.core.logs import get_logger
from tocsin.core.plugin.manager import PluginManager
from tocsin.core.plugin.sandbox import Isolation, PluginFault, describe
from tocsin.core.plugin.supervisor import keep_running
from tocsin.core.shapes import (
    fit_claim,
    fit_document,
    fit_event,
    fit_lines,
    fit_names,
    fit_own_name,
    fit_result,
    fit_tables,
    fit_target,
    fit_time,
)

log = get_logger(__name__)
T = TypeVar("T")

MOST_FOUND = 20_000
"""Maximum number of targets of one source."""

STOP_PATIENCE = 3.0
"""Timeout, in seconds, for a source to end."""

READERS = 3
"""Number of requests for log lines that are served at once; others wait."""


@define(eq=False)
class SourceSink:
    """The core's end of one run of a source; may be called from any thread (see
    ``contracts.Sink``). Calls from another thread go through ``intake``, which is bounded.

    ``blame`` is called with each fault of the source, as a clause.
    """

    name: str
    inventory: Inventory
    clock: Clock
    intake: Intake
    recovered: Callable[[], object]
    """Called when the source works again, which ends the faults of its plugin."""
    blame: Callable[[str], object]
    kind: str = "container"
    """Kind of the targets that it finds."""
    home: int = field(factory=threading.get_ident)
    seen: bool = False
    """Whether an inventory has succeeded since the start."""
    trouble: str | None = None
    """Why the source cannot see its targets, or None."""
    names: set[str] = field(factory=set)
    """Its own names of the targets that it has found."""

    def _post(self, function: Callable[..., object], *args: Any) -> None:
        if threading.get_ident() == self.home:
            self._contained(function, *args)
        else:
            self.intake.put(self._contained, function, *args)

    def _contained(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function; an error in what is reported of one target affects no other target."""
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001 - reported as a fault of the source
            self.blame(f"reported something invalid ({function.__name__.strip('_')}): "
                       f"{describe(error)}")  # fmt: skip

    def _fit(
        self, fit: Callable[[], tuple[T, str | None]], found: list[str] | None = None
    ) -> T | None:
        """Return the valid part of what a source handed over; None if nothing is valid.

        It is validated in the source's thread, since reading it may run the source's code.
        ``found`` collects sentences about what was invalid.
        """
        try:
            value, wrong = fit()
        except PluginFault as fault:
            value, wrong = None, str(fault)
        if wrong is not None:
            self._post(self.blame, wrong)
            if found is not None:
                found.append(f"its source's description of it is invalid: {wrong}")
        return value

    def discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
        claim: Claim | None = None,
    ) -> None:
        """See ``contracts.Sink.discovered``."""
        wrong: list[str] = []
        known = self._fit(lambda: fit_target(target), wrong)
        if known is not None:
            tables = self._fit(lambda: fit_tables(checks), wrong)
            claimed = self._fit(lambda: fit_claim(claim), wrong)
            if wrong:
                claimed = claimed or Claim()
                claimed = evolve(claimed, refused=(*wrong, *claimed.refused))
            self._post(self._discovered, known, tables, claimed)

    def _discovered(
        self,
        target: Target,
        checks: Mapping[str, Mapping[str, Any]] | None,
        claim: Claim | None,
    ) -> None:
        if target.name not in self.names:
            if len(self.names) >= MOST_FOUND:
                self.blame(f"has found more than {MOST_FOUND} targets; others are not watched")
                return
            self.names.add(target.name)
        try:
            self.inventory.discovered(self.name, target, checks, claim)
        except Exception as error:  # noqa: BLE001 - the target is watched without its labels
            bare = Target(name=target.name, kind=self.kind)
            reason = f"its source's description of it is invalid: {describe(error)}"
            self.inventory.discovered(self.name, bare, None, Claim(refused=(reason,)))

    def observed(self, target: str, result: Result, at: datetime | None = None) -> None:
        """See ``contracts.Sink.observed``."""
        now = self.clock.now()
        own = self._fit(lambda: (fit_own_name(target), None))
        seen = self._fit(lambda: fit_result(result, "observed"))
        if own is not None and seen is not None:
            self._post(self._observed, own, seen, now if at is None else fit_time(at, now))

    def _observed(self, own: str, result: Result, at: datetime) -> None:
        target = self.inventory.name_of(self.name, own)
        seen = Observation(target=target, check=self.name, at=at, result=result)
        self.inventory.executor.observe(seen)

    def happened(self, event: Event) -> None:
        """See ``contracts.Sink.happened``."""
        known = self._fit(lambda: fit_event(event, self.clock.now()))
        if known is not None:
            self._post(self._happened, known)

    def _happened(self, event: Event) -> None:
        target = self.inventory.name_of(self.name, event.target)
        self.inventory.executor.happened(evolve(event, target=target))

    def retired(self, target: str, message: str) -> None:
        """See ``contracts.Sink.retired``."""
        own = self._fit(lambda: (fit_own_name(target), None))
        if own is not None:
            self._post(self._retired, own, clean(str(message)))

    def _retired(self, own: str, message: str) -> None:
        self.names.discard(own)
        self.inventory.retired(self.name, own, message)

    def synced(self, targets: Collection[str]) -> None:
        """See ``contracts.Sink.synced``."""
        wrong: list[str] = []
        names = self._fit(lambda: fit_names(targets), wrong)
        if names is not None:
            self._post(self._synced, names, not wrong)

    def impaired(self, message: str) -> None:
        """See ``contracts.Sink.impaired``."""
        self._post(self._impaired, clean(str(message)))

    def _synced(self, targets: frozenset[str], is_whole: bool) -> None:
        if self.trouble is not None and self.seen:
            log.info("a source works again", source=self.name, targets=len(targets))
        self.seen, self.trouble = True, None
        self.names &= targets
        if is_whole:
            self.recovered()
        self.inventory.synced(self.name, targets)

    def _impaired(self, message: str) -> None:
        if self.trouble is None:
            level = log.warning if self.seen else log.info
            level("a source cannot see its targets", source=self.name, reason=message)
        self.trouble = message
        self.inventory.impaired(self.name, message)


@define(eq=False)
class _Running:
    settings: SourceSettings
    source: Source
    sink: SourceSink
    task: asyncio.Task[None]


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

    async def apply(self, settings: Settings) -> None:
        """Apply a configuration; unchanged sources keep running."""
        for name, running in list(self._running.items()):
            if settings.sources.get(name) != running.settings:
                await self._stop(name)
                if name in self._at_fault:
                    self._forgive(name, running.settings.plugin or "")
        self._broken = {}
        for name, source in settings.sources.items():
            if source.source is None:
                self._broken[name] = source.broken or "its plugin is not available"
            elif name not in self._running:
                self._start(source, source.source)

    def _start(self, settings: SourceSettings, source: Source) -> None:
        plugin = settings.plugin or ""
        name, loop = settings.name, asyncio.get_running_loop()

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
            try:
                await self._isolation.call(
                    plugin, lambda: source.run(name, settings.interval, sink), None
                )
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
        self._running[name] = _Running(settings, source, new_sink(), task)

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

    async def stop(self) -> None:
        """Stop all sources."""
        await asyncio.gather(*map(self._stop, list(self._running)))

    def looked_around(self) -> bool:
        """Return whether every source has taken an inventory, or reported why it cannot."""
        return all(r.sink.seen or r.sink.trouble is not None for r in self._running.values())

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

    async def logs(self, target: str, lines: int) -> list[LogLine]:
        """Return the last ``lines`` log lines of a target, cleaned.

        Raises:
            ActionError: they cannot be read.
        """
        async with self._reading:  # limits the memory that many readers need

            async def read(source: Source, own: str) -> list[LogLine]:
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

        async def read(source: Source, own: str) -> dict[str, Any]:
            return fit_document(await source.inspect(own))

        found = await self._do(target, read, 20)
        shown: Mapping[str, Any] = await asyncio.to_thread(clean_data, found, most=2_000_000)
        return shown

    async def _do(
        self, target: str, act: Callable[[Source, str], Coroutine[Any, Any, T]], deadline: float
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
            raise ActionError(f"{target} does not belong to a source that can do this")
        own = self._inventory.own_name(running.settings.name, target)
        try:
            return await self._isolation.call(
                running.settings.plugin or "",
                lambda: act(running.source, own),
                deadline,
                expects=(ActionError,),
            )
        except TimeoutError:
            raise ActionError(f"{target} did not answer within {deadline:g} s") from None
        except ActionError as error:
            raise ActionError(clean(str(error)), missing=error.missing) from error
        except PluginFault as fault:
            raise ActionError(clean(f"plugin {running.settings.plugin} {fault}")) from fault
