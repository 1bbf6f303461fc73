"""Connections to PostgreSQL that cannot hang, whatever the server does.

A frozen server answers neither queries nor cancel requests, and tidying up (``ROLLBACK``, a pool's
reset) would wait for it. So every use has one deadline for the whole, and whatever goes wrong ends
with ``terminate()``, which only closes the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from tocsin.core.dsn import usable_dsn
from tocsin.core.embedded_host import EmbeddedError

CONNECT_TIMEOUT = 5.0
"""Seconds."""

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:  # generic in the type stubs only
    Connection = asyncpg.Connection
Dsn = Callable[[], Awaitable[str]]


class BadDsn(Exception):
    """The DSN cannot be read; the message does not repeat it."""


class Unreachable(Exception):
    """The server lets nobody in; the message says why, in a clause."""


TROUBLE = (
    BadDsn,
    Unreachable,
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    EmbeddedError,
)
"""Errors that speak of the way to the database."""

# SQLSTATE classes and codes that pass by themselves or by the operator's hand: connection,
# resources (disk full), operator intervention, system error, locks, deadlock, not in order yet.
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


class StoreUnavailable(Exception):
    """History cannot be read now; the message is one sentence."""


def is_trouble(error: BaseException) -> bool:
    """Whether the database is away (as opposed to: it refuses this very data)."""
    if isinstance(error, TROUBLE):
        return True
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate).startswith(_PASSING)


def reason(error: BaseException) -> str:
    """What is the matter, in a clause that holds no password."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused"
    if isinstance(error, FileNotFoundError):
        return "its socket is not there"
    if isinstance(error, asyncpg.InvalidPasswordError):
        return "it refuses the user or the password"
    # The details of a server's error repeat what was to be written; its message does not.
    server = isinstance(error, asyncpg.PostgresError) and error.args
    text = " ".join(str(error.args[0] if server else error).split())
    longest = 400 if isinstance(error, EmbeddedError) else 200  # its remedy stands at the end
    return text[:longest] or type(error).__name__


class Connections:
    """At most ``size`` connections, kept open between uses."""

    def __init__(self, dsn: Dsn, size: int, settings: dict[str, str] | None = None) -> None:
        self._dsn = dsn
        self._idle: list[Connection] = []
        self._room = asyncio.Semaphore(size)
        own = {
            "search_path": "tocsin",
            "timezone": "UTC",
            # Compiling a query takes longer than any of ours runs.
            "jit": "off",
            # A plan for any stretch of time is a bad one for the last minute.
            "plan_cache_mode": "force_custom_plan",
        }
        self._settings = "; ".join(
            f"SET {name} = '{value}'" for name, value in (own | (settings or {})).items()
        )

    @asynccontextmanager
    async def use(self, seconds: float) -> AsyncIterator[Connection]:
        """A connection for at most ``seconds``, getting one included.

        Raises:
            TimeoutError: it took longer. Otherwise what asyncpg or the block raises; in every
            case but a clean end the connection is closed.
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
            # Whatever it is called, it speaks of the way in, and not of what was to be written.
            raise Unreachable(reason(error)) from error
        except ValueError:  # its message may hold a piece of the password
            raise BadDsn(
                "DATABASE_URL cannot be read; it is to look like "
                "postgresql://user:password@host:5432/name, with special characters of the "
                "password percent-encoded (@ as %40, / as %2F)"
            ) from None

    async def _connect(self, dsn: str) -> Connection:
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT, server_settings={"application_name": "tocsin"}
        )
        try:
            # Not with the start of the connection: pgbouncer refuses what it does not know there.
            await connection.execute(self._settings)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            try:
                await connection.close(timeout=1)
            except (*TROUBLE, asyncpg.PostgresError):
                connection.terminate()
        self._idle.clear()

    def drop(self) -> None:
        """Cut what is idle off at once."""
        for connection in self._idle:
            connection.terminate()
        self._idle.clear()


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """``BEGIN`` … ``COMMIT``. No ``ROLLBACK``: on an error the connection is terminated by its
    owner, which a frozen server cannot delay."""
    await connection.execute("BEGIN")
    yield
    await connection.execute("COMMIT")


def fixed(dsn: str) -> Dsn:
    """A DSN that is known beforehand."""

    async def give() -> str:
        return dsn

    return give
