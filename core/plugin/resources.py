"""What all runtimes of a plugin share in one process: HTTP session, threads, directory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from attrs import define

from tocsin.core.runtime.owned import give_to_owner

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

THREADS = 8
"""Most threads of a plugin for calls that block."""


@define(eq=False)
class Resources:
    """The session and the threads of one plugin, made when they are first used.

    Attributes:
        plugin: name of the plugin.
    """

    plugin: str
    _session: aiohttp.ClientSession | None = None
    _home: asyncio.AbstractEventLoop | None = None
    """The loop of the session."""
    _threads: ThreadPoolExecutor | None = None

    @property
    def are_in_use(self) -> bool:
        """Return whether there is anything to close."""
        return self._session is not None or self._threads is not None

    def http(self) -> aiohttp.ClientSession:
        """Return the session of the running loop. That of a loop before it, whose thread was
        abandoned, is dropped with its loop, which cannot close it any more."""
        import aiohttp  # imported late: most plugins in hosts do without

        from tocsin.core.resolver.lookups import TocsinResolver

        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._home is not loop:
            if self._session is not None:
                self._session.detach()
            self._home = loop
            self._session = aiohttp.ClientSession(
                # Checks must not wait for each other's connections, nor see their cookies.
                connector=aiohttp.TCPConnector(resolver=TocsinResolver(), limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "tocsin"},
            )
        return self._session

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Call a function in one of the threads."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, f"tocsin {self.plugin}")
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def close(self) -> None:
        """Close the session, if it belongs to the running loop, and end the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        if self._session is not None and self._home is asyncio.get_running_loop():
            await self._session.close()


def directory_of(plugin: str, data_dir: Path) -> Path:
    """Return a plugin's own directory, and create it. Raises OSError."""
    name = quote(plugin, safe="").replace(".", "%2E", plugin.startswith("."))
    found = data_dir / "plugins" / name
    for directory in (found.parent, found):
        if not directory.exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            give_to_owner(directory)
    return found
