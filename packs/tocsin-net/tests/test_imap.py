"""The imap probe against Dovecot, and against servers that misbehave."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.mail_servers import MAIL_PASSWORD
from tests.pki import Pki
from tests.servers import (
    Handler,
    endless,
    endless_lines,
    free_port,
    half_a_line,
    hangs_up,
    peer,
    says,
    silent,
)
from tocsin import Result, Secret, Status, Target
from tocsin.testing import check_probe_conformance
from tocsin_net._mail import Security
from tocsin_net.imap import ImapProbe

TARGET = Target(name="t")


def probe(port: int, pki: Pki | None = None, **options: Any) -> ImapProbe:
    """Return a probe of a server that is called localhost."""
    usual = {"host": "127.0.0.1", "port": port, "server_name": "localhost", "timeout": 5}
    ca = {} if pki is None else {"ca_file": pki.ca_file}
    return ImapProbe(**{**usual, **ca, **options})


async def look(port: int, pki: Pki | None = None, **options: Any) -> Result:
    """Run the probe once."""
    return await probe(port, pki, **options).check(TARGET)


async def test_dovecot_in_the_clear(dovecot: tuple[int, int]) -> None:
    """Greeting and capabilities are attributes, and each phase has its duration."""
    result = await look(dovecot[0])
    assert result.status is Status.UP, result.message
    assert "Dovecot" in result.attributes["greeting"]
    assert {"IMAP4REV1", "STARTTLS"} <= set(result.attributes["capabilities"])
    assert result.metrics.keys() == {"connect_seconds", "greeting_seconds", "capability_seconds"}


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_dovecot_inside_tls_with_a_login(
    dovecot: tuple[int, int], pki: Pki, security: Security
) -> None:
    """TLS is verified, the certificate aged, the login tried; a wrong one is down."""
    port = dovecot[security is Security.TLS]
    good = probe(port, pki, security=security, user="watch", password=Secret(MAIL_PASSWORD))
    result = await check_probe_conformance(good)
    assert result.status is Status.UP, result.message
    assert result.metrics["certificate_expiry_days"] == pytest.approx(50, abs=0.1)
    assert result.attributes["tls_version"] == "TLSv1.3"
    assert "login_seconds" in result.metrics
    wrong = await look(port, pki, security=security, user="watch", password=Secret("wr0ng"))
    assert wrong.status is Status.DOWN
    assert wrong.message.endswith("the server refuses the login (AUTHENTICATIONFAILED)")


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_certificate_that_is_not_valid_is_down(
    dovecot: tuple[int, int], security: Security
) -> None:
    """Unless verify is off; its end is known even then."""
    port = dovecot[security is Security.TLS]
    unknown = await look(port, security=security)
    assert unknown.status is Status.DOWN
    assert "the certificate is not valid: unable to get local issuer" in unknown.message
    lax = await look(port, security=security, verify=False, certificate_warn_days=60.0)
    assert lax.status is Status.DEGRADED
    assert "the certificate ends in 50 days" in lax.message


GREETING = b"* OK ready\r\n"
OFFERS = b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\nt1 OK done\r\n"
LOGIN: dict[str, Any] = {"user": "watch", "password": Secret("corr3ct-h0rse")}


@pytest.mark.parametrize(
    ("lines", "options", "words"),
    [
        ((b"* BYE too many\x1b[2J\r\n",), {}, "the server takes no connections: '* BYE too many"),
        ((b"220 smtp\r\n",), {}, "expected a greeting of IMAP, got '220 smtp'"),
        ((GREETING, b"t1 BAD what\r\n"), {}, "the server refuses CAPABILITY: 't1 BAD what'"),
        ((GREETING, b"nonsense\r\n"), {}, "expected an answer of IMAP, got 'nonsense'"),
        ((GREETING, b"* CAPABILITY IMAP4rev1\r\nt1 OK a\r\n"), {"security": Security.STARTTLS},
         "the server offers no STARTTLS"),
        ((GREETING, OFFERS, b"t2 NO not now\r\n"), {"security": Security.STARTTLS},
         "the server refuses STARTTLS: 't2 NO not now'"),
        ((GREETING, OFFERS, b"t2 OK go\r\n* OK injected\r\n"), {"security": Security.STARTTLS},
         "the server sends data in the clear before TLS begins"),
        ((GREETING, OFFERS, b"+ \r\n", b"t2 NO [UNAVAILABLE] you sent AHdhdGNoAGNvcnIz\r\n"),
         LOGIN, "the server refuses the login (UNAVAILABLE)"),
        ((GREETING, OFFERS, b"t2 NO corr3ct-h0rse\r\n"), LOGIN, "the server refuses the login"),
        ((GREETING, b"* CAPABILITY IMAP4rev1\r\nt1 OK a\r\n", b"t2 NO no\r\n"), LOGIN,
         "the server refuses the login"),
        ((GREETING, b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nt1 OK a\r\n"), LOGIN,
         "the server permits no login here"),
        ((GREETING, b"* CAPABILITY IMAP4rev1\r\nt1 OK a\r\n"),
         {"user": "watch", "password": Secret('"')}, "which cannot carry this user or password"),
        ((GREETING,), {}, "the connection was closed early"),
        ((GREETING, b"* noise\r\n" * 20_000), {}, "sends more than such a server should"),
    ],
)  # fmt: skip
async def test_a_server_that_refuses_is_down(
    lines: tuple[bytes, ...], options: dict[str, Any], words: str
) -> None:
    """The message quotes the answer, but not that to a login."""
    async with peer(says(*lines)) as port:
        result = await look(port, **options)
    assert result.status is Status.DOWN
    assert words in result.message
    assert "AHdhdG" not in result.message
    assert "corr3ct" not in result.message
    assert "\x1b" not in result.message


async def test_a_login_by_the_old_command() -> None:
    """Without AUTH=PLAIN, LOGIN with quoted strings is used (RFC 9051, 6.2.3)."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* PREAUTH [CAPABILITY IMAP4rev1] hello\r\n")
        while line := await reader.readline():
            got.append(line)
            tag = line.split()[0]
            writer.write(b"* CAPABILITY IMAP4rev1\r\n" if b"CAPABILITY" in line else b"")
            writer.write(tag + b" OK done\r\n")

    async with peer(serve) as port:
        result = await look(port, **LOGIN)
    assert result.status is Status.UP, result.message
    assert result.attributes["greeting"] == "hello"
    assert got == [b"t1 CAPABILITY\r\n", b't2 LOGIN "watch" "corr3ct-h0rse"\r\n', b"t3 LOGOUT\r\n"]


@pytest.mark.parametrize("security", list(Security))
@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (hangs_up, ("closed early", "reset", "TLS failed: unexpected eof")),
        (half_a_line, ("closed early", "reset", "TLS failed")),
        (silent, ("no greeting within 0.4 s", "no end of the TLS handshake within 0.4 s")),
        (endless, ("the server sends a line that does not end", "TLS failed")),
        (endless_lines, ("expected a greeting of IMAP, got '* hello'", "TLS failed")),
    ],
)
async def test_servers_that_misbehave_are_down(
    handler: Handler, words: tuple[str, ...], security: Security
) -> None:
    """Hanging up, silence and answers without end are told apart, and read only in part."""
    async with peer(handler) as port:
        result = await look(port, security=security, timeout=0.4)
    assert result.status is Status.DOWN
    assert any(one in result.message for one in words), result.message


async def test_a_server_that_ignores_logout_does_not_delay_the_result() -> None:
    """All was well before LOGOUT, and so the check is up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(GREETING, OFFERS)(reader, writer)
        await silent(reader, writer)

    async with peer(serve) as port:
        result = await check_probe_conformance(probe(port, timeout=1))
    assert result.status is Status.UP, result.message


async def test_nobody_there_at_the_usual_ports() -> None:
    """The port follows from security."""
    for security, port in ((Security.NONE, 143), (Security.TLS, 993)):
        result = await ImapProbe(host="127.0.0.99", security=security).check(TARGET)
        assert result.message == f"127.0.0.99:{port}: the connection was refused"


async def test_a_ca_file_that_cannot_be_used_is_tocsins_trouble() -> None:
    """Unknown, with the name of the file."""
    result = await look(free_port(), security=Security.TLS, ca_file="/no/such/file")
    assert result.status is Status.UNKNOWN
    assert "/no/such/file" in result.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "imap://a"}, "must be only a host name or an address"),
        ({"host": "a", "password": Secret("p")}, "user and password belong together"),
        ({"host": "a", "user": "u", "password": Secret("p")}, "set security to 'starttls' or"),
        ({"host": "a", "port": 0}, "port must be from 1 to 65535"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(options: dict[str, Any], words: str) -> None:
    """Each wrong option is answered in one sentence."""
    with pytest.raises(ValueError, match=words):
        ImapProbe(**options)
