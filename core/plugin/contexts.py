"""The contexts of plugins' runtimes, and what all runtimes of a plugin share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar
from weakref import WeakSet

import aiohttp
from attrs import define, field, frozen

from tocsin.core.clock import Clock
from tocsin.core.config.environment import Environment
from tocsin.core.config.errors import Problems
from tocsin.core.contracts.base import Secret
from tocsin.core.contracts.context import Context, Log, Storage
from tocsin.core.contracts.model import ComponentHealth, Event, Health
from tocsin.core.hiding import know
from tocsin.core.logs import PLUGINS, get_logger
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.resources import Resources, directory_of
from tocsin.core.plugin.storage import PluginStorage, StorageFile
from tocsin.core.shapes import fit_event, fit_trouble

log = get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

BURST, RATE = 100.0, 10.0
"""Events that a plugin may emit at once, and per second afterwards; further ones are dropped."""


REPORT_EVERY = 60.0
"""Seconds between two lines in the log about events of a plugin that were dropped."""


class EventSink(Protocol):
    """Receives the events that plugins emit, in the core's loop."""

    def happened(self, event: Event) -> None:
        """Record an event of a target."""


@define(eq=False)
class Contexts:
    """Makes contexts, and owns what they share.

    Attributes:
        data_dir: tocsin's data directory.
        clock: the clock.
        env: the environment, for secrets.
        events: receives emitted events; None: they are dropped, as no tocsin is running.
    """

    data_dir: Path
    clock: Clock
    env: Mapping[str, str] = field(factory=dict)
    events: EventSink | None = None
    _file: StorageFile = field(init=False)
    _shared: dict[str, _Shared] = field(init=False, factory=dict)
    _troubles: dict[Context, str | None] = field(init=False, factory=dict)
    """What runtimes reported, until they are closed."""
    _ended: WeakSet[Context] = field(init=False, factory=WeakSet)
    """Contexts of closed runtimes; one that was still being opened may report later."""

    def __attrs_post_init__(self) -> None:
        self._file = StorageFile(self.data_dir / "plugins.db")

    def of(self, plugin: str, name: str) -> RuntimeContext:
        """Return the context of a runtime. Called in the core's loop.

        Args:
            plugin: name of the plugin.
            name: what is opened: the id of a check, or the name of a source, channel, observer or
                service.
        """
        shared = self._shared.get(plugin)
        if shared is None:
            shared = self._shared[plugin] = _Shared(
                PluginStorage(self._file, plugin), Resources(plugin)
            )
        return RuntimeContext(plugin, name, self, shared, _running_loop())

    def report(self, context: Context, trouble: str | None) -> None:
        """Keep what a runtime reports; called in any thread."""
        self._troubles[context] = trouble
        if context in self._ended:  # asked afterwards, as it may end in another thread meanwhile
            self._troubles.pop(context, None)

    def forget(self, context: Context) -> None:
        """Drop what a runtime has reported, and what it reports from now on."""
        self._ended.add(context)
        self._troubles.pop(context, None)

    def health(self) -> dict[str, ComponentHealth]:
        """Return the health of the runtimes that report it, by component."""
        found = {}
        for context, trouble in self._troubles.copy().items():
            own = context.name == context.plugin
            found[context.plugin if own else f"{context.plugin}.{context.name}"] = (
                ComponentHealth(status=Health.OK)
                if trouble is None
                else ComponentHealth(status=Health.DEGRADED, message=trouble)
            )
        return found

    async def close(self, plugin: str) -> None:
        """Close what the runtimes of a plugin share. Called in the plugin's loop."""
        if (shared := self._shared.pop(plugin, None)) is not None:
            await shared.resources.close()

    def stop(self) -> None:
        """Close the file of stored values."""
        self._file.close()

    def in_use(self) -> list[str]:
        """Return the plugins that have a session or threads."""
        return [name for name, shared in self._shared.items() if shared.resources.are_in_use]


@define(eq=False)
class _Shared:
    """What the runtimes of one plugin share."""

    storage: PluginStorage
    resources: Resources
    credit: float = BURST
    credited_at: float = field(factory=time.monotonic)
    dropped: int = 0
    """Events that were dropped since the last line about it in the log."""
    reported_at: float = -inf
    """When that line was written, in monotonic seconds."""

    def may_emit(self, plugin: str) -> bool:
        """Take one credit for an event; return False if there is none."""
        now = time.monotonic()
        self.credit = min(BURST, self.credit + (now - self.credited_at) * RATE)
        self.credited_at = now
        if self.credit >= 1:
            self.credit -= 1
            return True
        self.dropped += 1
        if now - self.reported_at >= REPORT_EVERY:
            log.warning("a plugin emits too many events; those beyond its rate are dropped",
                        plugin=plugin, per_second=RATE, dropped=self.dropped)  # fmt: skip
            self.dropped, self.reported_at = 0, now
        return False


@frozen(eq=False)
class RuntimeContext:
    """See :class:`tocsin.core.contracts.context.Context`."""

    plugin: str
    name: str
    _contexts: Contexts
    _shared: _Shared
    _home: asyncio.AbstractEventLoop | None

    @property
    def log(self) -> Log:
        """Return a log whose lines carry the plugin and what was opened."""
        log: Log = get_logger(f"{PLUGINS}{self.plugin}").bind(plugin=self.plugin, name=self.name)
        return log

    @property
    def clock(self) -> Clock:
        """Return the clock."""
        return self._contexts.clock

    @property
    def storage(self) -> Storage:
        """Return the plugin's stored values."""
        return self._shared.storage

    @property
    def directory(self) -> Path:
        """Return the plugin's directory. Raises OSError."""
        return directory_of(self.plugin, self._contexts.data_dir)

    @property
    def data_dir(self) -> Path:
        """Return tocsin's data directory, for a history."""
        return self._contexts.data_dir

    @property
    def http(self) -> aiohttp.ClientSession:
        """Return the plugin's HTTP session in the running loop."""
        return self._shared.resources.http()

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of the plugin's threads."""
        return await self._shared.resources.in_thread(partial(function, *args, **kwargs))

    async def secret(self, name: str) -> Secret | None:
        """Return a secret from the environment; see the contract. Raises OSError."""
        value = await asyncio.to_thread(_read, self._contexts.env, name)
        if value is None:
            return None
        know([value])
        return Secret(value)

    async def emit(self, event: Event) -> None:
        """Record an event of a target; beyond the plugin's credit it is dropped."""
        known, wrong = fit_event(event, self.clock.now())
        if wrong is not None:
            raise PluginFault(wrong)
        events = self._contexts.events
        if not self._shared.may_emit(self.plugin) or events is None:
            return
        if self._home is None or self._home is _running_loop():
            events.happened(known)
        else:
            self._home.call_soon_threadsafe(events.happened, known)

    async def report_trouble(self, trouble: str | None) -> None:
        """Show in ``/health`` whether the runtime can do its work."""
        self._contexts.report(self, fit_trouble(trouble))


def _read(env: Mapping[str, str], name: str) -> str | None:
    problems = Problems("the environment")
    found = Environment(env, problems).get(name)
    if problems.found:
        raise OSError(str(problems.found[0]))
    return found


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
