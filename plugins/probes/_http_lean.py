"""Plain HTTP/1.1 requests on asyncio's own transports: a GET over a connection of its own, as most
checks are. What this does not do (redirects, compressed bodies, other methods) is aiohttp's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from functools import partial
from typing import cast

import httptools
from aiohappyeyeballs import start_connection
from attrs import frozen
from yarl import URL

from tocsin import clean_text, look_up
from tocsin.plugins.probes._http_exchange import MOST_REASON, Answer, Timings, Trouble
from tocsin.plugins.probes._http_full import Request
from tocsin.plugins.probes._net import certificate_days

EYEBALLS = 0.25
"""Seconds that an address of a name may take before the next is tried beside it (RFC 8305)."""

MOST_HEAD = 65536
"""Bytes of status line and headers, or of trailers, that are read at most."""

SAFE = frozenset({"GET", "OPTIONS"})
"""Methods that do no harm when an answer turns out to be aiohttp's and is asked for again."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class NotPlain(Exception):
    """The answer is a redirect to follow, or a compressed body."""


@frozen
class Plain:
    """A request, ready to be sent. ``address``: the host is one, and no name."""

    host: str
    port: int
    address: bool
    message: bytes
    family: int
    tls: ssl.SSLContext | None
    server_name: str | None
    follow: bool
    max_body: int
    timeout: float


def prepare(request: Request) -> Plain | None:
    """A request made ready, or None where it is not a plain one."""
    parts = URL(request.url)
    host = parts.raw_host
    if request.method not in SAFE or request.body is not None or parts.raw_user is not None:
        return None
    if not host or host.endswith("."):
        return None
    lines = {"Host": parts.host_port_subcomponent or host, **request.headers, "Connection": "close"}
    if len({name.lower() for name in lines}) != len(lines):
        return None
    head = f"{request.method} {parts.raw_path_qs} HTTP/1.1"
    rows = [head, *(f"{name}: {value}" for name, value in lines.items())]
    if any(set(row) & {"\r", "\n", "\0"} for row in rows):
        return None
    secure = parts.scheme == "https"
    return Plain(
        host=host,
        port=parts.port or 80,
        address=_is_address(host),
        message="\r\n".join([*rows, "", ""]).encode(),
        family=request.family,
        tls=request.tls if secure else None,
        server_name=(request.server_name or host) if secure else None,
        follow=request.redirects > 0,
        max_body=request.max_body,
        timeout=request.timeout,
    )


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


async def exchange(request: Plain, timings: Timings) -> Answer:
    """Send a request and read its answer.

    Raises:
        OSError: the host cannot be resolved or connected to; ssl.SSLError among them.
        Trouble: what came back is no whole answer. NotPlain: it is none of ours.
    """
    reader = _Reader(request, timings, asyncio.get_running_loop().create_future())
    try:
        await _connect(request, reader, timings)
        return await reader.answer
    finally:
        reader.end()


async def _connect(request: Plain, reader: _Reader, timings: Timings) -> None:
    loop = asyncio.get_running_loop()
    host, family, tls, name = request.host, request.family, request.tls, request.server_name
    connect = partial(loop.create_connection, lambda: reader, ssl=tls, server_hostname=name)
    if not request.address:
        try:
            found = await look_up(host, request.port, family=family, timeout=request.timeout)
        except UnicodeError:  # no name of that shape can be
            raise Trouble("the host name cannot be resolved") from None
        timings.dns = time.monotonic()
        if len(found) > 1:
            sock = await start_connection(found, happy_eyeballs_delay=EYEBALLS)
            try:
                await connect(sock=sock)
            except BaseException:
                sock.close()
                raise
            return
        host = str(found[0][4][0])
    await connect(host, request.port, family=family)


class _Reader(asyncio.Protocol):
    """Sends one request as soon as there is a connection, and puts the answer together."""

    __slots__ = (
        "_body",
        "_content_type",
        "_headed",
        "_parser",
        "_reason",
        "_received",
        "_redirected",
        "_request",
        "_sized",
        "_squeezed",
        "_timings",
        "_transport",
        "answer",
    )

    def __init__(self, request: Plain, timings: Timings, answer: asyncio.Future[Answer]) -> None:
        self.answer = answer
        self._request, self._timings = request, timings
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        # As forgiving as aiohttp: what browsers take is no failure of the site.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._received = 0  # since the last piece of the body
        self._body = bytearray()
        self.on_message_begin()

    def end(self) -> None:
        """Let the connection go, whatever is still to come."""
        if self._transport is not None:
            self._transport.abort()
        del self._parser  # which holds us, too
        if not self.answer.done():
            self.answer.cancel()
        elif not self.answer.cancelled():
            self.answer.exception()  # seen, even where nobody waits any more

    # What the connection tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast("asyncio.Transport", transport)
        if self.answer.done():  # given up meanwhile
            self._transport.abort()
            return
        self._timings.connected = time.monotonic()
        if self._request.tls is not None:
            secured = transport.get_extra_info("ssl_object")
            self._timings.certificate_days = certificate_days(secured)
        self._transport.write(self._request.message)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self.answer.done():
            return
        if self._timings.first_byte is None:
            self._timings.first_byte = time.monotonic()
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.on_message_complete()
        except httptools.HttpParserError as error:
            self._fail(Trouble(f"the answer is not HTTP: {clean_text(str(error), longest=140)}"))
        if self._received > MOST_HEAD:
            self._fail(Trouble("the answer is not HTTP: its headers do not end"))

    def connection_lost(self, error: Exception | None) -> None:
        """Judge by how far the answer came."""
        if self.answer.done():
            return
        if self._headed:
            if error is None and not self._sized:
                self.on_message_complete()  # such a body ends with its connection
            else:
                self._fail(Trouble("the body ended early"))
        else:
            self._fail(error or Trouble("the connection was closed early"))

    # What the parser tells

    def on_message_begin(self) -> None:
        """Another answer follows one that was only interim (status 1xx)."""
        self._reason = self._content_type = b""
        self._headed = self._sized = self._squeezed = self._redirected = False

    def on_status(self, reason: bytes) -> None:
        """A piece of the words in the status line."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        match name.lower():
            case b"content-type":
                self._content_type = value
            case b"content-length" | b"transfer-encoding":
                self._sized = True
            case b"content-encoding":
                self._squeezed = value.strip().lower() not in (b"", b"identity")
            case b"location":
                self._redirected = True

    def on_headers_complete(self) -> None:
        """See whether the answer is one of ours."""
        status = self._parser.get_status_code()
        self._headed = status >= 200
        redirect = self._redirected and self._request.follow and status in _REDIRECTS
        if redirect or (self._squeezed and self._headed):
            self._fail(NotPlain())

    def on_body(self, data: bytes) -> None:
        """A piece of the body; what is beyond the limit is of no interest."""
        self._received = 0
        self._body += data
        if len(self._body) >= self._request.max_body:
            del self._body[self._request.max_body :]
            self.on_message_complete()

    def on_message_complete(self) -> None:
        """The answer is there."""
        status = self._parser.get_status_code()
        if self.answer.done() or (100 <= status < 200 and status != 101):
            return
        self.answer.set_result(
            Answer(
                status,
                self._reason[:MOST_REASON].decode("utf-8", "replace"),
                self._content_type.decode("latin-1"),
                bytes(self._body),
            )
        )

    def _fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
