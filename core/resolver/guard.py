"""Event loops whose own lookups use ``lookups``: those of libraries (asyncpg, aiosmtplib) and of
plugins, which would otherwise wait in threads that the whole process shares."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tocsin.core.resolver.lookups import connect_to, look_up

_HARMLESS = socket.AI_ADDRCONFIG | socket.AI_NUMERICSERV
"""Flags of getaddrinfo that make no difference here."""


def guard_lookups(loop: asyncio.AbstractEventLoop) -> None:
    """Make an event loop look up host names by :func:`look_up`: for a check if a check asks, else
    for delivery. Requests for listening, or for more than TCP addresses, are not changed."""
    own_getaddrinfo, own_connection = loop.getaddrinfo, loop.create_connection

    async def getaddrinfo(
        host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0  # noqa: A002
    ) -> Any:  # fmt: skip
        tcp = type in (0, socket.SOCK_STREAM) and proto in (0, socket.IPPROTO_TCP)
        if not isinstance(host, str) or not _is_port(port) or not tcp or flags & ~_HARMLESS:
            return await own_getaddrinfo(
                host, port, family=family, type=type, proto=proto, flags=flags
            )
        return await look_up(host, int(port or 0), family=family)

    async def create_connection(
        protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        plain = not any(
            options.get(name) for name in ("family", "proto", "flags", "sock", "local_addr")
        )
        if not isinstance(host, str) or not _is_port(port) or not port or not plain:
            return await own_connection(protocol_factory, host, port, **options)
        if options.get("ssl") and options.get("server_hostname") is None:
            options["server_hostname"] = host
        for name in ("happy_eyeballs_delay", "interleave", "all_errors"):
            options.pop(name, None)
        connected = await connect_to(host, int(port))
        try:
            return await own_connection(protocol_factory, sock=connected, **options)
        except BaseException:
            connected.close()
            raise

    vars(loop)["getaddrinfo"] = getaddrinfo
    # uvloop's does not call its getaddrinfo; asyncio's tries the addresses one after the other.
    vars(loop)["create_connection"] = create_connection


def _is_port(port: Any) -> bool:
    return port is None or isinstance(port, int) or (isinstance(port, str) and port.isdigit())
