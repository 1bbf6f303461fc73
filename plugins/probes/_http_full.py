"""Any HTTP request, by aiohttp: redirects, compressed bodies, every method."""

from __future__ import annotations

import time
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any

import aiohttp
from attrs import frozen

from tocsin import TocsinResolver, clean_text
from tocsin.plugins.probes._http_exchange import MOST_REASON, Answer, Timings, Trouble, unpack
from tocsin.plugins.probes._net import certificate_days, in_words


@frozen(kw_only=True)
class Request:
    """What is to be asked, and how much of the answer is read."""

    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes | None
    family: int
    tls: SSLContext
    server_name: str | None
    redirects: int
    max_body: int
    timeout: float


class _Connector(aiohttp.TCPConnector):
    """Looks at the certificate while there is a connection: a short answer is over, and its
    connection gone, before the caller sees it."""

    def __init__(self, timings: Timings, **options: Any) -> None:
        super().__init__(**options)
        self._timings = timings

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Connect, as the session asks."""
        connection = await super().connect(*args, **kwargs)
        if connection.transport is not None:
            secured = connection.transport.get_extra_info("ssl_object")
            self._timings.certificate_days = certificate_days(secured)
        return connection


async def exchange(request: Request, timings: Timings) -> Answer:
    """Send a request and read its answer.

    Raises:
        OSError: the network. Trouble: there was no whole answer.
    """
    try:
        async with _session(request, timings) as session:
            return await _exchange(request, session, timings)
    except aiohttp.TooManyRedirects:
        raise Trouble(f"more than {request.redirects} redirects") from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise Trouble(in_words(error.certificate_error)) from error
    except aiohttp.ClientConnectorError as error:
        raise Trouble(in_words(error.os_error)) from error
    except aiohttp.ClientPayloadError:
        raise Trouble("the body ended early") from None
    except aiohttp.ServerDisconnectedError:
        raise Trouble("the connection was closed early") from None
    except aiohttp.InvalidURL:
        raise Trouble("redirected to an address that is no URL") from None
    except aiohttp.NonHttpUrlClientError:  # its words are the address alone
        raise Trouble("redirected to an address that is not HTTP") from None
    except aiohttp.ClientResponseError as error:
        text = clean_text(error.message, longest=140)
        raise Trouble(f"the answer is not HTTP: {text}") from None
    except UnicodeError:  # no name of that shape can be
        raise Trouble("the host name cannot be resolved") from None
    except aiohttp.ClientError as error:
        raise Trouble(in_words(error)) from error


def _session(request: Request, timings: Timings) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()

    async def resolved(*_: object) -> None:
        timings.dns = time.monotonic()

    async def connected(*_: object) -> None:
        timings.connected = time.monotonic()

    trace.on_dns_resolvehost_end.append(resolved)
    trace.on_connection_create_end.append(connected)
    connector = _Connector(
        timings,
        force_close=True,
        use_dns_cache=False,
        resolver=TocsinResolver(request.timeout),
        family=request.family,
        ssl=request.tls,
    )
    return aiohttp.ClientSession(
        connector=connector,
        trace_configs=[trace],
        timeout=aiohttp.ClientTimeout(total=None, connect=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # it would unpack without a limit
    )


async def _exchange(request: Request, session: aiohttp.ClientSession, timings: Timings) -> Answer:
    async with session.request(
        request.method,
        request.url,
        headers=request.headers,
        skip_auto_headers=("Accept-Encoding",),
        data=request.body,
        allow_redirects=request.redirects > 0,
        max_redirects=max(1, request.redirects),
        server_hostname=request.server_name,
    ) as answer:
        timings.first_byte = time.monotonic()
        body = b""
        while len(body) < request.max_body:
            chunk = await answer.content.read(min(65536, request.max_body - len(body)))
            if not chunk:
                break
            body += chunk
        else:
            answer.close()  # the rest is of no interest
        kind = answer.headers.get("Content-Type", "")
        coding = ",".join(answer.headers.getall("Content-Encoding", ()))
        body, left = unpack(body, coding, request.max_body)
        return Answer(answer.status, (answer.reason or "")[:MOST_REASON], kind, body, left)
