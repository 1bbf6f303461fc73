"""What a runtime in a host is given: the core's log, stored values, secrets and events come over
the connection; session, threads and directory are the host's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from attrs import frozen

from tocsin.core.clock import Clock, SystemClock
from tocsin.core.contracts.base import Secret
from tocsin.core.contracts.context import Json, Log, Storage
from tocsin.core.contracts.model import Event
from tocsin.core.hosts import methods
from tocsin.core.hosts.offers import plain
from tocsin.core.hosts.peer import Peer
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.resources import Resources, directory_of

if TYPE_CHECKING:
    import aiohttp

P = ParamSpec("P")
T = TypeVar("T")


@frozen
class _Log:
    """A log whose lines the core writes."""

    peer: Peer
    number: int

    def debug(self, event: str, **facts: object) -> object:
        """Log what only a developer needs."""
        return self._write("debug", event, facts)

    def info(self, event: str, **facts: object) -> object:
        """Log normal operation."""
        return self._write("info", event, facts)

    def warning(self, event: str, **facts: object) -> object:
        """Log what a person should look at."""
        return self._write("warning", event, facts)

    def error(self, event: str, **facts: object) -> object:
        """Log a failure."""
        return self._write("error", event, facts)

    def _write(self, level: str, event: str, facts: dict[str, object]) -> object:
        arguments = (
            self.number,
            level,
            str(event),
            {k: plain(v, hide=True) for k, v in facts.items()},
        )
        with suppress(PluginFault):  # a line that cannot be sent ends nothing
            self.peer.note(methods.LOG, arguments)
        return None


@frozen
class _Storage:
    """Stored values of the plugin, which the core keeps."""

    peer: Peer
    number: int

    async def get(self, key: str) -> Json:
        """Return the value of ``key``; None if there is none."""
        found: Json = (await self.peer.ask(methods.STORED, (self.number, key)))[0]
        return found

    async def put(self, key: str, value: Json) -> None:
        """Store a value; see the contract."""
        try:
            await self.peer.ask(methods.STORE, (self.number, key, value))
        except PluginFault as fault:
            raise ValueError(f"the value {fault}") from fault

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with ``prefix``, sorted."""
        return await self.peer.ask(methods.STORED_KEYS, (self.number, prefix))


@frozen(eq=False)
class HostContext:
    """See :class:`tocsin.core.contracts.context.Context`."""

    plugin: str
    name: str
    number: int
    _peer: Peer
    _resources: Resources
    _data_dir: Path

    @property
    def log(self) -> Log:
        """Return a log whose lines the core writes."""
        return _Log(self._peer, self.number)

    @property
    def clock(self) -> Clock:
        """Return the system's clock."""
        return SystemClock()

    @property
    def storage(self) -> Storage:
        """Return the plugin's stored values."""
        return _Storage(self._peer, self.number)

    @property
    def directory(self) -> Path:
        """Return the plugin's directory. Raises OSError."""
        return directory_of(self.plugin, self._data_dir)

    @property
    def http(self) -> aiohttp.ClientSession:
        """Return the HTTP session of the plugin in this host."""
        return self._resources.http()

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of the plugin's threads."""
        return await self._resources.in_thread(partial(function, *args, **kwargs))

    async def secret(self, name: str) -> Secret | None:
        """Return a secret from tocsin's environment. Raises OSError."""
        return (await self._peer.ask(methods.SECRET, (self.number, name)))[0]

    async def emit(self, event: Event) -> None:
        """Record an event of a target; beyond the plugin's credit it is dropped."""
        arguments: Any = (self.number, event)
        await self._peer.ask(methods.EMIT, arguments)

    async def report_trouble(self, trouble: str | None) -> None:
        """Show in ``/health`` whether the runtime can work."""
        await self._peer.ask(methods.REPORT_TROUBLE, (self.number, trouble))
