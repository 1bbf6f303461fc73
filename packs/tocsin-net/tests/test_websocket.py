"""The websocket probe against aiohttp's server, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from tests.pki import Pki, server_context
from tests.servers import Handler, endless, free_port, half_a_line, hangs_up, peer, silent
from tocsin import Result, Secret, Status, Target
from tocsin.testing import check_probe_conformance
from tocsin_net.websocket import WebsocketProbe

TARGET = Target(name="t")


async def _echo(request: web.Request) -> web.WebSocketResponse:
    """Greet, and answer each message; some messages ask for something else."""
    socket = web.WebSocketResponse(protocols=("chat.v2",))
    await socket.prepare(request)
    await socket.send_str("hello")
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        if message.data == "huge":
            await socket.send_str("x" * 200_000)
        elif message.data == "bytes":
            await socket.send_bytes(b"\xffsome bytes")
        elif message.data == "many":
            for _ in range(100):
                await socket.send_str("noise")
        elif message.data == "bye":
            await socket.close(code=4001, message=b"no")
        elif message.data != "hush":
            await socket.send_str(f"you said {message.data}")
    return socket


async def _private(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Authorization") != "Bearer s3cret-t0ken":
        raise web.HTTPUnauthorized
    return await _echo(request)


async def _elsewhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("ws://127.0.0.1:1/other\x1b[2J".replace("\x1b", "%1b"))


@contextlib.asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve the handlers; yield the port."""
    application = web.Application()
    application.router.add_get("/echo", _echo)
    application.router.add_get("/private", _private)
    application.router.add_get("/elsewhere", _elsewhere)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def look(url: str, **options: Any) -> Result:
    """Run the probe once."""
    return await WebsocketProbe(url=url, **{"timeout": 5, **options}).check(TARGET)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({}, Status.UP, "answers"),
        ({"expect": "^hello$"}, Status.UP, "answers"),
        ({"send": "ping", "expect": "said ping"}, Status.UP, "answers"),
        ({"send": "bytes", "expect": "some bytes"}, Status.UP, "answers"),
        ({"subprotocol": "chat.v2"}, Status.UP, "answers"),
        ({"subprotocol": "chat.v1"}, Status.DOWN, "does not choose the subprotocol chat.v1"),
        ({"send": "hush", "expect": "x", "timeout": 0.4}, Status.DOWN,
         "no expected message within 0.4 s"),
        ({"send": "bye", "expect": "x"}, Status.DOWN,
         "the server closed the WebSocket (code 4001); expected 'x', got 'hello'"),
        ({"send": "many", "expect": "x"}, Status.DOWN, "none of 20 messages matches"),
        ({"send": "huge", "expect": "y"}, Status.DOWN, "a message of more than 65536 bytes"),
        ({"expect": "(h+)+x|(e*)*$a"}, Status.DOWN, "no expected message"),
        ({"degraded_above": 0.0}, Status.DEGRADED, "slow"),
    ],
)  # fmt: skip
async def test_what_a_websocket_must_do(
    options: dict[str, Any], status: Status, words: str
) -> None:
    """Handshake, subprotocol, message and answer are each judged."""
    async with serving() as port:
        result = await look(f"ws://127.0.0.1:{port}/echo?token=1", **{"timeout": 1, **options})
    assert (result.status, words in result.message) == (status, True), result.message
    assert result.metrics["handshake_seconds"] > 0
    assert "token" not in result.message
    assert ("answer_seconds" in result.metrics) is ("expect" in options and status is Status.UP)


async def test_tls_is_verified_and_its_certificate_aged(pki: Pki) -> None:
    """The expiry is a metric; a certificate that is not trusted is down, unless verify is off."""
    async with serving(server_context(pki.issue("localhost", days=9.9))) as port:
        url = f"wss://localhost:{port}/echo"
        soon = await look(url, ca_file=pki.ca_file)
        well = await look(url, ca_file=pki.ca_file, certificate_warn_days=5.0)
        strange = await look(url)
        trusting = await look(url, verify=False, certificate_warn_days=5.0)
        named = await look(
            f"wss://127.0.0.1:{port}/echo", ca_file=pki.ca_file, server_name="localhost",
            certificate_warn_days=5.0,
        )  # fmt: skip
    assert soon.status is Status.DEGRADED
    assert "the certificate ends in 9 days" in soon.message
    for good in (well, trusting, named):
        assert good.status is Status.UP, good.message
        assert good.metrics["certificate_expiry_days"] == pytest.approx(9.9, abs=0.1)
    assert strange.status is Status.DOWN
    assert "the certificate is not valid: " in strange.message


async def test_headers_are_sent_and_never_shown() -> None:
    """A token opens a private WebSocket; without it the answer's status is named."""
    secret = Secret("Bearer s3cret-t0ken")
    async with serving() as port:
        url = f"ws://127.0.0.1:{port}/private"
        refused = await look(url)
        taken = await look(url, headers={"Authorization": secret})
        result = await check_probe_conformance(
            WebsocketProbe(url=url, headers={"Authorization": secret}, expect="hello")
        )
    assert refused.message.endswith("the server answers 401 and opens no WebSocket")
    assert taken.status is result.status is Status.UP, taken.message


async def test_a_redirect_is_not_followed() -> None:
    """The headers may be secret, and are for the named host only."""
    async with serving() as port:
        result = await look(f"ws://127.0.0.1:{port}/elsewhere")
    assert result.status is Status.DOWN
    assert "the server redirects to 'ws://127.0.0.1:1/other" in result.message


def answers(raw: bytes, then: Handler | None = None) -> Handler:
    """Return a server that answers a request with bytes; ``{accept}`` is the right key."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        digest = hashlib.sha1(
            key.split(b": ")[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        ).digest()
        writer.write(raw.replace(b"{accept}", base64.b64encode(digest)))
        await writer.drain()
        if then is not None:
            await then(reader, writer)

    return serve


UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: {accept}\r\n\r\n"
)


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "answers 200 and opens no"),
        (answers(UPGRADED.replace(b"{accept}", b"wrong")), "the handshake is not valid"),
        (answers(UPGRADED.replace(b"Upgrade: w", b"Upgrade: x")), "the handshake is not valid"),
        (answers(b"220 smtp.example.org ESMTP\r\n\r\n"), "the server's answer is not HTTP"),
        (answers(b"HTTP/1.1 101 x\r\nX: " + b"y" * 100_000), "the server's answer is not HTTP"),
        (answers(UPGRADED, hangs_up), "the server closed the WebSocket"),
        (answers(UPGRADED + b"\xff\xff\xff"), "violates the WebSocket protocol"),
        (
            answers(UPGRADED + b"\x81\x7f" + b"\x00\x00\x00\xff" * 2),
            ("violates the WebSocket", "code 1006"),
        ),
        (answers(UPGRADED, silent), "no expected message within 0.6 s"),
        (hangs_up, "the connection was "),
        (half_a_line, ("not HTTP", "the connection was ")),
        (silent, "no open WebSocket within 0.6 s"),
        (endless, ("the server's answer is not HTTP", "the connection was ")),
    ],
)
async def test_servers_that_misbehave_are_down(
    handler: Handler, words: str | tuple[str, ...]
) -> None:
    """Each way has a clear sentence, and reads only a part of what is sent."""
    async with peer(handler) as port:
        result = await look(f"ws://127.0.0.1:{port}/", expect="x", timeout=0.6)
    assert result.status is Status.DOWN
    options = (words,) if isinstance(words, str) else words
    assert any(one in result.message for one in options), result.message


async def test_a_server_that_never_closes_does_not_delay_the_result() -> None:
    """All was well before the closing handshake, and so the check is up."""
    async with peer(answers(UPGRADED + b"\x81\x01x", silent)) as port:
        probe = WebsocketProbe(url=f"ws://127.0.0.1:{port}/", expect="x", timeout=1)
        result = await check_probe_conformance(probe)
    assert result.status is Status.UP, result.message


async def test_nobody_there() -> None:
    """A refused connection and a name that does not exist are told apart."""
    port = free_port()
    refused = await look(f"ws://127.0.0.1:{port}/")
    assert refused.message == f"ws://127.0.0.1:{port}/: the connection was refused"
    absent = await look("ws://no.such.host.invalid/")
    assert absent.status in (Status.DOWN, Status.UNKNOWN)
    assert "resolved" in absent.message or "look up" in absent.message


async def test_a_ca_file_that_cannot_be_used_is_tocsins_trouble() -> None:
    """Unknown, with the name of the file."""
    result = await look("wss://127.0.0.1:1/", ca_file="/no/such/file")
    assert result.status is Status.UNKNOWN
    assert "/no/such/file" in result.message


async def test_it_keeps_to_the_contract() -> None:
    """It passes the suite that tocsin's own probes pass, also without an answer."""
    async with peer(silent) as port:
        mute = WebsocketProbe(url=f"ws://127.0.0.1:{port}/", timeout=0.3)
        assert (await check_probe_conformance(mute)).status is Status.DOWN


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://a/"}, "url must read ws://host/path"),
        ({"url": "ws://a:99999/"}, "url must read ws://host/path"),
        ({"url": "ws://me:pass@a/"}, "without a user"),
        ({"url": "ws:///x"}, "url must read"),
        ({"url": "ws://a/", "headers": {"a b": Secret("x")}}, "not a valid header name"),
        ({"url": "ws://a/", "headers": {"Upgrade": Secret("x")}}, "remove it"),
        ({"url": "ws://a/", "headers": {"X": Secret("a\r\nb")}}, "must be one line"),
        ({"url": "ws://a/", "subprotocol": "a b"}, "must be one word"),
        ({"url": "ws://a/", "expect": "("}, "expect = .* is not a regular expression"),
    ],
)
def test_wrong_options_are_refused_with_the_remedy(options: dict[str, Any], words: str) -> None:
    """Each wrong option is answered in one sentence."""
    with pytest.raises(ValueError, match=words):
        WebsocketProbe(**options)
