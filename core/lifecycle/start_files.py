"""The files that tocsin writes when it starts, for people and commands to find it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import define, field

from tocsin.core.auth.admin_token import ensure_admin
from tocsin.core.auth.tokens import TokenStore
from tocsin.core.clock import Clock
from tocsin.core.contracts.model import ComponentHealth, Health
from tocsin.core.logs import get_logger
from tocsin.core.runtime.data_dir import API_URL, StartError
from tocsin.core.runtime.disk import is_unwritable
from tocsin.core.runtime.owned import write_private

log = get_logger(__name__)

RETRY = 10.0
"""Seconds between two attempts to write a file."""


@define(eq=False)
class StartFiles:
    """The admin token and the address of the API. A disk that cannot be written does not prevent
    the start: what fails is tried again in the background.

    Attributes:
        data_dir: tocsin's data directory.
        tokens: the tokens.
        clock: the clock.
    """

    data_dir: Path
    tokens: TokenStore
    clock: Clock
    _unwritten: dict[str, str] = field(init=False, factory=dict)
    """What could not be written yet, and why."""
    _tasks: list[asyncio.Task[None]] = field(init=False, factory=list)

    def health(self) -> ComponentHealth:
        """Return the health of the data directory: degraded while a file could not be written."""
        return ComponentHealth(
            status=Health.DEGRADED if self._unwritten else Health.OK,
            message="; ".join(f"{what}: {why}" for what, why in self._unwritten.items()),
        )

    def make_admin(self) -> None:
        """Create the admin token if there is none.

        Raises:
            StartError: the tokens cannot be used.
        """
        try:
            ensure_admin(self.data_dir, self.tokens)
        except (OSError, ValueError) as error:
            if not (isinstance(error, OSError) and is_unwritable(error)):
                raise StartError(f"the tokens cannot be used: {error}") from error
            log.warning("the admin token cannot be written; this is tried again", reason=str(error))
            self._later("admin token", error, lambda: ensure_admin(self.data_dir, self.tokens))

    def tell_address(self, url: str) -> None:
        """Write the API's address to the data directory, where commands find it."""
        path = self.data_dir / API_URL

        def write() -> None:
            write_private(path, f"{url}\n".encode())

        try:
            write()
        except OSError as error:
            log.warning("the API's address cannot be written, so commands do not find it",
                        url=url, file=str(path), reason=str(error))  # fmt: skip
            self._later("address of the API", error, write)

    def _later(self, what: str, error: Exception, write: Callable[[], object]) -> None:
        self._unwritten[what] = str(error)
        self._tasks.append(asyncio.create_task(self._retry(what, write), name=what))

    async def _retry(self, what: str, write: Callable[[], object]) -> None:
        never = asyncio.Event()
        while True:
            await self.clock.wait(never, self.clock.monotonic() + RETRY)
            with suppress(OSError, ValueError):
                write()
                self._unwritten.pop(what)
                return

    async def stop(self) -> None:
        """Stop trying, and remove the address: nothing listens there any more."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(OSError):
            (self.data_dir / API_URL).unlink()
