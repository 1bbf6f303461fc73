"""A small HTTP/1.1 client on asyncio transports: any method, redirects with cookies, and a new
connection for each request."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
from collections.abc import Coroutine, Mapping
from typing import Any

from aiohappyeyeballs import start_connection
from attrs import define, evolve, field, frozen
from yarl import URL

from tocsin import look_up
from tocsin.plugins.probes._http_exchange import REDIRECTS, Answer, Timings, Trouble
from tocsin.plugins.probes._http_reader import Reader

EYEBALLS = 0.25
"""Seconds to wait for one address of a host before the next is tried in parallel (RFC 8305)."""

MOST_COOKIES, MOST_COOKIE = 50, 4096
"""Most cookies that are kept, and most characters of one ``Set-Cookie`` header."""

_OF_ONE_ORIGIN = frozenset({"authorization", "cookie", "host", "proxy-authorization"})
"""Headers that are not sent on when a redirect leads to another origin."""
_NO_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@frozen(kw_only=True)
class HttpRequest:
    """A request to send, and limits for the answer.

    Attributes:
        url: http or https URL, with credentials for basic authentication if there are any.
        method: upper-case method.
        headers: headers that replace or extend the default ones.
        body: the body; None: none.
        family: AF_UNSPEC, AF_INET or AF_INET6; restricts the addresses of the host.
        tls: context for https.
        server_name: name for SNI and the certificate check; None: the host of the URL.
        redirects: most redirects to follow; 0: return the redirect itself.
        max_body: bytes of the body to read at most, before and after decompression.
        timeout: timeout of the check in seconds, from which that of look-ups follows.
    """

    url: URL
    method: str
    headers: Mapping[str, str]
    body: bytes | None
    family: int
    tls: ssl.SSLContext
    server_name: str | None
    redirects: int
    max_body: int
    timeout: float


@frozen
class Prepared:
    """A request whose bytes are ready to be sent.

    Attributes:
        request: the request.
        host: host name or address to connect to.
        port: port to connect to.
        address: whether ``host`` is an IP address, which needs no look-up.
        message: the bytes of the request.
    """

    request: HttpRequest
    host: str
    port: int
    address: bool
    message: bytes
    server_name: str | None
    """Name for SNI and the certificate check; None: the connection does not use TLS."""


def prepare(request: HttpRequest, cookies: str = "") -> Prepared:
    """Build the bytes of a request.

    Args:
        request: the request.
        cookies: further cookies, in the form of a ``Cookie`` header.

    Raises:
        ValueError: the URL has no host.
    """
    url = request.url
    host = url.raw_host
    if not host:
        raise ValueError("the URL has no host")
    named = url.host_port_subcomponent or host
    if ":" in host:  # a zone ("%eth0") has a meaning on this machine only (RFC 6874): not sent
        host, named = host.replace("%25", "%", 1), re.sub(r"%[^\]]*\]", "]", named)
    fields = {"host": ("Host", named), "connection": ("Connection", "close")}
    if url.raw_user is not None:
        pair = base64.b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
        fields["authorization"] = ("Authorization", f"Basic {pair}")
    if request.body is not None:
        fields["content-type"] = ("Content-Type", "application/octet-stream")
    fields |= {name.lower(): (name, value) for name, value in request.headers.items()}
    if cookies:
        own = f"{fields['cookie'][1]}; " if "cookie" in fields else ""
        fields["cookie"] = ("Cookie", own + cookies)
    if request.body is not None or request.method not in _NO_BODY:
        fields["content-length"] = ("Content-Length", str(len(request.body or b"")))
    rows = [f"{request.method} {url.raw_path_qs} HTTP/1.1"]
    rows += [f"{name}: {value}" for name, value in fields.values()]
    server = request.server_name or host.partition("%")[0].rstrip(".")
    return Prepared(
        request=request,
        host=host,
        port=url.port or 80,
        address=_is_address(host),
        message="\r\n".join([*rows, "", ""]).encode() + (request.body or b""),
        server_name=server if url.scheme == "https" else None,
    )


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return True
    return False


async def exchange(prepared: Prepared, timings: Timings) -> Answer:
    """Send a request, follow redirects, and return the last answer.

    Args:
        prepared: the first request.
        timings: receives the times at which the phases of the last request end.

    Raises:
        OSError: a host cannot be resolved or connected to, or TLS fails (ssl.SSLError).
        Trouble: no complete answer was received, or a redirect cannot be followed.
        UnicodeError: the host of a URL is not a valid host name.
    """
    loop, left = asyncio.get_running_loop(), prepared.request.redirects
    cookies: _Cookies | None = None
    while True:
        request = prepared.request
        reader = Reader(prepared, timings, loop.create_future())
        try:
            if prepared.address:
                await _connect(loop, prepared, reader, prepared.host)
            else:
                await _look_up_and_connect(loop, prepared, reader, timings)
            answer = await reader.answer
        finally:
            reader.end()
        if request.redirects <= 0 or reader.location is None or answer.status not in REDIRECTS:
            return answer
        if left <= 0:
            raise Trouble(f"more than {request.redirects} redirects")
        left -= 1
        if cookies is None:
            cookies = _Cookies()
        cookies.keep(request.url, reader.cookies)
        request = _redirected(request, answer.status, reader.location)
        try:
            prepared = prepare(request, cookies.header(request.url))
        except ValueError:
            raise Trouble("redirected to an invalid URL") from None
        timings.dns = timings.connected = timings.first_byte = None


def _redirected(request: HttpRequest, status: int, location: bytes) -> HttpRequest:
    """Return the request that follows a redirect (RFC 9110, section 15.4).

    Raises:
        Trouble: the location is not an http or https URL.
    """
    try:
        url = request.url.join(URL(location.decode("utf-8", "replace").strip()))
        same = url.origin() == request.url.origin() if url.raw_host else False
    except ValueError:
        raise Trouble("redirected to an invalid URL") from None
    if url.scheme not in ("http", "https"):
        raise Trouble("redirected to an address that is not HTTP")
    headers = request.headers
    if same and url.raw_user is None and request.url.raw_user is not None:
        url = url.with_user(request.url.user).with_password(request.url.password)
    if not same:
        headers = {k: v for k, v in headers.items() if k.lower() not in _OF_ONE_ORIGIN}
    method, body = request.method, request.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
    return evolve(request, url=url, headers=headers, method=method, body=body)


@define
class _Cookies:
    """Cookies set by redirects. Many sites redirect again until they get them back."""

    _kept: dict[tuple[str, str], tuple[str, bool, bool]] = field(factory=dict)
    """By domain and name: the value, whether subdomains get it too, whether only https does."""

    def keep(self, url: URL, lines: list[bytes]) -> None:
        """Keep the cookies of an answer (RFC 6265, section 5.2), ignoring Path and Expires.

        Args:
            url: the URL that was requested.
            lines: values of the ``Set-Cookie`` headers.
        """
        host = (url.raw_host or "").lower()
        for line in lines[:MOST_COOKIES]:
            pair, *rest = line.decode("utf-8", "replace")[:MOST_COOKIE].split(";")
            name, sign, value = (part.strip() for part in pair.partition("="))
            said = {k.strip().lower(): v.strip() for k, _, v in (a.partition("=") for a in rest)}
            domain = said.get("domain", "").lstrip(".").lower()
            wide = "." in domain and f".{host}".endswith(f".{domain}")
            key = (domain if wide else host, name)
            if not sign or not pair.isprintable() or len(self._kept) >= MOST_COOKIES:
                continue
            self._kept[key] = (value, wide, "secure" in said)
            if said.get("max-age", "1").lstrip("-") == "0" or said.get("max-age", "")[:1] == "-":
                del self._kept[key]

    def header(self, url: URL) -> str:
        """Return the value of the ``Cookie`` header for a URL; "" if no cookie applies."""
        host = (url.raw_host or "").lower()
        return "; ".join(
            f"{name}={value}"
            for (domain, name), (value, wide, secure) in self._kept.items()
            if (domain == host or (wide and host.endswith(f".{domain}")))
            and (url.scheme == "https" or not secure)
        )


def _connect(
    loop: asyncio.AbstractEventLoop,
    prepared: Prepared,
    reader: Reader,
    address: str | socket.socket,
) -> Coroutine[Any, Any, object]:
    """Return a coroutine that connects to the host, with TLS if requested.

    Args:
        loop: the running event loop.
        prepared: the request to send.
        reader: protocol of the connection.
        address: an IP address, or a socket that is connected already.
    """
    name, request = prepared.server_name, prepared.request
    tls = None if name is None else request.tls
    if isinstance(address, str):
        return loop.create_connection(
            lambda: reader, address, prepared.port,
            ssl=tls, server_hostname=name, family=request.family,
        )  # fmt: skip
    return loop.create_connection(lambda: reader, ssl=tls, server_hostname=name, sock=address)


async def _look_up_and_connect(
    loop: asyncio.AbstractEventLoop, prepared: Prepared, reader: Reader, timings: Timings
) -> None:
    host, port, request = prepared.host, prepared.port, prepared.request
    found = await look_up(host, port, family=request.family, timeout=request.timeout)
    timings.mark_dns()
    if len(found) == 1 and "%" not in host:
        await _connect(loop, prepared, reader, str(found[0][4][0]))
        return
    sock = await start_connection(found, happy_eyeballs_delay=EYEBALLS)
    try:
        await _connect(loop, prepared, reader, sock)
    except BaseException:
        sock.close()
        raise
