"""Runtimes of plugins: opened at their first use, opened anew in another loop, closed once."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar

from attrs import define, field

from tocsin.core.contracts.context import Context


class Closable(Protocol):
    """What can be closed."""

    async def close(self) -> None:
        """Release its resources."""


R = TypeVar("R", bound=Closable)
R_co = TypeVar("R_co", bound=Closable, covariant=True)


class Opens(Protocol[R_co]):
    """Options of a plugin, of which a runtime is made."""

    async def open(self, context: Context) -> R_co:
        """Return the runtime."""


@define(eq=False)
class Runtime(Generic[R]):
    """The runtime of one check, source, channel or observer.

    ``get`` and ``close`` run the plugin's code: they are called where a fault is contained. A
    runtime belongs to the event loop that opened it; if the plugin's thread was replaced, it is
    opened again in the new loop, and the old one, whose loop does not run any more, is dropped.

    Attributes:
        options: the options.
        context: what the core gives to the runtime.
    """

    options: Opens[R]
    context: Context
    _opened: R | None = field(init=False, default=None)
    _loop: asyncio.AbstractEventLoop | None = field(init=False, default=None)
    _opening: asyncio.Lock = field(init=False, factory=asyncio.Lock)

    @property
    def is_open(self) -> bool:
        """Return whether it has been opened, in whichever loop."""
        return self._opened is not None

    async def get(self) -> R:
        """Return the runtime, and open it if it is not open in the running loop."""
        loop = asyncio.get_running_loop()
        if self._opened is not None and self._loop is loop:
            return self._opened
        if self._loop is not loop:
            self._loop, self._opened, self._opening = loop, None, asyncio.Lock()
        async with self._opening:
            if self._opened is None:
                self._opened = await self.options.open(self.context)
            return self._opened

    async def close(self) -> None:
        """Close the runtime if it is open in the running loop."""
        opened, self._opened = self._opened, None
        if opened is not None and self._loop is asyncio.get_running_loop():
            await opened.close()
