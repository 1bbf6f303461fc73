"""The smtp probe against Exim and aiosmtpd, and against servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.mail_servers import MAIL_PASSWORD
from tests.pki import Pki, server_context
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
from tocsin_net.smtp import SmtpProbe

TARGET = Target(name="t")
PASSWORD = MAIL_PASSWORD


def probe(port: int, pki: Pki | None = None, **options: Any) -> SmtpProbe:
    """Return a probe of a server that is called localhost."""
    usual = {"host": "127.0.0.1", "port": port, "server_name": "localhost", "timeout": 5}
    ca = {} if pki is None else {"ca_file": pki.ca_file}
    return SmtpProbe(**{**usual, **ca, **options})


async def look(port: int, pki: Pki | None = None, **options: Any) -> Result:
    """Run the probe once."""
    return await probe(port, pki, **options).check(TARGET)


async def test_exim_in_the_clear(exim: tuple[int, int]) -> None:
    """Greeting and extensions are attributes, and each phase has its duration."""
    result = await look(exim[0])
    assert result.status is Status.UP, result.message
    assert "mail.example.test" in result.attributes["greeting"]
    assert "starttls" in result.attributes["extensions"]
    assert result.metrics.keys() == {"connect_seconds", "greeting_seconds", "ehlo_seconds"}


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_exim_inside_tls_with_a_login(
    exim: tuple[int, int], pki: Pki, security: Security
) -> None:
    """TLS is verified, the certificate aged, the login tried; a wrong one is down."""
    port = exim[security is Security.TLS]
    options = {"security": security, "user": "watch"}
    result = await look(port, pki, password=Secret(PASSWORD), **options)
    assert result.status is Status.UP, result.message
    assert result.metrics["certificate_expiry_days"] == pytest.approx(50, abs=0.1)
    assert result.attributes["tls_version"] == "TLSv1.3"
    assert "login_seconds" in result.metrics
    assert ("starttls_seconds" in result.metrics) is (security is Security.STARTTLS)
    wrong = await look(port, pki, password=Secret("wr0ng-pass"), **options)
    assert wrong.status is Status.DOWN
    assert wrong.message.endswith("the server refuses the login (535)")


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_certificate_that_is_not_valid_is_down(
    exim: tuple[int, int], pki: Pki, security: Security
) -> None:
    """Unless verify is off; its end is known even then."""
    port = exim[security is Security.TLS]
    unknown = await look(port, security=security)
    assert unknown.status is Status.DOWN
    assert "the certificate is not valid: unable to get local issuer" in unknown.message
    name = await look(port, pki, security=security, server_name="other.test")
    assert "the certificate is not valid: Hostname mismatch" in name.message
    lax = await look(port, security=security, verify=False, certificate_warn_days=60.0)
    assert lax.status is Status.DEGRADED
    assert "the certificate ends in 50 days" in lax.message


async def test_what_exim_does_not_offer(exim: tuple[int, int], pki: Pki) -> None:
    """A login is not offered in the clear, and no TLS begins where the port expects it."""
    clear = await look(exim[0], user="watch", password=Secret(PASSWORD))
    assert clear.status is Status.DOWN
    assert "AUTH extension is not supported" in clear.message
    both = await look(exim[0], pki, security=Security.TLS, timeout=2)
    assert both.status is Status.DOWN
    assert "TLS failed" in both.message


@pytest.fixture
async def aiosmtpd(pki: Pki) -> AsyncIterator[int]:
    """Run aiosmtpd with STARTTLS and a login; yield its port."""

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=good, handled=False)

    controller = Controller(
        Sink(), hostname="127.0.0.1", port=free_port(), authenticator=authenticate,
        tls_context=server_context(pki.issue("localhost")),
    )  # fmt: skip
    await asyncio.to_thread(controller.start)
    yield controller.port
    await asyncio.to_thread(controller.stop)


async def test_aiosmtpd_with_starttls_and_a_login(aiosmtpd: int, pki: Pki) -> None:
    """It passes the suite that tocsin's own probes pass, which looks for the password too."""
    one = probe(
        aiosmtpd, pki, security=Security.STARTTLS, user="watch", password=Secret(PASSWORD),
        ehlo_name="probe.example.test",
    )  # fmt: skip
    result = await check_probe_conformance(one)
    assert result.status is Status.UP, result.message
    wrong = probe(
        aiosmtpd, pki, security=Security.STARTTLS, user="watch", password=Secret("wr0ng-pass")
    )
    assert (await check_probe_conformance(wrong)).status is Status.DOWN


GREETING = b"220 a ESMTP\r\n"
EHLO = b"250-a\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"


@pytest.mark.parametrize(
    ("lines", "options", "words"),
    [
        ((b"554 no\x1b[2J\r\n",), {}, "the greeting is 554 'no"),
        ((b"* OK imap\r\n",), {}, "the greeting is 'Malformed SMTP response line: * OK imap'"),
        ((GREETING, b"502 what\r\n"), {}, "the answer to EHLO is 502 'what'"),
        ((GREETING, b"250 a\r\n"), {"security": Security.STARTTLS},
         "the server offers no STARTTLS"),
        ((GREETING, EHLO, b"454 not now\r\n"), {"security": Security.STARTTLS},
         "the answer to STARTTLS is 454 'not now'"),
        ((GREETING, EHLO, b"421 you sent AHdhdGNoAGNvcnIzY3QtaDByc2U=\r\n"),
         {"user": "watch", "password": Secret(PASSWORD)}, "refuses the login (421)"),
        ((GREETING, EHLO), {"user": "watch", "password": Secret(PASSWORD)},
         "the connection was closed early"),
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
    assert "\x1b" not in result.message


@pytest.mark.parametrize("security", list(Security))
@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (hangs_up, ("closed early", "reset", "TLS failed: unexpected eof")),
        (half_a_line, ("closed early", "reset", "TLS failed")),
        (silent, ("no greeting within 0.4 s",)),
        (endless, ("the greeting is 'Response too long'", "TLS failed", "is 500 'Response too")),
        (endless_lines, ("the greeting is", "TLS failed")),
        (says(GREETING, b"250-x\r\n" * 20_000), ("Response too long", "TLS failed")),
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


async def test_a_server_that_ignores_quit_does_not_delay_the_result() -> None:
    """All was well before QUIT, and so the check is up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(GREETING, EHLO)(reader, writer)
        await silent(reader, writer)

    async with peer(serve) as port:
        result = await check_probe_conformance(probe(port, timeout=1))
    assert result.status is Status.UP, result.message


async def test_nobody_there() -> None:
    """A refused connection names host and port."""
    port = free_port()
    result = await look(port)
    assert result.message == f"127.0.0.1:{port}: the connection was refused"


async def test_a_ca_file_that_cannot_be_used_is_tocsins_trouble() -> None:
    """Unknown, with the name of the file."""
    result = await look(free_port(), security=Security.TLS, ca_file="/no/such/file")
    assert result.status is Status.UNKNOWN
    assert "/no/such/file" in result.message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "smtp://a"}, "must be only a host name or an address"),
        ({"host": "a", "user": "u"}, "user and password belong together"),
        ({"host": "a", "user": "u", "password": Secret("p")}, "set security to 'starttls' or"),
        ({"host": "a", "user": "u\r\n", "password": Secret("p")}, "user must be one line"),
        ({"host": "a", "ehlo_name": "a b"}, "ehlo_name must be a host name in ASCII"),
        ({"host": "a", "port": 0}, "port must be from 1 to 65535"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(options: dict[str, Any], words: str) -> None:
    """Each wrong option is answered in one sentence."""
    with pytest.raises(ValueError, match=words):
        SmtpProbe(**options)
