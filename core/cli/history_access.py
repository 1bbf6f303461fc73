"""Access to history for commands that read it without a running tocsin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tocsin.core.cli.context import Context, Failure
from tocsin.core.embedded import EmbeddedPostgres
from tocsin.core.embedded_host import EmbeddedError
from tocsin.core.runtime.data_dir import StartError, data_directory
from tocsin.core.runtime.owned import private_files
from tocsin.core.store.alerts import AlertHistory
from tocsin.core.store.connection import Connection, Connections, fixed

DEADLINE = 120.0
"""Seconds for one query."""


@asynccontextmanager
async def history_of(context: Context) -> AsyncIterator[AlertHistory]:
    """Open the history of alerts and results in the configured database.

    An embedded database that runs is used as it is; otherwise it is started and stopped again at
    the end.

    Raises:
        Failure: there is no history yet, or the embedded database does not start.
    """
    settings = context.settings()
    async with AsyncExitStack() as stack:
        stack.enter_context(private_files())
        if settings.database.url is not None:
            dsn = settings.database.url.reveal()
        else:
            directory = settings.data_dir / "postgres"
            if not directory.is_dir():
                raise Failure(f"there is no history yet: {directory} does not exist")
            embedded = EmbeddedPostgres()
            try:
                stack.enter_context(data_directory(settings.data_dir))
                stack.push_async_callback(embedded.stop)
            except StartError:
                pass  # tocsin is running, and so is its database
            try:
                dsn = await embedded.start(directory)
            except EmbeddedError as error:
                raise Failure(str(error)) from error
        connections = Connections(fixed(dsn), 1)
        stack.push_async_callback(connections.close)

        @asynccontextmanager
        async def reading() -> AsyncIterator[Connection]:
            async with connections.use(DEADLINE) as connection:
                yield connection

        yield AlertHistory(reading)
