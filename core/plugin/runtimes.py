"""Runtimes of plugins: opened at their first use, opened anew in another loop, closed once."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from attrs import define, field

from tocsin.core.contracts.context import Context
from tocsin.core.plugin.faults import PluginFault
from tocsin.core.runtime.deadline import deadline
from tocsin.core.shapes import fit_opened

OPEN_DEADLINE = 10.0
"""Timeout, in seconds, for a runtime to open."""


class Closable(Protocol):
    """What can be closed."""

    async def close(self) -> None:
        """Release its resources."""


class Remote(ABC):
    """A runtime in another process, which may end before it is closed."""

    __slots__ = ()

    @property
    @abstractmethod
    def is_lost(self) -> bool:
        """Return whether its process has ended, so that it has to be opened again."""


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
    _is_closed: bool = field(init=False, default=False)

    @property
    def is_used(self) -> bool:
        """Return whether it was opened or begun to be, so that it has to be closed."""
        return self._loop is not None

    def is_open_in(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Return whether it can be used in a loop without being opened first."""
        return self._present(loop) is not None

    def _present(self, loop: asyncio.AbstractEventLoop | None) -> R | None:
        """Return what can be used in a loop now."""
        opened = self._opened
        if self._loop is not loop or (isinstance(opened, Remote) and opened.is_lost):
            return None
        return opened

    async def get(self) -> R:
        """Return the runtime, and open it if it is not open in the running loop.

        Raises:
            PluginFault: it did not open in time, or was closed or replaced meanwhile.
        """
        loop = asyncio.get_running_loop()
        if (present := self._present(loop)) is not None:
            return present
        if self._loop is not loop:
            self._loop, self._opened, self._opening = loop, None, asyncio.Lock()
        async with self._opening:
            if (present := self._present(loop)) is not None:
                return present
            opened = await self._open()
            if self._loop is not loop or self._is_closed:
                await opened.close()
                raise PluginFault(f"opened {self.context.name} only after its end")
            self._opened = opened
            return opened

    async def _open(self) -> R:
        if self._is_closed:
            raise PluginFault(f"was asked for {self.context.name} after its end")
        try:
            with deadline(OPEN_DEADLINE) as limit:
                return fit_opened(self.options, await self.options.open(self.context))
        except TimeoutError as error:
            if not limit.expired:
                raise
            text = f"did not open {self.context.name} within {OPEN_DEADLINE:g} s"
            raise PluginFault(text) from error

    async def close(self) -> None:
        """Close the runtime. One that is being opened is closed as soon as it is open; one that
        was opened in another loop, which does not run any more, is dropped."""
        self._is_closed = True
        opened, self._opened = self._opened, None
        if opened is not None and self._loop is asyncio.get_running_loop():
            await opened.close()
