"""Asks a server that begins in the clear to begin TLS."""

from __future__ import annotations

import re
import struct
from collections.abc import Awaitable, Callable
from enum import StrEnum

from tocsin_net._dialogue import Dialogue, quoted
from tocsin_net._trouble import Trouble


class StartTls(StrEnum):
    """The protocol in which a server is asked to begin TLS."""

    NONE = "none"
    SMTP = "smtp"
    IMAP = "imap"
    POP3 = "pop3"
    FTP = "ftp"
    POSTGRES = "postgres"


_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""PostgreSQL's SSLRequest: its own length and a code that no version of the protocol has."""


async def request_tls(dialogue: Dialogue, protocol: StartTls) -> None:
    """Bring a new connection to the point at which TLS begins.

    Raises:
        Trouble: the server does not offer TLS, or speaks another protocol.
        EOFError, OSError: the connection ended.
    """
    if (steps := _STEPS.get(protocol)) is not None:
        await steps(dialogue)


async def _smtp(dialogue: Dialogue) -> None:
    """RFC 3207."""
    await _reply(dialogue, "220", "a greeting of SMTP")
    await dialogue.send(f"EHLO {dialogue.introduction()}")
    offered = await _reply(dialogue, "250", "an answer to EHLO")
    if not any(line[4:].strip().upper() == "STARTTLS" for line in offered):
        raise Trouble("the server offers no STARTTLS")
    await dialogue.send("STARTTLS")
    await _reply(dialogue, "220", "an answer to STARTTLS")


async def _ftp(dialogue: Dialogue) -> None:
    """RFC 4217."""
    await _reply(dialogue, "220", "a greeting of FTP")
    await dialogue.send("AUTH TLS")
    await _reply(dialogue, "234", "an answer to AUTH TLS")


async def _imap(dialogue: Dialogue) -> None:
    """RFC 9051, 6.2.1."""
    await _line(dialogue, r"\* OK\b", "a greeting of IMAP")
    await dialogue.send("a1 STARTTLS")
    while (line := await dialogue.line()).startswith("* "):
        pass
    if not re.match(r"a1 OK\b", line, re.IGNORECASE):
        raise Trouble(f"the server refuses STARTTLS: {quoted(line)}")


async def _pop3(dialogue: Dialogue) -> None:
    """RFC 2595, section 4."""
    await _line(dialogue, r"\+OK\b", "a greeting of POP3")
    await dialogue.send("STLS")
    await _line(dialogue, r"\+OK\b", "an answer to STLS")


async def _postgres(dialogue: Dialogue) -> None:
    """PostgreSQL, "Message Flow", section "SSL Session Encryption"."""
    await dialogue.send(_SSL_REQUEST)
    answer = await dialogue.octet()
    if answer == b"N":
        raise Trouble("the server offers no TLS")
    if answer != b"S":
        raise Trouble(f"expected PostgreSQL's answer to a request for TLS, got {answer!r}")


_STEPS: dict[StartTls, Callable[[Dialogue], Awaitable[None]]] = {
    StartTls.SMTP: _smtp,
    StartTls.IMAP: _imap,
    StartTls.POP3: _pop3,
    StartTls.FTP: _ftp,
    StartTls.POSTGRES: _postgres,
}


async def _reply(dialogue: Dialogue, code: str, wanted: str) -> list[str]:
    """Return the lines of a reply with a code (RFC 5321, 4.2; RFC 959, 4.2)."""
    lines: list[str] = []
    while True:
        line = await dialogue.line()
        if not line.startswith(code) and not (lines and line.startswith(" ")):
            raise Trouble(f"expected {wanted}, got {quoted(line)}")
        lines.append(line)
        if re.match(rf"{code}(?: |$)", line):
            return lines


async def _line(dialogue: Dialogue, pattern: str, wanted: str) -> None:
    line = await dialogue.line()
    if not re.match(pattern, line, re.IGNORECASE):
        raise Trouble(f"expected {wanted}, got {quoted(line)}")
