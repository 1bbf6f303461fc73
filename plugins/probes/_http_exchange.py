"""The outcome of an HTTP exchange: an answer or an error, and its timings."""

from __future__ import annotations

import codecs
import time
import zlib

from attrs import Factory, define, frozen

from tocsin import CheckError, decode_text

MOST_CODINGS = 2
"""Most compressions that are undone if a body is compressed repeatedly."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")
)  # fmt: skip

REDIRECTS = frozenset({301, 302, 303, 307, 308})

MOST_REASON = 100
"""Most bytes of a reason phrase (``Not Found``) that are kept."""


@define
class Timings:
    """Times at which the phases of a request ended, in monotonic seconds (``time.monotonic``).

    Attributes:
        began: start of the first request.
        dns: the host name was resolved; None: not yet, or there is nothing to resolve.
        connected: the connection was ready, TLS included.
        first_byte: the first byte of the answer arrived.
        certificate_days: days until the server's certificate expires.
    """

    began: float = Factory(time.monotonic)
    dns: float | None = None
    connected: float | None = None
    first_byte: float | None = None
    certificate_days: float | None = None

    def mark_dns(self) -> None:
        """Record that the host name is resolved."""
        self.dns = time.monotonic()

    def phases(self) -> dict[str, float]:
        """Return the seconds of each phase reached. TLS is part of connecting."""
        metrics = {}
        start = self.began
        if self.dns is not None:
            metrics["dns_seconds"] = self.dns - start
            start = self.dns
        if self.connected is not None:
            metrics["connect_seconds"] = self.connected - start
            start = self.connected
        if self.first_byte is not None:
            metrics["first_byte_seconds"] = self.first_byte - start
        return metrics


class Trouble(Exception):
    """No usable answer was received; the message is a readable clause with the reason."""


@frozen
class Answer:
    """An answer: its status line and the beginning of its body.

    Attributes:
        status: status code.
        reason: reason phrase, such as ``Not Found``.
        content_type: value of the Content-Type header, or empty.
        body: the decompressed body, cut at the request's ``max_body``.
    """

    status: int
    reason: str
    content_type: str
    body: bytes
    coding: str = ""
    """The Content-Encoding left on ``body`` because it is not supported, or empty."""
    trouble: str | None = None
    """Why ``body`` cannot be decompressed as its Content-Encoding says, or None."""

    def text(self) -> str:
        """Return the body decoded by its character set, without a byte-order mark.

        Raises:
            Trouble: the body does not match its Content-Encoding.
            CheckError: the Content-Encoding is not supported.
        """
        if self.trouble is not None:
            raise Trouble(self.trouble)
        if self.coding:
            raise CheckError(f"the body is encoded as {self.coding[:40]!r}, which cannot be read")
        marked = next((name for mark, name in _MARKS if self.body.startswith(mark)), None)
        kind = self.content_type if marked is None else f"text/plain; charset={marked}"
        return decode_text(self.body, kind).removeprefix("\ufeff")


def unpack(body: bytes, codings: str, most: int) -> tuple[bytes, str]:
    """Decompress a body. A kilobyte may expand to a megabyte, so nothing past ``most`` is read.

    Args:
        body: the body as received.
        codings: value of the Content-Encoding header: the codings in the order of application.
        most: bytes after which the body is cut.

    Returns:
        The decompressed body, and the codings still applied to it because they are not supported.

    Raises:
        Trouble: the body is not compressed as its headers say.
    """
    steps = [step for name in codings.lower().split(",") if (step := name.strip())]
    while steps and len(steps) <= MOST_CODINGS:
        if steps[-1] not in ("gzip", "x-gzip", "deflate", "identity"):
            break
        name = steps.pop()
        try:
            body = body if name == "identity" else _inflate(body, name, most)
        except zlib.error:
            raise Trouble(f"the body is not {name}, as its headers say") from None
    return body, ", ".join(steps)


def _inflate(body: bytes, name: str, most: int) -> bytes:
    # wbits 47: zlib or gzip header; -15: no header, as some servers send "deflate".
    raw = name == "deflate" and not (body[:1] and body[0] & 15 == 8)
    return zlib.decompressobj(-15 if raw else 47).decompress(body, most)
