"""The contract of services: long-running parts that the core supervises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from attrs import frozen

from tocsin.core.contracts.base import Secret
from tocsin.core.contracts.context import Context, Log, PluginClock, Storage
from tocsin.core.contracts.model import Event

if TYPE_CHECKING:
    import aiohttp

P = ParamSpec("P")
T = TypeVar("T")


@frozen(kw_only=True)
class ServiceContext:
    """What a service gets from the core: access to the API, and all that a
    :class:`tocsin.Context` has.

    Attributes:
        api_url: the URL of the API.
        directory: a directory for this service alone; it exists and has mode 0700.
        token_file: a file of mode 0600 with an API token of the role viewer.
    """

    api_url: str
    directory: Path
    token_file: Path
    _context: Context

    @property
    def plugin(self) -> str:
        """Return the name of the plugin."""
        return self._context.plugin

    @property
    def name(self) -> str:
        """Return the name of the service."""
        return self._context.name

    @property
    def log(self) -> Log:
        """Return the log; see :attr:`tocsin.Context.log`."""
        return self._context.log

    @property
    def clock(self) -> PluginClock:
        """Return the clock."""
        return self._context.clock

    @property
    def storage(self) -> Storage:
        """Return the plugin's values that survive restarts."""
        return self._context.storage

    @property
    def http(self) -> aiohttp.ClientSession:
        """Return the plugin's HTTP session; see :attr:`tocsin.Context.http`."""
        return self._context.http

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that blocks; see :meth:`tocsin.Context.in_thread`."""
        return await self._context.in_thread(function, *args, **kwargs)

    async def secret(self, name: str) -> Secret | None:
        """Return a secret from the environment; see :meth:`tocsin.Context.secret`."""
        return await self._context.secret(name)

    async def emit(self, event: Event) -> None:
        """Record an event of a target; see :meth:`tocsin.Context.emit`."""
        await self._context.emit(event)

    async def report_trouble(self, trouble: str | None) -> None:
        """Show in ``/health`` whether it can work; see :meth:`tocsin.Context.report_trouble`."""
        await self._context.report_trouble(trouble)


@frozen(kw_only=True)
class Service(ABC):
    """A long-running part, such as the dashboard, that the core starts, supervises and stops."""

    @abstractmethod
    async def run(self, context: ServiceContext) -> None:
        """Serve until cancelled. An exception ends the run; the core starts a new one after a
        backoff.

        Args:
            context: what the core gives to the service; valid until the run ends.

        Raises:
            ServiceError: the service cannot run.
        """

    def url(self) -> str | None:
        """Return the URL at which people open the service, shown when tocsin starts; None if there
        is none."""
        return None
