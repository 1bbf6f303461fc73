"""Connections of the postgres-query probe: asyncpg, within the limits of a check."""

from __future__ import annotations

import asyncio
import hashlib
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import asyncpg

from tocsin import CheckError, connect_to, describe_error

MOST_ROUNDS = 100_000
"""Most rounds of password hashing (SCRAM, RFC 5802) that a server may demand. PostgreSQL's default
for ``scram_iterations`` is 4,096. Hashing blocks the event loop; this many take about 50 ms."""

refused_rounds: ContextVar[list[int] | None] = ContextVar("tocsin_postgres_rounds", default=None)
"""Numbers of rounds refused in the current check; None outside of checks."""


class _Hashing:
    """``hashlib`` for asyncpg, with a limit on the rounds of password hashing in checks.

    asyncpg does as many rounds as a server demands; two billion block tocsin for a quarter of an
    hour. The limit does not apply to tocsin's own database.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(hashlib, name)

    def pbkdf2_hmac(self, name: str, password: bytes, salt: bytes, rounds: int) -> bytes:
        """Hash a password, like ``hashlib.pbkdf2_hmac``.

        Raises:
            ValueError: the server of a check demands more than ``MOST_ROUNDS``.
        """
        refused = refused_rounds.get()
        if refused is not None and rounds > MOST_ROUNDS:
            refused.append(rounds)
            raise ValueError("too many rounds")
        return hashlib.pbkdf2_hmac(name, password, salt, rounds)


# Replaced for the whole process, because asyncpg offers no other way. The object has no state.
vars(asyncpg.protocol.protocol)["hashlib"] = _Hashing()


class CheckLoop:
    """The event loop for asyncpg, with a different way to connect.

    It uses the first address of a host that answers, and gives each of several hosts an equal share
    of the timeout. asyncpg itself would spend the whole timeout on the first address.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float, hosts: int) -> None:
        self._loop, self._timeout = loop, timeout
        self._share = timeout / hosts if hosts > 1 else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(
        self, factory: Any, host: str, port: int, *, ssl: Any = None
    ) -> tuple[Any, Any]:
        """Connect to a host, as ``AbstractEventLoop.create_connection`` does.

        Raises:
            OSError: the host cannot be resolved or connected to; TimeoutError: not in time.
            UnicodeError: not a valid host name.
        """
        async with asyncio.timeout(self._share):
            connected = await connect_to(host, port, timeout=self._timeout)
        try:
            name = None if ssl is None else host
            return await self._loop.create_connection(
                factory, sock=connected, ssl=ssl, server_hostname=name
            )
        except BaseException:
            connected.close()
            raise


def check_readable(name: str, path: str | None) -> None:
    """Check that a file named in the DSN is readable. asyncpg raises the same errors for a file as
    for the server, so its errors do not show which of them failed.

    Raises:
        CheckError: the file cannot be read.
    """
    try:
        if path:
            Path(path).open("rb").close()
    except OSError as error:
        raise CheckError(f"{name} {path} cannot be read: {describe_error(error)}") from error
