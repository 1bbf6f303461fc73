"""Reading one HTTP/1.1 answer, as forgiving as browsers and curl are."""

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
"""Bytes of status line and headers, or of trailers, that are read at most."""

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
    """Sends one request as soon as there is a connection, and puts the answer together."""

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
        self._received = 0  # since the last piece of the body
        self._head = b""  # all that came before the headers ended
        self._broken: Trouble | None = None  # what the parser does not take in them
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
        """Let the connection go, whatever is still to come."""
        if self._transport is not None:
            self._transport.abort()
        del self._parser  # which holds us, too
        if not self.answer.done():
            self.answer.cancel()
        elif not self.answer.cancelled():
            self.answer.exception()  # retrieved, even if no caller waits any more

    # Calls of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast("asyncio.Transport", transport)
        if self.answer.done():  # given up meanwhile
            self._transport.abort()
            return
        self._timings.connected = time.monotonic()
        if self._prepared.server_name is not None:
            secured = transport.get_extra_info("ssl_object")
            self._timings.certificate_days = certificate_days(secured)
        self._transport.write(self._prepared.message)

    def data_received(self, data: bytes) -> None:
        """Read on."""
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
        """Begin anew with headers that the parser takes, once all of them are there."""
        data = repaired(self._head)
        if data is not None:
            self._broken, self._head, self._repaired = None, b"", True
            self._begin()
            self._feed(data)

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
            self._fail(error or self._broken or Trouble("the connection was closed early"))

    # Calls of the parser

    def on_message_begin(self) -> None:
        """Another answer follows one that was only interim (status 1xx)."""
        self._reason = self._content_type = self._coding = b""
        self._headed = self._sized = False
        self.location: bytes | None = None
        self.cookies: list[bytes] = []

    def on_status(self, reason: bytes) -> None:
        """A piece of the words in the status line."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if (name := name.lower()) not in _HEEDED:
            return
        match name:
            case b"content-type":
                self._content_type = value
            case b"content-length":
                self._sized = True
            case b"transfer-encoding":  # of another kind the end of the connection is the end
                self._sized = self._sized or b"chunked" in value.lower()
            case b"content-encoding":
                self._coding += b"," + value
            case b"location":
                self.location = value
            case b"set-cookie":
                self.cookies.append(value)

    def on_headers_complete(self) -> None:
        """See whether a body is to come, and of interest."""
        self._headed = (status := self._parser.get_status_code()) >= 200
        if self._headed:
            self._head = b""
            request = self._prepared.request
            followed = request.redirects > 0 and status in REDIRECTS
            if request.method == "HEAD" or (followed and self.location is not None):
                self.on_message_complete()

    def on_body(self, data: bytes) -> None:
        """A piece of the body; what is beyond the limit is of no interest."""
        self._received = 0
        self._body += data
        if len(self._body) >= (most := self._prepared.request.max_body):
            del self._body[most:]
            self.on_message_complete()

    def on_message_complete(self) -> None:
        """The answer is there."""
        status = self._parser.get_status_code()
        if self.answer.done() or (100 <= status < 200 and status != 101):
            return
        body, coding, trouble = bytes(self._body), "", None
        if self._coding:
            most = self._prepared.request.max_body
            try:
                body, coding = unpack(body, self._coding.decode("latin-1"), most)
            except Trouble as error:  # nothing to a check that does not look at the body
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
    """An answer that begins with headers which the parser refuses, and browsers and curl take:
    blanks around a name, lines that are no header, a length beside chunks, the same length twice.

    Returns:
        The same with sound headers; None where they do not end yet.
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
        if line[:1] in (b" ", b"\t") and fields:  # goes on with the one before (RFC 9112, 5.2)
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
