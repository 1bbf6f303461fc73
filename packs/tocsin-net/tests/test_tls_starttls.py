"""The tls probe against servers that begin TLS when they are asked to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.pki import Pki, server_context
from tests.servers import (
    Handler,
    peer,
    says,
)
from tocsin import Result, Status, Target
from tocsin_net._starttls import StartTls
from tocsin_net.tls import TlsProbe

TARGET = Target(name="t")


def probe(port: int, pki: Pki, **options: Any) -> TlsProbe:
    """Return a probe of a server that is called localhost."""
    return TlsProbe(
        **{"host": "127.0.0.1", "server_name": "localhost", "port": port,
           "ca_file": pki.ca_file, "timeout": 5, **options}
    )  # fmt: skip


async def look(port: int, pki: Pki, **options: Any) -> Result:
    """Run the probe once."""
    return await probe(port, pki, **options).check(TARGET)


def upgrading(pki: Pki, *exchange: tuple[bytes, bytes], greeting: bytes, extra: bytes) -> Handler:
    """Return a server that begins TLS after an exchange of lines."""
    context = server_context(pki.issue("localhost"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        for number, (command, answer) in enumerate(exchange):
            got = await reader.readexactly(len(command))
            assert got == command
            writer.write(answer + (extra if number == len(exchange) - 1 else b""))
            await writer.drain()
        await writer.start_tls(context)
        await reader.read()

    return serve


DIALOGUES: dict[StartTls, tuple[bytes, tuple[tuple[bytes, bytes], ...]]] = {
    StartTls.SMTP: (
        b"220-many\r\n220 lines\r\n",
        ((b"EHLO [127.0.0.1]\r\n", b"250-me\r\n250-STARTTLS\r\n250 HELP\r\n"),
         (b"STARTTLS\r\n", b"220 go\r\n")),
    ),
    StartTls.IMAP: (
        b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n",
        ((b"a1 STARTTLS\r\n", b"* CAPABILITY IMAP4rev1\r\na1 OK go\r\n"),),
    ),
    StartTls.POP3: (b"+OK ready\r\n", ((b"STLS\r\n", b"+OK go\r\n"),)),
    StartTls.FTP: (
        b"220-Welcome\r\n to this\r\n220 server\r\n",
        ((b"AUTH TLS\r\n", b"234 go\r\n"),),
    ),
    StartTls.POSTGRES: (b"", ((b"\0\0\0\x08\x04\xd2\x16\x2f", b"S"),)),
}  # fmt: skip


@pytest.mark.parametrize("protocol", list(DIALOGUES))
async def test_tls_begins_where_the_protocol_says(pki: Pki, protocol: StartTls) -> None:
    """Each protocol's dialogue is spoken to the letter."""
    greeting, exchange = DIALOGUES[protocol]
    async with peer(upgrading(pki, *exchange, greeting=greeting, extra=b"")) as port:
        result = await look(port, pki, starttls=protocol)
    assert result.status is Status.UP, result.message
    assert result.metrics["starttls_seconds"] > 0
    assert result.metrics["certificate_expiry_days"] > 30


@pytest.mark.parametrize("protocol", list(DIALOGUES))
async def test_what_is_sent_in_the_clear_too_early_is_refused(pki: Pki, protocol: StartTls) -> None:
    """An answer that was injected before TLS must not pass for one inside it (CVE-2011-0411)."""
    greeting, exchange = DIALOGUES[protocol]
    server = upgrading(pki, *exchange, greeting=greeting, extra=b"250 injected\r\n")
    async with peer(server) as port:
        result = await look(port, pki, starttls=protocol)
    assert result.status is Status.DOWN
    assert result.message.endswith("the server sends data in the clear before TLS begins")


@pytest.mark.parametrize(
    ("protocol", "lines", "words"),
    [
        ("smtp", (b"220 a\r\n", b"250-a\r\n250 SIZE\r\n"), "the server offers no STARTTLS"),
        ("smtp", (b"421 busy\r\n",), "expected a greeting of SMTP, got '421 busy'"),
        ("smtp", (b"220 a\r\n", b"250 STARTTLS\r\n", b"454 no\r\n"),
         "expected an answer to STARTTLS, got '454 no'"),
        ("imap", (b"* BYE go away\r\n",), "expected a greeting of IMAP, got '* BYE go away'"),
        ("imap", (b"* OK a\r\n", b"a1 BAD what\r\n"), "refuses STARTTLS: 'a1 BAD what'"),
        ("pop3", (b"+OK a\r\n", b"-ERR no\r\n"), "an answer to STLS, got '-ERR no'"),
        ("ftp", (b"220 a\r\n", b"500 no\r\n"), "an answer to AUTH TLS, got '500 no'"),
        ("postgres", (b"N",), "the server offers no TLS"),
        ("postgres", (b"E",), "expected PostgreSQL's answer to a request for TLS"),
        ("smtp", (b"220 a\x1b[2J\r\n", b"\r\n"), "an answer to EHLO, got an empty line"),
    ],
)  # fmt: skip
async def test_a_server_that_offers_no_tls_is_down(
    pki: Pki, protocol: str, lines: tuple[bytes, ...], words: str
) -> None:
    """The message quotes what the server said instead."""
    async with peer(says(*lines)) as port:
        result = await look(port, pki, starttls=StartTls(protocol))
    assert result.status is Status.DOWN
    assert words in result.message
    assert "connect_seconds" in result.metrics
