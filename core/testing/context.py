"""A context for the runtimes of plugins under test, which records what they do with it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import aiohttp
from attrs import define, field

from tocsin.core.contracts.base import Secret
from tocsin.core.contracts.context import Json, Log
from tocsin.core.contracts.model import Event
from tocsin.core.logs import get_logger
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.plugin.runtimes import Closable, Opens
from tocsin.core.plugin.storage import check_key, encoded
from tocsin.core.shapes import fit_opened, fit_trouble
from tocsin.core.testing.clock import SettableClock

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=Closable)


OPEN_WITHIN = 10.0
"""Seconds within which a plugin has to open its runtime."""


async def opened(options: Opens[R], context: RecordingContext) -> R:
    """Return the runtime of options.

    Raises:
        AssertionError: it does not open in time, or returns something else.
    """
    try:
        async with asyncio.timeout(OPEN_WITHIN):
            return fit_opened(options, await options.open(context))
    except PluginFault as fault:
        raise AssertionError(f"{type(options).__name__} {fault}") from fault
    except TimeoutError:
        raise AssertionError(f"open() did not return within {OPEN_WITHIN:g} s") from None


@define
class MemoryStorage:
    """Stored values in memory, with the limits of the real storage."""

    values: dict[str, Json] = field(factory=dict)

    async def get(self, key: str) -> Json:
        """Return the value of ``key``; None if there is none."""
        return self.values.get(key)

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with ``prefix``, sorted."""
        return sorted(key for key in self.values if key.startswith(prefix))

    async def put(self, key: str, value: Json) -> None:
        """Store a value; None removes the key. Raises ValueError."""
        check_key(key)
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = json.loads(encoded(value))  # as the real one returns it


@define(eq=False)
class RecordingContext:
    """A context for ``open`` that records what a runtime does with it; see :class:`tocsin.Context`.

    ``RecordingContext(secrets={"API_KEY": "abc"})`` is one with a secret, and
    ``context.storage.values["highest"] = 7`` stores a value before the runtime is opened.

    Attributes:
        plugin: name of the plugin.
        name: what is opened.
        clock: a clock that moves only when a test advances it.
        storage: stored values, kept in memory; ``storage.values`` is a dict of them, which a test
            may fill and read.
        secrets: the values that :meth:`secret` finds, as text, by the name of the variable.
        events: what was emitted.
        trouble: what was reported last; None: nothing, or that there is none.
    """

    plugin: str = "tests"
    name: str = "tests"
    clock: SettableClock = field(factory=SettableClock)
    storage: MemoryStorage = field(factory=MemoryStorage)
    secrets: dict[str, str] = field(factory=dict)
    events: list[Event] = field(factory=list)
    trouble: str | None = None
    _directory: tempfile.TemporaryDirectory[str] | None = field(init=False, default=None)
    _session: aiohttp.ClientSession | None = field(init=False, default=None)

    @property
    def log(self) -> Log:
        """Return a log."""
        log: Log = get_logger("tocsin.testing").bind(plugin=self.plugin, name=self.name)
        return log

    @property
    def directory(self) -> Path:
        """Return a temporary directory, which is removed with the context."""
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="tocsin-tests-")
        return Path(self._directory.name)

    @property
    def data_dir(self) -> Path:
        """Return a temporary directory in place of tocsin's data directory, for a history."""
        return self.directory

    @property
    def http(self) -> aiohttp.ClientSession:
        """Return an HTTP session, to be closed by :meth:`close`."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession()
        return self._session

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread."""
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(None, call)

    async def secret(self, name: str) -> Secret | None:
        """Return one of :attr:`secrets`."""
        found = self.secrets.get(name)
        return None if found is None else Secret(found)

    async def emit(self, event: Event) -> None:
        """Record the event in :attr:`events`."""
        self.events.append(event)

    async def report_trouble(self, trouble: str | None) -> None:
        """Record the trouble in :attr:`trouble`."""
        self.trouble = fit_trouble(trouble)

    async def close(self) -> None:
        """Close the HTTP session."""
        if self._session is not None:
            await self._session.close()
