"""A dialogue with a server in lines, first in the clear, later perhaps inside TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl

from attrs import define, field

from tocsin import clean_text, connect_to, decode_text, open_stream
from tocsin_net._trouble import Trouble

LONGEST_LINE = 8192
"""Most bytes of one line."""

MOST = 65536
"""Most bytes that are read in one dialogue."""


@define
class Dialogue:
    """A connection. Until TLS begins it reads from the socket itself, so that it knows of every
    byte that arrived too early.

    Attributes:
        tls: the TLS connection; None: not yet, or never.
    """

    _socket: socket.socket
    tls: ssl.SSLObject | None = field(init=False, default=None)
    _reader: asyncio.StreamReader | None = field(init=False, default=None)
    _writer: asyncio.StreamWriter | None = field(init=False, default=None)
    _buffer: bytearray = field(init=False, factory=bytearray)
    _read_so_far: int = field(init=False, default=0)
    _handed_over: bool = field(init=False, default=False)

    @classmethod
    async def connect(cls, host: str, port: int, timeout: float) -> Dialogue:
        """Connect to a server.

        Args:
            host: its name or address.
            port: its port.
            timeout: timeout of the check in seconds, which bounds the lookup of the name.

        Raises:
            OSError: it cannot be connected to.
            UnicodeError: the name is malformed.
        """
        return cls(await connect_to(host, port, timeout=timeout))

    async def line(self) -> str:
        """Return the next line, without its end.

        Raises:
            Trouble: the server sends too much.
            EOFError: the server closed the connection before the line ended.
            OSError: the connection failed.
        """
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise Trouble("the server sends a line that does not end")
            await self._more()
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if len(line) > LONGEST_LINE:
            raise Trouble("the server sends a line that does not end")
        return decode_text(line.rstrip(b"\r\n"))

    async def octet(self) -> bytes:
        """Return the next byte. Raises as :meth:`line`."""
        while not self._buffer:
            await self._more()
        one = bytes(self._buffer[:1])
        del self._buffer[:1]
        return one

    async def _more(self) -> None:
        if self._read_so_far > MOST:
            raise Trouble("the server sends more than such a server should")
        if self._reader is not None:
            data = await self._reader.read(4096)
        else:
            data = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
        if not data:
            raise EOFError
        self._read_so_far += len(data)
        self._buffer += data

    async def send(self, data: str | bytes) -> None:
        """Send bytes, or a text in UTF-8 with a line end. Raises OSError."""
        raw = data if isinstance(data, bytes) else f"{data}\r\n".encode()
        if self._writer is not None:
            self._writer.write(raw)
            await self._writer.drain()
        else:
            await asyncio.get_running_loop().sock_sendall(self._socket, raw)

    def introduction(self) -> str:
        """Return this end's address for EHLO; only before TLS."""
        return address_literal(self._socket)

    async def secure(self, context: ssl.SSLContext, server_name: str) -> ssl.SSLObject:
        """Begin TLS and return the TLS connection.

        Raises:
            Trouble: the server has sent more in the clear than it was asked for. Read inside TLS,
                it would pass for an answer of the server (CVE-2011-0411).
            OSError: the handshake failed; ssl.SSLError is one.
        """
        if self._buffer:
            raise Trouble("the server sends data in the clear before TLS begins")
        self._handed_over = True
        self._reader, self._writer = await open_stream(
            self._socket, tls=context, server_name=server_name
        )
        secured = self._writer.get_extra_info("ssl_object")
        if not isinstance(secured, ssl.SSLObject):
            raise Trouble("TLS failed")
        self.tls = secured
        return secured

    def close(self) -> None:
        """Close the connection at once."""
        if self._writer is not None:
            self._writer.transport.abort()
        elif not self._handed_over:  # else the event loop closes it
            self._socket.close()


def quoted(line: str) -> str:
    """Return a line of the server for a message, in quotation marks and shortened."""
    return f"'{clean_text(line, longest=200)}'" if line else "an empty line"


def address_literal(connected: socket.socket) -> str:
    """Return this end's address as a client of SMTP introduces itself (RFC 5321, 4.1.3)."""
    address = str(connected.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
