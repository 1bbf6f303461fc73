"""One HTTP exchange, as both clients give it: an answer, or what went wrong in a clause."""

from __future__ import annotations

import time
from email.message import Message

from attrs import Factory, define, frozen


@define
class Timings:
    """Monotonic seconds at which the phases of a request ended; days the certificate has."""

    began: float = Factory(time.monotonic)
    dns: float | None = None
    connected: float | None = None
    first_byte: float | None = None
    certificate_days: float | None = None

    def phases(self) -> dict[str, float]:
        """Seconds of the phases that were reached. TLS is part of connecting."""
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


@frozen
class Answer:
    """What came back: the status line, and as much of the body as was wanted."""

    status: int
    reason: str
    content_type: str
    body: bytes

    def text(self) -> str:
        """The body in its own character set; UTF-8 where it names none that is known."""
        header = Message()
        header["Content-Type"] = self.content_type
        try:
            return self.body.decode(header.get_content_charset("utf-8"), "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")


class Trouble(Exception):
    """There was no answer; the message says why, in a clause that people understand."""
