"""Connections to PostgreSQL that cannot hang, whatever the server does.

A frozen server answers neither queries nor cancel requests, and cleaning up (``ROLLBACK``, a pool's
reset) would wait for it. Every use of a connection therefore has one deadline for everything, and
on any error the connection is ended with ``terminate()``, which only closes the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from tocsin.plugins.dsn import usable_dsn
from tocsin.plugins.history.embedded_host import EmbeddedError

CONNECT_TIMEOUT = 5.0
"""Seconds to wait for a new connection."""

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:  # generic in the type stubs only
    Connection = asyncpg.Connection
Dsn = Callable[[], Awaitable[str]]


class BadDsn(Exception):
    """The database URL cannot be parsed. The message does not repeat it: it holds the password."""


class Unreachable(Exception):
    """The server rejected the connection; the message says why, in a clause."""


TROUBLE = (
    BadDsn,
    Unreachable,
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    EmbeddedError,
)
"""Errors that concern the connection to the database, not the data."""

# SQLSTATE classes and codes of errors that end by themselves or when an operator acts: connection,
# resources (disk full), operator intervention, system error, locks, deadlock, read-only server,
# authorization, and a database, schema or privileges that are missing.
_PASSING = (
    "08",
    "53",
    "57",
    "58",
    "55P03",
    "40",
    "25006",
    "28",
    "3D000",
    "42P01",
    "3F000",
    "42501",
)


def is_trouble(error: BaseException) -> bool:
    """Return whether the database is unavailable, as opposed to rejecting these data."""
    if isinstance(error, TROUBLE):
        return True
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate).startswith(_PASSING)


def reason(error: BaseException) -> str:
    """Describe an error in a clause that contains no password."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused"
    if isinstance(error, FileNotFoundError):
        return "its socket does not exist"
    if isinstance(error, asyncpg.InvalidPasswordError):
        return "it rejects the user or the password"
    # The detail of a server's error repeats the data that were to be written; its message does not.
    server = isinstance(error, asyncpg.PostgresError) and error.args
    text = " ".join(str(error.args[0] if server else error).split())
    longest = 400 if isinstance(error, EmbeddedError) else 200  # its remedy stands at the end
    return text[:longest] or type(error).__name__


class Connections:
    """A pool of connections.

    Args:
        dsn: returns the database URL; called for each new connection.
        size: most connections at a time.
        settings: PostgreSQL settings for each connection, in addition to the pool's own.
    """

    def __init__(self, dsn: Dsn, size: int, settings: dict[str, str] | None = None) -> None:
        self._dsn = dsn
        self._idle: list[Connection] = []
        self._room = asyncio.Semaphore(size)
        own = {
            "search_path": "tocsin",
            "timezone": "UTC",
            # Compiling a query takes longer than any query of tocsin runs.
            "jit": "off",
            # A generic plan, made for any time range, is slow for the last minute.
            "plan_cache_mode": "force_custom_plan",
        }
        self._settings = "; ".join(
            f"SET {name} = '{value}'" for name, value in (own | (settings or {})).items()
        )

    @asynccontextmanager
    async def use(self, seconds: float) -> AsyncIterator[Connection]:
        """Lend a connection for at most ``seconds``, including the time to get one.

        On any error the connection is closed.

        Raises:
            TimeoutError: the time is over.
            BadDsn: the database URL cannot be parsed.
            Unreachable: the server rejected the connection.
        """
        async with asyncio.timeout(seconds), self._room:
            connection = await self._take()
            try:
                yield connection
            except BaseException:
                connection.terminate()
                raise
            if connection.is_closed() or connection.is_in_transaction():
                connection.terminate()
            else:
                self._idle.append(connection)

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        dsn = await self._dsn()
        try:
            return await self._connect(usable_dsn(dsn))
        except asyncpg.PostgresError as error:
            # An error while connecting concerns the connection, whatever its SQLSTATE.
            raise Unreachable(reason(error)) from error
        except ValueError:  # its message may hold a part of the password
            raise BadDsn(
                "DATABASE_URL cannot be parsed; it must have the form "
                "postgresql://user:password@host:5432/name, with special characters of the "
                "password percent-encoded (@ as %40, / as %2F)"
            ) from None

    async def _connect(self, dsn: str) -> Connection:
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT, server_settings={"application_name": "tocsin"}
        )
        try:
            # Not as startup parameters: pgbouncer rejects those that it does not know.
            await connection.execute(self._settings)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def close(self) -> None:
        """Close the idle connections in an orderly way."""
        for connection in self._idle:
            try:
                await connection.close(timeout=1)
            except (*TROUBLE, asyncpg.PostgresError):
                connection.terminate()
        self._idle.clear()

    def drop(self) -> None:
        """Close the idle connections at once, without waiting for the server."""
        for connection in self._idle:
            connection.terminate()
        self._idle.clear()


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """Run a block between ``BEGIN`` and ``COMMIT``.

    There is no ``ROLLBACK``: on an error the connection's owner terminates it, which a frozen
    server cannot delay.
    """
    await connection.execute("BEGIN")
    yield
    await connection.execute("COMMIT")


def fixed(dsn: str) -> Dsn:
    """Return a Dsn callable for a URL that is known beforehand."""

    async def give() -> str:
        return dsn

    return give
