"""Reads one HTTP/1.1 answer, and tolerates the same faults in it as browsers and curl do."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, cast

import httptools

from tocsin import clean_text
from tocsin.plugins.probes._http_exchange import (
    MOST_REASON,
    REDIRECTS,
    Answer,
    Timings,
    Trouble,
    unpack,
)
from tocsin.plugins.probes._net import certificate_days

if TYPE_CHECKING:
    from tocsin.plugins.probes._http_client import Prepared

MOST_HEAD = 65536
"""Most bytes of status line and headers, or of trailers, that are read."""

_END = re.compile(rb"\r?\n\r?\n")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEEDED = frozenset(
    (
        b"content-type", b"content-length", b"transfer-encoding", b"content-encoding",
        b"location", b"set-cookie",
    )
)  # fmt: skip
_CONTROLS = bytes({*range(32), 127} - {9})


class Reader(asyncio.Protocol):
    """Sends one request when the connection is ready, and assembles the answer.

    The parser (httptools) calls the ``on_…`` methods.

    Attributes:
        answer: future of the answer or the error.
        location: value of the Location header of the answer, or None.
        cookies: values of the Set-Cookie headers of the answer.
    """

    __slots__ = (
        "_body",
        "_broken",
        "_coding",
        "_content_type",
        "_head",
        "_headed",
        "_parser",
        "_prepared",
        "_reason",
        "_received",
        "_repaired",
        "_sized",
        "_timings",
        "_transport",
        "answer",
        "cookies",
        "location",
    )

    def __init__(
        self, prepared: Prepared, timings: Timings, answer: asyncio.Future[Answer]
    ) -> None:
        self.answer = answer
        self._prepared, self._timings = prepared, timings
        self._transport: asyncio.Transport | None = None
        self._received = 0  # bytes since the last piece of the body
        self._head = b""  # all bytes received before the headers ended
        self._broken: Trouble | None = None  # why the parser refuses these headers
        self._repaired = False
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._body = bytearray()
        self.on_message_begin()

    def end(self) -> None:
        """Close the connection at once, even if the answer is not complete."""
        if self._transport is not None:
            self._transport.abort()
        del self._parser  # the parser refers back to this object: break the reference cycle
        if not self.answer.done():
            self.answer.cancel()
        elif not self.answer.cancelled():
            self.answer.exception()  # mark as retrieved: perhaps no caller waits any more

    # Calls of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast("asyncio.Transport", transport)
        if self.answer.done():  # the caller has given up meanwhile
            self._transport.abort()
            return
        self._timings.connected = time.monotonic()
        if self._prepared.server_name is not None:
            secured = transport.get_extra_info("ssl_object")
            self._timings.certificate_days = certificate_days(secured)
        self._transport.write(self._prepared.message)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes to the parser, and repair the headers if it refuses them."""
        if self.answer.done():
            return
        if self._timings.first_byte is None:
            self._timings.first_byte = time.monotonic()
        self._received += len(data)
        if not self._headed and not self._repaired:
            self._head += data
        if self._broken is None:
            self._feed(data)
        if self._broken is not None and not self.answer.done():
            self._repair()
        if self._received > MOST_HEAD:
            self._fail(Trouble("the answer is not HTTP: its headers do not end"))

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.on_message_complete()
        except httptools.HttpParserError as error:
            trouble = Trouble(f"the answer is not HTTP: {clean_text(str(error), longest=140)}")
            if self._headed or self._repaired or not self._head.startswith(b"HTTP/"):
                self._fail(trouble)
            else:
                self._broken = trouble

    def _repair(self) -> None:
        """Parse again with repaired headers, once all headers have arrived."""
        data = repaired(self._head)
        if data is not None:
            self._broken, self._head, self._repaired = None, b"", True
            self._begin()
            self._feed(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Complete the answer or fail, depending on how much of it has arrived."""
        if self.answer.done():
            return
        if self._headed:
            if error is None and not self._sized:
                self.on_message_complete()  # a body without a length ends with the connection
            else:
                self._fail(Trouble("the body ended early"))
        else:
            self._fail(error or self._broken or Trouble("the connection was closed early"))

    # Calls of the parser

    def on_message_begin(self) -> None:
        """Reset the state of the headers; also called after an interim answer (status 1xx)."""
        self._reason = self._content_type = self._coding = b""
        self._headed = self._sized = False
        self.location: bytes | None = None
        self.cookies: list[bytes] = []

    def on_status(self, reason: bytes) -> None:
        """Add a piece of the reason phrase in the status line."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the value of one header if it is used."""
        if (name := name.lower()) not in _HEEDED:
            return
        match name:
            case b"content-type":
                self._content_type = value
            case b"content-length":
                self._sized = True
            case b"transfer-encoding":  # unless chunked, the body ends with the connection
                self._sized = self._sized or b"chunked" in value.lower()
            case b"content-encoding":
                self._coding += b"," + value
            case b"location":
                self.location = value
            case b"set-cookie":
                self.cookies.append(value)

    def on_headers_complete(self) -> None:
        """Complete the answer if no body follows or the body is not used."""
        self._headed = (status := self._parser.get_status_code()) >= 200
        if self._headed:
            self._head = b""
            request = self._prepared.request
            followed = request.redirects > 0 and status in REDIRECTS
            if request.method == "HEAD" or (followed and self.location is not None):
                self.on_message_complete()

    def on_body(self, data: bytes) -> None:
        """Add a piece of the body; complete the answer once ``max_body`` bytes have arrived."""
        self._received = 0
        self._body += data
        if len(self._body) >= (most := self._prepared.request.max_body):
            del self._body[most:]
            self.on_message_complete()

    def on_message_complete(self) -> None:
        """Set the answer, unless it is interim (status 1xx)."""
        status = self._parser.get_status_code()
        if self.answer.done() or (100 <= status < 200 and status != 101):
            return
        body, coding, trouble = bytes(self._body), "", None
        if self._coding:
            most = self._prepared.request.max_body
            try:
                body, coding = unpack(body, self._coding.decode("latin-1"), most)
            except Trouble as error:  # does not matter to a check that ignores the body
                trouble = str(error)
        self.answer.set_result(
            Answer(
                status,
                self._reason[:MOST_REASON].decode("utf-8", "replace"),
                self._content_type.decode("latin-1"),
                body,
                coding,
                trouble,
            )
        )

    def _fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


def repaired(data: bytes) -> bytes | None:
    """Repair headers that the parser refuses but browsers and curl accept.

    These are spaces around a name, lines without a valid header, a Content-Length together with
    chunked encoding, and the same Content-Length several times.

    Args:
        data: all bytes of the answer received so far.

    Returns:
        The answer with valid headers and without interim answers; None: the headers have not
        arrived completely.
    """
    while True:
        if (end := _END.search(data)) is None:
            return None
        status, *lines = re.split(rb"\r?\n", data[: end.start()])
        data = data[end.end() :]
        if not re.match(rb"HTTP/\S+\s+1(?!01)\d\d\b", status):
            break
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t") and fields:  # continues the previous line (RFC 9112, 5.2)
            fields[-1] = (fields[-1][0], fields[-1][1] + b" " + line.strip())
        elif colon and _NAME.fullmatch(name := name.strip()):
            fields.append((name, value.translate(None, _CONTROLS).strip()))
    chunked = any(n.lower() == b"transfer-encoding" and b"chunked" in v.lower() for n, v in fields)
    lengths = {
        part.strip() for n, v in fields if n.lower() == b"content-length" for part in v.split(b",")
    }
    if chunked or len(lengths) == 1:
        fields = [(n, v) for n, v in fields if n.lower() != b"content-length"]
        fields += [] if chunked else [(b"Content-Length", lengths.pop())]
    rows = [status, *(n + b": " + v for n, v in fields)]
    return b"\r\n".join([*rows, b"", data])
