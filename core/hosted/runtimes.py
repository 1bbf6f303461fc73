"""The runtimes that this host has opened of its plugins' objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import define, field

from tocsin.core.contracts.model import CheckError
from tocsin.core.contracts.notifier import NotifyError
from tocsin.core.hosted.construct import Constructor
from tocsin.core.hosted.context import HostContext
from tocsin.core.hosts.methods import Opening
from tocsin.core.hosts.peer import Peer
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.guard import Expected, guarded
from tocsin.core.plugin.resources import Resources
from tocsin.core.shapes import fit_opened

T = TypeVar("T")

CLOSE_WITHIN = 2.0
"""Seconds within which a runtime has to close."""


@define(eq=False)
class HostRuntimes:
    """Opens, calls and closes runtimes.

    Attributes:
        constructor: makes the plugins' objects.
        peer: the connection to the core; set before the first call.
    """

    constructor: Constructor
    peer: Peer = field(init=False)
    _runtimes: dict[int, tuple[Any, Any]] = field(init=False, factory=dict)
    """By number: the runtime and its options."""
    _runs: dict[int, asyncio.Task[Any]] = field(init=False, factory=dict)
    """By number: the run of a source, or what a notifier listens with, that is closed after it."""
    _resources: dict[str, Resources] = field(init=False, factory=dict)

    async def open(self, number: int, opening: Opening) -> None:
        """Open a runtime of a plugin's object, under the number that the core gives to it."""
        options, plugin = await self.constructor.of(opening.options)
        context = self.context(number, plugin, opening.name, opening.data_dir)

        async def open_it() -> Any:
            try:
                return fit_opened(options, await options.open(context))
            except CheckError as error:  # no fault of the plugin
                return error

        opened = await guarded(open_it, None, (NotifyError,))
        if isinstance(opened, CheckError):
            raise CheckError(str(opened))
        self._runtimes[number] = (opened, options)

    def context(self, number: int, plugin: str, name: str, data_dir: str) -> HostContext:
        """Return the context of one object of a plugin."""
        resources = self._resources.setdefault(plugin, Resources(plugin))
        return HostContext(plugin, name, number, self.peer, resources, Path(data_dir))

    async def close(self, number: int) -> None:
        """Close a runtime, after the end of what it runs."""
        opened = self._runtimes.pop(number, None)
        if opened is None:
            return

        async def close() -> None:
            if (run := self._runs.get(number)) is not None:
                await asyncio.wait({run})
            await opened[0].close()

        with suppress(PluginFault, TimeoutError):  # nothing more is expected of it
            await guarded(close, CLOSE_WITHIN, ())

    def get(self, number: int) -> Any:
        """Return an open runtime.

        Raises:
            PluginFault: it is closed.
        """
        try:
            return self._runtimes[number][0]
        except KeyError:
            raise PluginFault("was called after its end") from None

    def options(self, number: int) -> Any:
        """Return the options of an open runtime."""
        return self._runtimes[number][1]

    async def call(
        self, number: int, make: Callable[[Any], Coroutine[Any, Any, T]], *expects: type[Any]
    ) -> T:
        """Call a runtime; errors other than ``expects`` are faults of the plugin."""
        runtime = self.get(number)
        return await guarded(lambda: make(runtime), None, cast("Expected", expects))

    async def keep(
        self, number: int, make: Callable[[Any], Coroutine[Any, Any, None]], *expects: type[Any]
    ) -> None:
        """Call what goes on until it is cancelled, and before a close."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - every call has a task of its own
        self._runs[number] = task
        try:
            await self.call(number, make, *expects)
        finally:
            del self._runs[number]
