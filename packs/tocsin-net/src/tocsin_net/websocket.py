"""The websocket probe: the opening handshake (RFC 6455), and perhaps a message and its answer."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import ClassVar, NoReturn
from urllib.parse import urlsplit

import aiohttp
from attrs import Attribute, define, frozen
from attrs import field as option
from yarl import URL

from tocsin import (
    Probe,
    Result,
    Seconds,
    Secret,
    Target,
    TocsinResolver,
    check_pattern,
    clean_text,
    deadline,
    decode_text,
    hookimpl,
    search_text,
    tls_context,
)
from tocsin_net import _metrics
from tocsin_net._certificate import Certificate, certificate_of, judged
from tocsin_net._dialogue import quoted
from tocsin_net._options import check_server_name
from tocsin_net._trouble import FAILURES, Trouble, because, failure, wrapped

MOST_MESSAGE = 65536
"""Most bytes of one message."""

MOST_MESSAGES = 20
"""Most messages that are read until one is as expected."""

CLOSING = 0.5
"""Seconds to wait for the server's answer to the closing handshake."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_OURS = frozenset({"connection", "upgrade", "host"})


def _check_url(_: object, __: Attribute[str], value: str) -> None:
    try:
        parts = urlsplit(value)
        possible = parts.scheme in ("ws", "wss") and bool(parts.hostname)
        possible = possible and parts.username is None and bool(URL(value).host)
    except ValueError:  # such as a port out of range
        possible = False
    if not possible:
        raise ValueError("url must read ws://host/path or wss://host/path, without a user")


def _check_headers(
    _: object, __: Attribute[Mapping[str, Secret]], value: Mapping[str, Secret]
) -> None:
    for name, secret in value.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is not a valid header name")
        if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
            raise ValueError(f"the handshake sets the header {name[:40]} itself; remove it")
        if set(secret.reveal()) & set("\r\n\0"):
            raise ValueError(f"the header {name[:40]} must be one line")


def _check_token(_: object, attribute: Attribute[str | None], value: str | None) -> None:
    if value is not None and not _TOKEN.fullmatch(value):
        raise ValueError(f"{attribute.name} must be one word such as 'graphql-ws'")


@define
class _Seen:
    """What one run has seen so far."""

    metrics: dict[str, float] = option(factory=dict)
    attributes: dict[str, object] = option(factory=dict)
    certificate: Certificate | None = None
    took: float | None = None
    """Seconds until the server had answered all that it was asked; None: not yet."""


@frozen(kw_only=True)
class WebsocketProbe(Probe):
    """Open a WebSocket; optionally send a message and check the answer.

    Attributes:
        url: ws:// or wss:// URL.
        headers: headers of the handshake; their values are never shown.
        subprotocol: subprotocol that is asked for and that the server has to choose.
        send: message to send, as text.
        expect: regular expression that must match in a message of the server.
        verify: whether to verify the certificate.
        ca_file: CA certificates to trust instead of the machine's.
        server_name: name for SNI and the certificate check; unset: the host of the URL.
        degraded_above: a run that takes longer than this is degraded.
        certificate_warn_days: a certificate that ends in fewer days is degraded.
    """

    metrics: ClassVar[_metrics.Metrics] = _metrics.WEBSOCKET
    by_label: ClassVar[bool] = True
    config_only: ClassVar[tuple[str, ...]] = ("send", "expect", "ca_file")

    url: str = option(validator=_check_url)
    headers: Mapping[str, Secret] = option(factory=dict, validator=_check_headers)
    subprotocol: str | None = option(default=None, validator=_check_token)
    send: str | None = None
    expect: str | None = option(default=None, validator=check_pattern)
    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = option(default=None, validator=check_server_name)
    degraded_above: Seconds | None = None
    certificate_warn_days: float = 14.0

    def network_host(self, target: Target) -> str | None:
        """Return the host of the URL."""
        return urlsplit(self.url).hostname

    async def check(self, target: Target) -> Result:
        """Open the WebSocket once, and judge what happens."""
        here = clean_text(self.url.partition("?")[0])
        seen = _Seen()
        try:
            with deadline(self.timeout):
                await self._converse(seen)
        except (*FAILURES, aiohttp.ClientError) as error:
            if seen.took is None:
                return failure(_clearer(error), here, self._late(seen), seen.metrics)
        return judged(
            here, "answers", took=seen.took or 0.0, metrics=seen.metrics,
            attributes=seen.attributes, certificate=seen.certificate,
            warn_days=self.certificate_warn_days, degraded_above=self.degraded_above,
        )  # fmt: skip

    async def _converse(self, seen: _Seen) -> None:
        secure = self.url.startswith("wss:")
        context = tls_context(self.verify, self.ca_file) if secure else True
        connector = aiohttp.TCPConnector(resolver=TocsinResolver(self.timeout), force_close=True)
        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(_refuse_redirect)
        began = time.monotonic()
        # Leaving the session closes the connection at once. The WebSocket is no context manager
        # here: that would wait for the server's closing handshake also after the deadline.
        async with aiohttp.ClientSession(
            connector=connector, trace_configs=[tracing], cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            socket = await session.ws_connect(
                self.url,
                protocols=() if self.subprotocol is None else (self.subprotocol,),
                headers={name: value.reveal() for name, value in self.headers.items()},
                ssl=context,
                server_hostname=self.server_name,
                max_msg_size=MOST_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSING),  # pyright: ignore[reportCallIssue]
            )
            seen.metrics["handshake_seconds"] = time.monotonic() - began
            seen.certificate = certificate_of(socket.get_extra_info("ssl_object"))
            if self.subprotocol is not None and socket.protocol != self.subprotocol:
                raise Trouble(f"the server does not choose the subprotocol {self.subprotocol}")
            before = time.monotonic()
            if self.send is not None:
                await socket.send_str(self.send)
            if self.expect is not None:
                await _answer(socket, self.expect)
                seen.metrics["answer_seconds"] = time.monotonic() - before
            seen.took = time.monotonic() - began
            await socket.close()

    def _late(self, seen: _Seen) -> str:
        what = "expected message" if "handshake_seconds" in seen.metrics else "open WebSocket"
        return f"no {what} within {self.timeout:g} s"


async def _answer(socket: aiohttp.ClientWebSocketResponse, expect: str) -> None:
    """Read messages until one is as expected.

    Raises:
        Trouble: the server closes the connection, or none of the first messages is.
    """
    last = ""
    for _ in range(MOST_MESSAGES):
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            last = str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            last = decode_text(bytes(message.data))
        elif message.type is aiohttp.WSMsgType.ERROR:
            raise Trouble("the server violates the WebSocket protocol, or sends a message of more "
                          f"than {MOST_MESSAGE} bytes")  # fmt: skip
        else:
            code = "" if socket.close_code is None else f" (code {socket.close_code})"
            raise Trouble(f"the server closed the WebSocket{code}{_before(last, expect)}")
        if await search_text(expect, last):
            return
    raise Trouble(f"none of {MOST_MESSAGES} messages matches{_before(last, expect)}")


def _before(last: str, expect: str) -> str:
    return f"; expected {expect!r}, got {quoted(last) if last else 'nothing'}"


async def _refuse_redirect(
    _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
) -> NoReturn:
    """Refuse a redirect: the headers, which may be secret, are for the host of the URL only."""
    where = clean_text(params.response.headers.get("Location", ""), longest=200)
    raise Trouble(f"the server redirects to '{where}'; write that address if it is right")


def _clearer(error: BaseException) -> BaseException:
    """Return an error of the network or a Trouble for an error of aiohttp."""
    inner = wrapped(error)
    if isinstance(inner, FAILURES) and not isinstance(inner, aiohttp.ClientError):
        return inner
    if isinstance(error, aiohttp.WSServerHandshakeError):
        if error.status != 101:
            text = f"the server answers {error.status} and opens no WebSocket"
        else:
            text = f"the handshake is not valid: {clean_text(error.message, longest=200)}"
        return because(text, error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return because("the connection was closed early", error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error
    if isinstance(error, aiohttp.ClientResponseError):
        return because("the server's answer is not HTTP", error)
    if isinstance(error, OSError):
        return error
    return because(clean_text(str(error), longest=200) or type(error).__name__, error)


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"websocket": WebsocketProbe}
